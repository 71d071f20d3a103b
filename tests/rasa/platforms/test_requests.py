"""What Kommunicate sends, as its documentation has it and as it is really sent, on a real Rasa server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.kommunicate_caller import SAMPLES, Kommunicate, sample, settings


async def test_the_documented_request_is_answered(kommunicate: Kommunicate) -> None:
    """Every field a text that describes itself: no number where one is sent, no object in ``metadata``."""
    asked = {**sample("request"), "botId": "shop-bot", "message": "hello"}
    assert await kommunicate.call(asked) == [{"message": "Hello."}]
    said = (await kommunicate.rasa.app.ctx.agent.tracker_store.retrieve(asked["groupId"])).latest_message
    assert (said.message_id, said.input_channel) == (asked["key"], "kommunicate")
    assert said.metadata["kommunicate"]["user_id"] == asked["from"]
    assert said.metadata["kommunicate"]["applicationKey"] == asked["applicationKey"]


async def test_the_documented_answer_is_what_is_answered(kommunicate: Kommunicate) -> None:
    assert await kommunicate.say("/suggest") == sample("answer")


async def test_the_documented_file(kommunicate: Kommunicate) -> None:
    asked = {**kommunicate.body(), **sample("file")}
    assert await kommunicate.call(asked) == [{"message": "I have your file."}]
    (said,) = await kommunicate.user_events()
    file = {"type": "image/png", "name": "file name", "url": "file url", "size": "size in bytes"}
    assert said["metadata"]["attachments"] == [file]


async def test_the_documented_location(kommunicate: Kommunicate) -> None:
    metadata = {"KM_CHAT_CONTEXT": sample("location")}
    asked = kommunicate.body(eventName="KOMMUNICATE_MEDIA_EVENT", metadata=metadata)
    assert await kommunicate.call(asked) == [{"message": "I see where you are."}]
    (said,) = await kommunicate.user_events()
    assert said["metadata"]["location"] == {"lat": "Latitude", "lon": "Longitude"}


async def test_the_documented_handoff(kommunicate: Kommunicate) -> None:
    assert await kommunicate.say("I give up completely") == sample("handoff")


PLACE = {"type": "location", "payload": {"lat": -33.9, "lon": 18.4}}


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"KM_CHAT_CONTEXT": json.dumps({"attachments": [PLACE]})}},
        {"metadata": {"attachments": [PLACE]}},
        {"attachments": [PLACE], "metadata": None},
        {"contentType": 2, "message": json.dumps(PLACE["payload"])},
        {"contentType": 2, "message": json.dumps({"lat": -33.9, "lng": 18.4})},
        {"attachments": [{"type": "location", "payload": {"lat": -33.9, "lng": 18.4}}]},
    ],
    ids=["JSON within JSON", "in metadata", "at the top", "as the message", "lng as the message", "lng"],
)
async def test_a_location_wherever_it_stands(kommunicate: Kommunicate, more: dict[str, Any]) -> None:
    assert await kommunicate.texts(**more) == ["I see where you are."]
    assert (await kommunicate.user_events())[0]["metadata"]["location"] == PLACE["payload"]


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": None},
        {"metadata": {}},
        {"metadata": "none"},
        {"contentType": "text"},
        {"contentType": "0"},
        {"source": "web"},
    ],
    ids=str,
)
async def test_all_types_there_are(kommunicate: Kommunicate, more: dict[str, Any]) -> None:
    assert await kommunicate.texts("hello", **more) == ["Hello."]


async def test_a_link_to_an_image_is_an_attachment(kommunicate: Kommunicate) -> None:
    assert await kommunicate.texts("https://example.com/cat.png", contentType=5) == ["I have your file."]
    (said,) = await kommunicate.user_events()
    assert said["metadata"]["attachments"] == [{"type": "image", "url": "https://example.com/cat.png"}]


async def test_what_is_hidden_nobody_has_said(kommunicate: Kommunicate) -> None:
    await kommunicate.say("/give_up")
    assert await kommunicate.say("a rule of the platform's", contentType=11) == []
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_a_number_beyond_all_types_is_no_trouble(kommunicate: Kommunicate) -> None:
    assert await kommunicate.texts("hello", contentType="9" * 5000) == ["Hello."]


async def test_what_is_not_mapped_is_told_in_words(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(attachment=None, location=None)) as rasa:
        kommunicate = Kommunicate(rasa)
        file = {"type": "image/png", "payload": {"name": "cat.png", "url": "https://example.com/cat.png"}}
        await kommunicate.say("look", metadata={"KM_CHAT_CONTEXT": {"attachments": [file, PLACE]}})
        (said,) = await kommunicate.user_events()
        lat, lon = PLACE["payload"]["lat"], PLACE["payload"]["lon"]
        assert said["text"] == f"look [Attachment: cat.png] [Location: {lat}, {lon}]"


async def test_the_talk_to_human_button_may_mean_something_else(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(talk_to_human="opened_pricing")) as rasa:
        replies = await Kommunicate(rasa).texts("Talk to human", metadata={"TALK_TO_HUMAN": True})
        assert replies == ["Shall I explain the prices?"]


@pytest.mark.parametrize("content_type", [3, "3", "html"])
async def test_html_is_read_as_words(kommunicate: Kommunicate, content_type: Any) -> None:
    assert await kommunicate.texts("<p>Hi&nbsp;<b>there</b></p>", contentType=content_type) == ["Hello."]
    assert (await kommunicate.user_events())[0]["text"] == "Hi there"


async def test_a_group_is_the_same_as_number_and_as_text(kommunicate: Kommunicate) -> None:
    await kommunicate.say("hello")
    await kommunicate.say("hello", groupId=str(kommunicate.group))
    assert len(await kommunicate.user_events()) == 2


@pytest.mark.parametrize(
    "more",
    [{"eventName": "WELCOME"}, {"eventName": "WELCOME_EVENT", "message": ""}, {"message": "created group 4711"}],
    ids=str,
)
async def test_a_welcome_is_the_intent_of_the_settings(kommunicate: Kommunicate, more: dict[str, Any]) -> None:
    assert await kommunicate.texts(**more) == ["Welcome."]


@pytest.mark.parametrize("name", ["skip", "skip_settings", "skip_conversation"])
async def test_the_documented_ways_to_skip_a_welcome(kommunicate: Kommunicate, name: str) -> None:
    (skipped,) = re.findall(r"\"skipBotEvent\": *'([^']*)'", (SAMPLES / f"{name}.js").read_text())
    assert await kommunicate.say(eventName="WELCOME", metadata={"KM_CHAT_CONTEXT": {"skipBotEvent": skipped}}) == []


@pytest.mark.parametrize(
    "metadata",
    [{"skipBotEvent": '["WELCOME_EVENT"]'}, {"KM_CHAT_CONTEXT": {"skipBotEvent": ["WELCOME_EVENT"]}}],
    ids=["in metadata", "in the context"],
)
async def test_a_welcome_may_be_skipped(kommunicate: Kommunicate, metadata: dict[str, Any]) -> None:
    assert await kommunicate.say(eventName="WELCOME", metadata=metadata) == []
    assert await kommunicate.texts("hello", metadata=metadata) == ["Hello."]
    assert len(await kommunicate.user_events()) == 1


async def test_created_group_is_no_welcome_later(kommunicate: Kommunicate) -> None:
    await kommunicate.say("hello")
    assert "Welcome." not in await kommunicate.texts("created group 4711")


async def test_custom_events_are_mapped_ignored_or_silent(kommunicate: Kommunicate) -> None:
    assert await kommunicate.texts(eventName="OPENED_PRICING") == ["Shall I explain the prices?"]
    assert await kommunicate.texts("hello", eventName="IGNORED") == []
    assert await kommunicate.texts(eventName="NOBODY_KNOWS") == []
    assert await kommunicate.texts("hello", eventName="NOBODY_KNOWS") == ["Hello."], "its words are the customer's"


async def test_what_the_platform_notes_is_not_the_customers(kommunicate: Kommunicate) -> None:
    assert await kommunicate.say("Thandi joined", contentType=10) == []
    assert await kommunicate.user_events() == []


async def test_the_talk_to_human_button_hands_over(kommunicate: Kommunicate) -> None:
    (reply,) = await kommunicate.say("Talk to human", metadata={"TALK_TO_HUMAN": True})
    assert reply["metadata"] == {"KM_ASSIGN_TO": ""}
    assert "asked for a person" in reply["message"]


def test_every_sample_is_read_by_a_test() -> None:
    tests = "".join(path.read_text() for path in SAMPLES.parent.glob("test_*.py"))
    assert [path.name for path in SAMPLES.iterdir() if f'"{path.stem}"' not in tests] == []


async def test_a_message_too_long_is_refused_kindly(kommunicate: Kommunicate) -> None:
    too_long = "I'm sorry, that's too long to pass on. Please send it in shorter parts."
    assert await kommunicate.texts("x" * 20_001) == [too_long]
    assert await kommunicate.user_events() == []
    assert await kommunicate.texts("hello") == ["Hello."]
