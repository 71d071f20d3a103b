"""An error in a customer's turn is never silence: wherever it happens, the customer is told that the message wasn't taken."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from rasa.core.channels.channel import CollectingOutputChannel
from rasa.core.channels.socketio import SocketIOOutput
from rasa.core.nlg.response import TemplatedNaturalLanguageGenerator
from rasa.core.processor import MessageProcessor

from rasa_handoff.channel.turn.handoff_offer import HandoffOffers
from rasa_handoff.channel.turn.orphaned_pauses import OrphanedPauses
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import NOT_TAKEN
from tests.support.scripted_actions import ActionServer


class Broken(Exception):
    """An error that no code of ours expects."""


def broken(*_: Any, **__: Any) -> Any:
    raise Broken("in this test")


async def called_off(*_: Any, **__: Any) -> Any:
    raise asyncio.CancelledError


Break = Callable[[pytest.MonkeyPatch, RasaServer], None]

IN_THE_BOT: dict[str, Break] = {
    "the NLU": lambda patch, rasa: patch.setattr(MessageProcessor, "parse_message", broken),
    "a policy": lambda patch, rasa: patch.setattr(MessageProcessor, "_predict_next_with_tracker", broken),
    "a response": lambda patch, rasa: patch.setattr(TemplatedNaturalLanguageGenerator, "generate", broken),
    "slot extraction": lambda patch, rasa: patch.setattr(MessageProcessor, "run_action_extract_slots", broken),
    "the tracker store": lambda patch, rasa: patch.setattr(MessageProcessor, "save_tracker", broken),
    "a turn that is called off": lambda patch, rasa: patch.setattr(MessageProcessor, "handle_message", called_off),
    "no model": lambda patch, rasa: patch.setattr(rasa.app.ctx, "agent", None),
    "our look before the turn": lambda patch, rasa: patch.setattr(OrphanedPauses, "resume_orphan", broken),
    "a lookup of the intent": lambda patch, rasa: patch.setattr(
        "rasa_handoff.channel.inbound.interceptor.intent_of", broken
    ),
}


@pytest.fixture
async def actions() -> AsyncIterator[ActionServer]:
    async with ActionServer() as server:
        yield server


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, actions: ActionServer, tmp_path: Path) -> AsyncIterator[RasaServer]:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), actions.endpoints) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the errors that our own loggers have logged."""
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [record.getMessage() for record in errors if record.name.startswith("rasa_handoff")]


async def streamed(rasa: RasaServer, text: str, sender: str) -> list[str]:
    body = {"sender": sender, "message": text}
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook?stream=true", json=body, timeout=10) as answer:
        return [line.decode() for line in (await answer.read()).splitlines()]


