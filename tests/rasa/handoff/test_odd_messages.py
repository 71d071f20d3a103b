"""What an action or an NLG server may say in odd shapes is shown as plain Rasa shows it, and never ends a turn."""

import copy
from typing import Any

import pytest
from rasa.core.channels.channel import CollectingOutputChannel

from rasa_handoff.channel.compat.output_observer import with_payloads
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually

ODD: dict[str, dict[str, Any]] = {
    "buttons of texts": {"text": "Sure?", "buttons": ["Yes", "No"]},
    "buttons of numbers": {"text": "How many?", "buttons": [1, 2.5]},
    "buttons of nothing": {"text": "Sure?", "buttons": [None, {}]},
    "buttons of lists": {"text": "Sure?", "buttons": [["Yes"], [["No"]]]},
    "a button without title": {"text": "Sure?", "buttons": [{"payload": "/greet"}]},
    "a button without payload": {"text": "Sure?", "buttons": [{"title": "Yes"}]},
    "a title and a payload that are none": {"text": "Sure?", "buttons": [{"title": 7, "payload": None}]},
    "a payload that is an object": {"text": "Sure?", "buttons": [{"title": "Yes", "payload": {"a": 1}}]},
    "one button, no list": {"text": "Sure?", "buttons": {"title": "Yes", "payload": "/greet"}},
    "buttons that are a number": {"text": "Sure?", "buttons": 5},
    "buttons that are a text": {"text": "Sure?", "buttons": "Yes"},
    "quick replies of texts": {"text": "Sure?", "quick_replies": ["Yes", "No"]},
    "quick replies that are one": {"text": "Sure?", "quick_replies": {"title": "Yes"}},
    "cards of texts": {"text": "Look", "elements": ["a card"]},
    "one card, no list": {"text": "Look", "elements": {"title": "a card", "buttons": ["Yes"]}},
    "cards with odd buttons": {"text": "Look", "elements": [{"title": "a card", "buttons": {"title": "Yes"}}]},
    "a number as text": {"text": 42},
    "a number as text with buttons": {"text": 42, "buttons": [{"title": "Yes", "payload": "/greet"}]},
    "a list as text": {"text": ["a", "b"]},
    "a picture that is an object": {"image": {"src": "https://example.com/a.png"}},
    "an attachment that is an object": {"attachment": {"type": "video", "payload": {"src": "https://example.com/a"}}},
    "custom that is a text": {"text": "Hm", "custom": "look"},
    "custom that is a list": {"custom": [{"handoff": 1}]},
    "custom with odd keys": {"text": "Hm", "custom": {"handoff_state": None, "": 1}},
}


async def plainly(response: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return what plain Rasa's ``rest`` answers if each button has a payload; None where it loses the turn."""
    output = CollectingOutputChannel()
    try:
        await output.send_response("thabo", with_payloads(copy.deepcopy(response)))
    except Exception:
        return None
    return list(output.messages)


async def test_odd_messages_are_shown_as_plain_rasa_shows_them(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """And what the customer saw is told to the agent, whatever its shape."""
    differing = {}
    for name, response in ODD.items():
        rasa.app.ctx.agent.processor.nlg.responses["utter_greet"] = [response]
        expected = await plainly(response)
        shown = await rasa.say("/greet")
        if expected is not None and shown != expected:
            differing[name] = (expected, shown)
    assert not differing
    await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
    await rasa.say("/execute_handoff")
    conversation = await thandi.take_next()
    reported = "\n".join(line["text"] for line in conversation["transcript"])
    for words in ("Sure? [Yes] [No]", "How many? [1] [2.5]", "Look a card [Yes]", "42 [Yes]"):
        assert words in reported


@pytest.mark.parametrize("metadata", [["a"], "a", 7, True], ids=str)
async def test_metadata_of_any_shape_is_taken(rasa: RasaServer, metadata: Any) -> None:
    assert [answer["text"] for answer in await rasa.say("/greet", metadata=metadata)] == ["Hello."]
    (event,) = [event for event in await rasa.events() if event["event"] == "user"]
    assert event["metadata"]["metadata"] == metadata
