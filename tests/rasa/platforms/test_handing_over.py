"""Handing over to Kommunicate's people, the pause meanwhile, and the way back, on a real Rasa server."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.domain import SessionConfig

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings

ASSIGNMENTS: dict[str, dict[str, str]] = {
    "/give_up": {"KM_ASSIGN_TO": ""},
    "/execute_handoff": {"KM_ASSIGN_TO": ""},
    "/silently": {"KM_ASSIGN_TEAM": "77"},
    '/execute_handoff{"department": "billing"}': {"KM_ASSIGN_TEAM": "77"},
    '/execute_handoff{"department": "vip"}': {"KM_ASSIGN_TO": "boss@example.com"},
    '/execute_handoff{"department": "moon"}': {"KM_ASSIGN_TO": ""},
    "/thandi_please": {"KM_ASSIGN_TO": "thandi@example.com"},
}


def handed_over(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [one["metadata"] for one in messages if "KM_ASSIGN" in str(one.get("metadata"))]


@pytest.mark.parametrize("text", ASSIGNMENTS)
async def test_every_trigger_names_who_gets_it(kommunicate: Kommunicate, text: str) -> None:
    replies = await kommunicate.say(text)
    assert handed_over(replies) == [ASSIGNMENTS[text]]
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_it_is_silent_if_the_settings_say_so(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(handoff_response=None)) as rasa:
        kommunicate = Kommunicate(rasa)
        assert await kommunicate.say("/silently") == [{"message": "", "metadata": {"KM_ASSIGN_TEAM": "77"}}]


async def test_nobody_named_in_the_projects_own_words_is_whom_the_rules_name(kommunicate: Kommunicate) -> None:
    own = {"message": "One moment.", "metadata": {"KM_ASSIGN_TO": None}}
    assert await kommunicate.say(kommunicate.will_say({"custom": own})) == [own]
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_the_next_message_is_the_bots_again(kommunicate: Kommunicate) -> None:
    await kommunicate.say("/give_up")
    assert await kommunicate.texts("hello") == ["Hello."]
    tracker = await kommunicate.rasa.tracker("4711")
    assert not tracker["paused"]
    assert tracker["slots"]["handoff_outcome"] == "resolved"
    assert handed_over(await kommunicate.say("/give_up")) == [{"KM_ASSIGN_TO": ""}], "and it may be handed over again"


async def test_a_report_of_the_platform_does_not_end_the_handoff(
    kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture
) -> None:
    await kommunicate.say("/give_up")
    with caplog.at_level("INFO"):
        assert await kommunicate.say("Assigned to Thandi", contentType=10) == []
    assert "A report of the platform's about de650d61 is ignored." in caplog.text
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_a_message_that_crosses_the_handoff_is_the_peoples(kommunicate: Kommunicate) -> None:
    asked, replies = await asyncio.gather(kommunicate.say("/give_up"), kommunicate.say("hello"))
    assert (handed_over(asked), replies) == ([{"KM_ASSIGN_TO": ""}], [])
    assert (await kommunicate.rasa.tracker("4711"))["paused"]
    last = (await kommunicate.user_events())[-1]
    assert (last["text"], last["metadata"]["speaker"]) == ("hello", "customer")


async def test_a_message_right_after_the_handoff_crossed_it_too(platform_model: Path, tmp_path: Path) -> None:
    """Kommunicate has not read the answer yet."""
    async with RasaServer(platform_model, tmp_path, settings(crossing_seconds=2)) as rasa:
        kommunicate = Kommunicate(rasa)
        await kommunicate.say("/give_up")
        handed = time.time()
        assert await kommunicate.say("hello") == []
        assert (await rasa.tracker("4711"))["paused"]
        await eventually(lambda: time.time() - handed > 2)
        assert await kommunicate.texts("hello") == ["Hello."]


async def test_nothing_makes_the_bot_speak_meanwhile(kommunicate: Kommunicate) -> None:
    rasa = kommunicate.rasa
    await kommunicate.say("/give_up")
    said = [event for event in await rasa.events("4711") if event["event"] == "bot"]
    rasa.app.ctx.agent.processor.domain.session_config = SessionConfig(0.0001, True)
    trigger = f"{rasa.url}/conversations/4711/trigger_intent?output_channel=latest"
    async with rasa.http.post(trigger, json={"name": "greet"}) as answer:
        assert answer.status == 200
    tracker = await rasa.tracker("4711")
    assert tracker["paused"]
    assert [event for event in tracker["events"] if event["event"] == "bot"] == said
    assert [event["event"] for event in tracker["events"]].count("session_started") == 1


async def test_a_form_goes_on_after_a_chat_longer_than_the_session(kommunicate: Kommunicate) -> None:
    assert await kommunicate.texts("I want to move") == ["Which street?"]
    replies = await kommunicate.say("/execute_handoff")
    assert "Which street?" not in str(replies), "the form's own question is held back"
    processor = kommunicate.rasa.app.ctx.agent.processor
    processor.domain.session_config = SessionConfig(0.02, True)
    last = (await kommunicate.user_events())[-1]["timestamp"]
    await eventually(lambda: time.time() - last > 1.2 * 2)
    assert await kommunicate.texts("Church Road 17") == ["Which town?"]
    processor.domain.session_config = SessionConfig(60, True)
    assert await kommunicate.texts("Durban") == ["Moved to Church Road 17 in Durban."]


async def test_a_form_that_took_the_request_as_its_answer_asks_again(kommunicate: Kommunicate) -> None:
    assert await kommunicate.texts("/deaf_move") == ["Which street, deaf one?"]
    await kommunicate.say("/execute_handoff")
    assert (await kommunicate.rasa.tracker("4711"))["slots"]["deaf_street"] is None
    assert await kommunicate.texts("Long Street 1") == ["Which town, deaf one?"]
    assert (await kommunicate.rasa.tracker("4711"))["slots"]["deaf_street"] == "Long Street 1"


async def test_a_welcome_after_the_handoff_is_no_answer_in_a_form(kommunicate: Kommunicate) -> None:
    await kommunicate.say("I want to move")
    await kommunicate.say("/execute_handoff")
    replies = await kommunicate.texts(eventName="WELCOME")
    assert replies[-1] == "Which street?"
    tracker = await kommunicate.rasa.tracker("4711")
    assert (tracker["paused"], tracker["slots"]["street"]) == (False, None)
    assert await kommunicate.texts("Church Road 17") == ["Which town?"]


SKIPPED = {"KM_CHAT_CONTEXT": {"skipBotEvent": ["WELCOME_EVENT"]}}


@pytest.mark.parametrize(("welcome", "metadata"), [(None, {}), ("welcome", SKIPPED)], ids=["not mapped", "skipped"])
async def test_a_welcome_that_is_not_answered_brings_it_back_too(
    platform_model: Path, tmp_path: Path, welcome: str | None, metadata: dict[str, Any]
) -> None:
    async with RasaServer(platform_model, tmp_path, settings(welcome=welcome)) as rasa:
        kommunicate = Kommunicate(rasa)
        await kommunicate.say("/give_up")
        assert await kommunicate.say("Thandi joined", contentType=10) == []
        assert (await rasa.tracker("4711"))["paused"], "a notice is no welcome"
        assert await kommunicate.say(eventName="WELCOME", metadata=metadata) == []
        tracker = await rasa.tracker("4711")
        assert (tracker["paused"], tracker["slots"]["handoff_outcome"]) == (False, "resolved")


async def test_a_welcome_that_crosses_the_handoff_brings_nothing_back(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(welcome=None, crossing_seconds=60)) as rasa:
        kommunicate = Kommunicate(rasa)
        await kommunicate.say("/give_up")
        events = await rasa.events("4711")
        assert await kommunicate.say(eventName="WELCOME") == []
        assert await rasa.events("4711") == events