async def test_whatever_fails_the_customer_is_told_and_the_bot_goes_on(
    rasa: RasaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """On ``rest`` in the answer, streamed or whole; on socketio as a message, and with acks in the acknowledgement."""
    async with ScriptedCustomer(rasa.url, "plain") as plain, ScriptedCustomer(rasa.url, "acks", acks=True) as acks:
        for name, break_it in IN_THE_BOT.items():
            with pytest.MonkeyPatch.context() as patch:
                break_it(patch, rasa)
                caplog.clear()
                assert (name, (await rasa.texts("hello", "resting"))[-1]) == (name, NOT_TAKEN)
                if name != "a response":  # Rasa has logged the error of an action
                    assert len(complaints(caplog)) == 1, (name, complaints(caplog))
                reported = plain.texts.count(NOT_TAKEN)
                await plain.say("hello")
                await eventually(lambda reported=reported: plain.texts.count(NOT_TAKEN) == reported + 1, what=name)
                answer = await acks.say_with_id("hello")
                if name == "a response":
                    await acks.hears(NOT_TAKEN)
                else:
                    assert (name, answer["ok"], answer["code"]) == (name, False, "failed")
                assert NOT_TAKEN in (await streamed(rasa, "hello", "streaming"))[-1], name
            assert (name, await rasa.texts("hello", "resting")) == (name, ["Hello."])
        assert await acks.say_with_id("hello") == {"ok": True}


async def test_where_an_error_comes_from_is_logged_once_a_minute(
    rasa: RasaServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Customers can't fill the log with traces; each message still has its line."""
    monkeypatch.setattr(MessageProcessor, "parse_message", broken)
    for _ in range(5):
        assert await rasa.texts("hello") == [NOT_TAKEN]
    assert len(complaints(caplog)) == 5
    traced = [record for record in caplog.records if record.exc_info and record.name.startswith("rasa_handoff")]
    assert len(traced) == 1


async def test_an_action_that_fails_without_a_word_is_told(rasa: RasaServer, actions: ActionServer) -> None:
    """Rasa logs it and goes on. Was something said after it, that is the answer."""
    actions.will(status=500)
    assert await rasa.texts("/act") == [NOT_TAKEN]
    actions.will({"text": "Done."})
    assert await rasa.texts("/act") == ["Done."]
    async with ScriptedCustomer(rasa.url, "acks", acks=True) as page:
        actions.will(status=500)
        assert await page.say_with_id("/act") == {"ok": True}, "the bot has it: its answer is that it failed"
        await page.hears(NOT_TAKEN)
    await actions.__aexit__()
    assert await rasa.texts("/act") == [NOT_TAKEN]
    await actions.__aenter__()


async def test_a_turn_that_runs_in_circles_without_a_word_is_told(rasa: RasaServer, actions: ActionServer) -> None:
    """Rasa stops it after ten actions, and by itself would stop every later one too."""
    for _ in range(2):
        actions.will(events=[{"event": "followup", "name": "action_scripted"}])
        assert await rasa.texts("/act") == [NOT_TAKEN]
        actions.will({"text": "Again."}, events=[{"event": "followup", "name": "action_scripted"}])
        assert set(await rasa.texts("/act")) == {"Again."}
    assert await rasa.texts("hello") == ["Hello."]


async def test_a_channel_that_fails_half_way_through_an_answer_says_so(rasa: RasaServer) -> None:
    sent: list[str] = []

    async def refuses(self: Any, recipient_id: str, text: str, **_: Any) -> None:
        if text == "Hello.":
            raise Broken("the vendor says no")
        sent.append(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SocketIOOutput, "send_text_message", refuses)
        async with ScriptedCustomer(rasa.url, "thabo") as page:
            await page.say("hello")
            await eventually(lambda: sent == [NOT_TAKEN])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CollectingOutputChannel, "send_image_url", broken)
        reported = await rasa.texts("show me things")
        assert reported[-1] == NOT_TAKEN


async def test_a_channel_that_takes_nothing_now_tells_it_later(rasa: RasaServer) -> None:
    down = True
    original = SocketIOOutput.send_text_message

    async def sends(self: Any, recipient_id: str, text: str, **more: Any) -> None:
        if down:
            raise ConnectionError("the vendor is away")
        await original(self, recipient_id, text, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SocketIOOutput, "send_text_message", sends)
        async with ScriptedCustomer(rasa.url, "thabo") as page:
            await page.say("hello")
            await eventually(lambda: rasa.channel.relay.waiting_entries("customer", "thabo"))
            down = False
            await page.hears(NOT_TAKEN)


async def test_a_handoff_that_fails_is_told(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HandoffOffers, "request", broken)
        assert (await rasa.texts("/execute_handoff"))[-1] == NOT_TAKEN
    assert not rasa.channel.relay.silences_bot("thabo")
    await eventually(lambda: rasa.channel.desk.availability.staffed)
    assert "number 1" in (await rasa.texts("/execute_handoff"))[0]


async def test_words_to_an_agent_that_fail_are_told(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await eventually(lambda: rasa.channel.desk.availability.staffed)
    await rasa.texts("/execute_handoff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasa_handoff.channel.inbound.to_desk._parts", broken)
        assert await rasa.texts("are you there?") == [NOT_TAKEN]
    assert await rasa.texts("are you there?") == []
