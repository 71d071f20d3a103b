"""Handing over to LivePerson's people, the pause meanwhile, and the way back, on a real Rasa server."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings

SKILLS: dict[str, dict[str, str]] = {
    "/give_up": {"skill": "human_skill"},
    "/execute_handoff": {"skill": "human_skill"},
    "/silently": {"skill": "Billing"},
    '/execute_handoff{"department": "billing"}': {"skill": "Billing"},
    '/execute_handoff{"department": " BILLING "}': {"skill": "Billing"},
    '/execute_handoff{"department": "vip"}': {"skill": "Publisher", "agentId": "4129463410"},
    '/execute_handoff{"department": "moon"}': {"skill": "human_skill"},
    "/thandi_please": {"skill": "Billing", "agentId": "4711"},
}
SILENCE = [{"delay": 1, "typing": False}]


def transferred(answer: dict[str, Any]) -> Any:
    context = answer["context"]
    return context.get("actionParameters") if context.get("action") == "TRANSFER" else None


@pytest.mark.parametrize("text", SKILLS)
async def test_every_trigger_names_who_gets_it(liveperson: LivePerson, text: str) -> None:
    answer = await liveperson.say(text)
    assert transferred(answer) == SKILLS[text]
    assert answer["messages"], "what is said stands in the same answer"
    assert (await liveperson.rasa.tracker("c-1"))["paused"]


async def test_an_urgent_handoff_has_its_own_skill(liveperson: LivePerson) -> None:
    urgent = liveperson.will_say({"custom": {"handoff": {"department": "billing", "priority": "urgent"}}})
    assert transferred(await liveperson.say(urgent)) == {"skill": "Billing now"}


@pytest.mark.parametrize("surface", ["function", "endpoint"])
async def test_options_with_a_priority_change_the_time_to_respond(
    platform_model: Path, tmp_path: Path, surface: str
) -> None:
    """One action in an answer: the handoff's priority goes ahead of the transfer, with the options."""
    urgent = {"ttrType": "URGENT"}
    async with RasaServer(platform_model, tmp_path, settings(transfer_note=True)) as rasa:
        liveperson = LivePerson(rasa)
        offer = liveperson.will_say({"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}})
        if surface == "function":
            offered = await liveperson.say(offer)
            (shown,) = offered["messages"]
            assert shown["structuredContent"]["quickReplies"]["replies"][0]["title"] == "Billing"
            assert (offered["context"]["action"], offered["context"]["actionParameters"]) == ("CHANGE_TTR", urgent)
        else:
            content, action = (await liveperson.tell(offer))["response"]
            assert content["type"] == "STRUCTURED_CONTENT"
            assert action == {"type": "ACTION", "data": {"name": "CHANGE_TTR", "parameters": urgent}}
        answer = await liveperson.say("Billing")
        assert transferred(answer) == {"skill": "Billing now"}
        assert answer["messages"][-1]["text"].splitlines()[:3] == [
            "Department: billing", "Priority: urgent", "Reason: stolen card",
        ]  # fmt: skip


async def test_what_stands_beside_the_options_is_asked_for_too(liveperson: LivePerson) -> None:
    custom = {"handoff_options": {"priority": "urgent"}, "handoff_priority": {"seconds": 120}}
    offered = await liveperson.say(liveperson.will_say({"custom": custom}))
    assert offered["context"]["actionParameters"] == {"ttrType": "CUSTOM", "value": "120"}, "said by itself, it wins"
    assert transferred(await liveperson.say("Billing")) == {"skill": "Billing now"}


async def test_a_transfer_goes_before_what_stands_beside_the_marker(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture
) -> None:
    both = liveperson.will_say({"custom": {"handoff": {}, "handoff_priority": "urgent"}})
    answer = await liveperson.say(both)
    assert transferred(answer) == {"skill": "human_skill"}
    assert answer["messages"], "what is said at a handoff is said"
    assert "TRANSFER goes before CHANGE_TTR" in caplog.text


async def test_options_without_a_priority_leave_the_time_to_respond(liveperson: LivePerson) -> None:
    offered = await liveperson.say(liveperson.will_say({"custom": {"handoff_options": {}}}))
    assert "action" not in offered["context"]
    offered = await liveperson.say(liveperson.will_say({"custom": {"handoff_options": {"priority": "normal"}}}))
    assert offered["context"]["actionParameters"] == {"ttrType": "NORMAL"}, "said, it takes an earlier one back"


async def test_it_is_silent_if_the_settings_say_so(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(handoff_response=None)) as rasa:
        liveperson = LivePerson(rasa)
        answer = await liveperson.say("/silently")
        assert (answer["messages"], transferred(answer)) == ([], {"skill": "Billing"})


async def test_agents_get_a_private_note_at_the_transfer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(transfer_note=True)) as rasa:
        liveperson = LivePerson(rasa)
        await liveperson.say("hello")
        await liveperson.say("/suggest")
        contact = {"name": "Thabo", "email": "thabo@example.com"}
        marker = {"reason": "angry", "priority": "high", "note": "lost card", "contact": contact, "language": "zu"}
        response = {"text": "One moment.", "custom": {"handoff": marker}}
        liveperson.will_say(response)
        answer = await liveperson.say("/native")
        said, note = answer["messages"]
        assert (said, note["messageAudience"]) == ("One moment.", "AGENTS_AND_MANAGERS")
        assert note["text"].splitlines() == [
            "Priority: high",
            "Reason: angry",
            "Note: lost card",
            "Contact: Thabo, thabo@example.com",
            "Language: zu",
            "Customer: hello",
            "Bot: Hello.",
            "Bot: A message can be simple as a plain text",
            "Bot: A message can be a actionable message containing metadata "
            "[Suggested Reply button 1] [Suggested Reply button 2]",
            "Bot: One moment.",
        ]
        private = [
            one
            for one in (await LivePerson(rasa, "c-2").tell("/give_up"))["response"]
            if "messageAudience" in one["data"]
        ]
        assert [one["type"] for one in private] == ["TEXT"]


async def test_the_note_of_a_long_conversation_has_its_last_lines(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(transfer_note=True)) as rasa:
        liveperson = LivePerson(rasa)
        for number in range(3):
            await liveperson.say(f"hello {number} " + "hey " * 200)
        note = (await liveperson.say("/give_up"))["messages"][-1]["text"]
        assert len(note) <= 2000
        assert "hello 2" in note
        assert "hello 0" not in note


async def test_a_transfer_goes_before_any_other_action(liveperson: LivePerson) -> None:
    """LivePerson takes one in an answer."""
    asked = {"messages": ["Bye."], "context": {"action": "CLOSE_CONVERSATION"}}
    responses = liveperson.rasa.app.ctx.agent.processor.nlg.responses
    responses["utter_plain"], responses["utter_suggest"] = [{"custom": asked}], [{"custom": {"handoff": {}}}]
    answer = await liveperson.say("/suggest")
    assert transferred(answer) == {"skill": "human_skill"}


async def test_the_next_message_is_the_bots_again(liveperson: LivePerson) -> None:
    await liveperson.say("/give_up")
    assert await liveperson.messages("hello") == ["Hello."]
    tracker = await liveperson.rasa.tracker("c-1")
    assert (tracker["paused"], tracker["slots"]["handoff_outcome"]) == (False, "resolved")
    assert transferred(await liveperson.say("/give_up")) == {"skill": "human_skill"}, "and it may be handed over again"


async def test_a_welcome_says_that_the_bot_has_it_again(liveperson: LivePerson) -> None:
    await liveperson.say("/give_up")
    event = {"isWelcomeEvent": True, "lastConsumerMessage": "thank you, Thandi"}
    assert await liveperson.messages("", event=event) == ["Welcome."]
    assert not (await liveperson.rasa.tracker("c-1"))["paused"]


async def test_the_end_of_a_conversation_does_not_take_it_back(liveperson: LivePerson) -> None:
    await liveperson.tell("/give_up")
    await liveperson.event({"type": "CLOSE_CONVERSATION", "data": {}})
    assert (await liveperson.rasa.tracker("c-1"))["paused"]


async def test_a_message_that_crosses_the_handoff_is_the_peoples(liveperson: LivePerson) -> None:
    asked, replies = await asyncio.gather(liveperson.say("/give_up"), liveperson.say("hello"))
    assert (transferred(asked), replies["messages"]) == ({"skill": "human_skill"}, SILENCE)
    assert (await liveperson.rasa.tracker("c-1"))["paused"]
    last = (await liveperson.user_events())[-1]
    assert (last["text"], last["metadata"]["speaker"]) == ("hello", "customer")


async def test_a_message_right_after_the_handoff_crossed_it_too(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(crossing_seconds=2)) as rasa:
        liveperson = LivePerson(rasa)
        await liveperson.say("/give_up")
        handed = time.time()
        assert await liveperson.messages("hello") == SILENCE
        await eventually(lambda: time.time() - handed > 2)
        assert await liveperson.messages("hello") == ["Hello."]


async def test_a_welcome_after_the_handoff_is_no_answer_in_a_form(liveperson: LivePerson) -> None:
    await liveperson.say("I want to move")
    await liveperson.say("/execute_handoff")
    replies = await liveperson.messages(event={"content": "welcome"})
    assert replies[-1] == "Which street?"
    tracker = await liveperson.rasa.tracker("c-1")
    assert (tracker["paused"], tracker["slots"]["street"]) == (False, None)


async def test_what_is_said_at_the_transfer_is_in_the_tracker_before_the_pause(liveperson: LivePerson) -> None:
    (said,) = await liveperson.messages("/execute_handoff")
    events = await liveperson.rasa.events("c-1")
    (pause,) = [place for place, event in enumerate(events) if event["event"] == "pause"]
    assert said in [event["text"] for event in events[:pause] if event["event"] == "bot"]


async def test_a_welcome_that_is_not_answered_brings_it_back_too(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(welcome=None)) as rasa:
        liveperson = LivePerson(rasa)
        await liveperson.say("/give_up")
        for other in ("TYPING", "CLOSE_CONVERSATION"):
            assert (await liveperson.event({"type": other, "data": {}}))[0] == 200
            assert (await rasa.tracker("c-1"))["paused"], f"{other} is no welcome"
        assert await liveperson.messages("", event={"isWelcomeEvent": True}) == [{"delay": 1, "typing": False}]
        tracker = await rasa.tracker("c-1")
        assert (tracker["paused"], tracker["slots"]["handoff_outcome"]) == (False, "resolved")
