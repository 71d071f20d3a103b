"""What LivePerson sends by both surfaces, and what the bot hears and finds of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings, text_event

RICH, FILE = (f"com.liveperson.bot-connectors.consumer.send-{what}" for what in ("rich-content", "file"))
MAP = {"type": "vertical", "elements": [{"type": "map", "la": -33.9, "lo": 18.4, "alt": "the harbour"}]}
FORM = {"type": "vertical", "elements": [{"type": "checkbox", "text": "yes"}]}
HOSTED = {"caption": "bill", "relativePath": "/a/b/bill.png", "fileType": "PNG"}
BILL = {"type": "PNG", "name": "bill", "url": "/a/b/bill.png"}


def rich_event(content: dict[str, Any], sequence: int = 3) -> dict[str, Any]:
    return {"sequence": sequence, "event": {"type": "RichContentEvent", "content": content}}


@pytest.mark.parametrize(
    "wrap", [lambda body: body, lambda body: {"payload": body}, lambda body: {"input": {"payload": body}}]
)
async def test_a_payload_however_it_is_wrapped(liveperson: LivePerson, wrap: Any) -> None:
    assert (await liveperson.call(wrap(liveperson.payload("hello"))))["messages"] == ["Hello."]


WELCOMES: dict[str, dict[str, Any]] = {
    "the event": {"event": {}, "more": {"event": {"name": "WELCOME"}}},
    "the event in small letters": {"event": {}, "more": {"event": {"name": "welcome"}}},
    "isWelcomeEvent": {"event": {"isWelcomeEvent": True}, "more": {}},
    "content": {"event": {"content": "welcome", "lastConsumerMessage": "I lost my card"}, "more": {}},
}


@pytest.mark.parametrize("form", WELCOMES)
async def test_a_welcome_in_each_form_is_the_intent_of_the_settings(liveperson: LivePerson, form: str) -> None:
    body = {**liveperson.payload("", WELCOMES[form]["event"]), **WELCOMES[form]["more"]}
    assert (await liveperson.call(body))["messages"] == ["Welcome."]


async def test_the_customers_word_welcome_is_no_welcome(liveperson: LivePerson) -> None:
    event = text_event("welcome", content="welcome", isWelcomeEvent=False)
    assert "Welcome." not in await liveperson.messages("welcome", event=event)
    assert (await liveperson.user_events())[0]["text"] == "welcome"


async def test_without_a_welcome_in_the_settings_the_last_words_are_heard_once(
    platform_model: Path, tmp_path: Path
) -> None:
    async with RasaServer(platform_model, tmp_path, settings(welcome=None)) as rasa:
        liveperson = LivePerson(rasa)
        event = {"isWelcomeEvent": True, "lastConsumerMessage": "hello"}
        assert await liveperson.messages("", event=event) == ["Hello."]
        assert await liveperson.messages("", event=event) == [{"delay": 1, "typing": False}], "they are answered"


async def test_who_comes_back_is_greeted_otherwise(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(welcome_back="greet")) as rasa:
        liveperson = LivePerson(rasa)
        welcome = {"isWelcomeEvent": True}
        assert await liveperson.messages("", event=welcome) == ["Welcome."]
        await liveperson.say("/give_up")
        assert await liveperson.messages("", event=welcome) == ["Hello."]
        assert not (await rasa.tracker("c-1"))["paused"]


async def test_a_location_reaches_the_bot(liveperson: LivePerson) -> None:
    assert await liveperson.messages(RICH, event=rich_event(MAP)) == ["I see where you are."]
    (said,) = await liveperson.user_events()
    assert said["metadata"]["location"] == {"lat": -33.9, "lon": 18.4}
    assert said["metadata"]["liveperson"]["rich_content"] == MAP


@pytest.mark.parametrize(
    "event",
    [{"event": {"type": "ContentEvent", "message": HOSTED}}, {"event": HOSTED}, {"message": HOSTED}, HOSTED],
    ids=str,
)
async def test_a_file_wherever_it_stands(liveperson: LivePerson, event: dict[str, Any]) -> None:
    assert await liveperson.messages(FILE, event=event) == ["I have your file."]
    assert (await liveperson.user_events())[0]["metadata"]["attachments"] == [BILL]


async def test_what_is_not_mapped_is_told_in_words(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(location=None, attachment=None)) as rasa:
        liveperson = LivePerson(rasa)
        await liveperson.say(RICH, event=rich_event(MAP))
        await liveperson.say(FILE, event={"event": HOSTED})
        await liveperson.say(RICH, event=rich_event(FORM, 4))
        await liveperson.say(FILE, event={})
        received = list(
            dict.fromkeys(event["text"] for event in await liveperson.user_events())
        )  # the fallback says some again
        assert received == [
            "[Location: -33.9, 18.4]",
            "[Attachment: PNG bill /a/b/bill.png]",
            "[Rich content]",
            "[Attachment]",
        ]


async def test_rich_content_may_be_an_intent(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(rich_content="greet")) as rasa:
        assert await LivePerson(rasa).messages(RICH, event=rich_event(FORM)) == ["Hello."]


async def test_engagement_attributes_and_everything_else_reach_the_actions(liveperson: LivePerson) -> None:
    sdes = {"authenticatedSdes": {"customerInfo": {"customerStatus": "gold"}}, "unauthenticatedSdes": {}}
    body = liveperson.payload("hello", somethingNew={"a": 1})
    body["context"] |= {"lpSdes": sdes, "more": [2]}
    await liveperson.call(body)
    found = (await liveperson.user_events())[0]["metadata"]["liveperson"]
    assert (found["attributes"], found["caller"], found["somethingNew"], found["more"]) == (sdes, "shop", {"a": 1}, [2])
    assert found["event"]["dialogId"] == "c-1"


async def test_custom_endpoint_keeps_what_a_conversation_was_created_with(liveperson: LivePerson) -> None:
    sdes = {"authenticatedSdes": {"age": 30}}
    assert await liveperson.create({"sdes": sdes, "context": {"type": "MESSAGING", "skillId": "1"}}) == 201
    assert await liveperson.create() == 409
    assert await liveperson.create({"sdes": sdes, "context": {"type": "MESSAGING", "skillId": "1"}}) == 409
    await liveperson.tell("hello")
    found = (await liveperson.user_events())[0]["metadata"]["liveperson"]
    assert (found["attributes"], found["context"]["type"], found["environment"]) == (sdes, "MESSAGING", "draft")


@pytest.mark.parametrize("body", [b"", b"null", b" \n"], ids=repr)
async def test_custom_endpoint_creates_a_conversation_it_is_told_nothing_about(
    liveperson: LivePerson, body: bytes
) -> None:
    assert (await liveperson.request("PUT", liveperson.conversation(), body))[0] == 201
    await liveperson.tell("hello")
    assert (await liveperson.user_events())[0]["metadata"]["liveperson"]["attributes"] == {}


async def test_custom_endpoint_asks_once_for_a_conversation_it_does_not_know(liveperson: LivePerson) -> None:
    path = f"{liveperson.conversation()}/events"
    body = {"type": "TEXT", "data": {"message": "hello"}, "context": {"lpEvent": text_event("hello")}}
    assert (await liveperson.request("POST", path, body))[0] == 404
    assert await liveperson.user_events() == [], "nothing is done twice"
    assert (await liveperson.request("POST", path, body))[0] == 200, "another process may have been told"


EVENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "START": ({"type": "START", "source": "SYSTEM", "data": {}, "context": {"lpEvent": {}}}, ["Welcome."]),
    "STARTED": ({"type": "CONVERSATION", "data": {"name": "STARTED"}}, ["Welcome."]),
    "a map": ({"type": "RICH_CONTENT", "data": {"content": MAP}, "context": {"lpEvent": {}}}, ["I see where you are."]),
    "a file": ({"type": "hosted-file", "data": HOSTED}, ["I have your file."]),
    "a welcome as a text": (
        {"type": "TEXT", "data": {}, "context": {"lpEvent": {"isWelcomeEvent": True}}},
        ["Welcome."],
    ),
    "a type nobody knows with words": ({"type": "POEM", "data": {"message": "hello"}}, ["Hello."]),
    "a type nobody knows": ({"type": "TYPING", "data": {}}, []),
    "the end": ({"type": "CLOSE_CONVERSATION", "data": {}}, []),
    "closed": ({"type": "CONVERSATION", "data": {"name": "CLOSED"}}, []),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("name", EVENTS)
async def test_every_event_of_custom_endpoint(liveperson: LivePerson, name: str) -> None:
    body, words = EVENTS[name]
    status, answer = await liveperson.event(body)
    assert status == 200
    assert [one["data"]["message"] for one in answer["response"] if one["type"] == "TEXT"] == words
    if not words:
        assert answer["response"] == [{"type": "DELAY", "data": {"seconds": 1, "typing": False}}]
    assert len(await liveperson.user_events()) == bool(words)


async def test_a_test_connection_is_answered(liveperson: LivePerson) -> None:
    for body in ({}, {"message": "hi"}, {"payload": {}}, {"input": {"headers": [], "payload": {"message": ""}}}):
        assert (await liveperson.call(body))["messages"] == ["The Rasa bot can be reached."]
    draft = "/v1/bots/shop-bot/environments"
    assert await liveperson.request("GET", draft) == (200, ["draft", "live"])
    status, state = await liveperson.request("GET", f"{draft}/draft/state")
    assert (status, state["state"]) == (200, "online")


@pytest.mark.parametrize("body", [{"message": "hello"}, {"event": {"name": "WELCOME"}, "context": {}}], ids=str)
async def test_a_call_about_no_conversation_leaves_a_line(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, body: dict[str, Any]
) -> None:
    """It may be a test, or a Function that leaves out the conversation's id."""
    with caplog.at_level("INFO"):
        await liveperson.call(body)
    line = f"A call of shop with the fields {', '.join(body)} names no conversation: it is answered as a test."
    assert line in caplog.text


async def test_it_fails_while_there_is_no_model(liveperson: LivePerson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveperson.rasa.app.ctx, "agent", None)
    assert (await liveperson.post({}))[0] == 503
    _, state = await liveperson.request("GET", "/v1/bots/shop-bot/environments/live/state")
    assert state["state"] == "offline"


async def test_odd_characters_are_no_trouble(liveperson: LivePerson) -> None:
    text = json.dumps(liveperson.payload("hello")).replace('"hello"', '"hello\\ud800\\u0000"')
    assert (await liveperson.post(text.encode()))[0] == 200
