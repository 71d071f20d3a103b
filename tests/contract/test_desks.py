"""What every desk keeps, whichever system stands behind it. A new desk arrives by adding one far side to ``sides.py``."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings, read_settings
from tests.contract.sides import FAR_SIDES, Ear, FarSide, ForeignFarSide, OurFarSide, RelaySide
from tests.support.foreign import ForeignServer
from tests.support.waiting import until


@pytest.fixture(params=FAR_SIDES, ids=lambda side: side.__name__)
async def far(request: pytest.FixtureRequest) -> AsyncIterator[FarSide]:
    side: FarSide = request.param()
    yield side
    await side.stop()


@pytest.fixture
async def settings(far: FarSide, tmp_path: Path) -> Settings:
    desk = await far.start(tmp_path)
    store = f"sqlite:///{tmp_path / 'relay.db'}"
    return read_settings({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}})


@pytest.fixture
async def side(far: FarSide, settings: Settings) -> AsyncIterator[RelaySide]:
    async with RelaySide(far, settings) as relay_side:
        yield relay_side


async def test_it_gets_the_transcript(side: RelaySide, far: FarSide) -> None:
    await side.start()
    await far.take()
    assert await until(far.transcript) == ["help", "how?"]


async def test_both_talk_in_order(side: RelaySide, far: FarSide) -> None:
    await side.start()
    for number in range(10):
        await side.says(f"customer {number}")
    await until(lambda: _is(far, [f"customer {number}" for number in range(10)]))
    for number in range(10):
        await far.say(f"agent {number}")
    await until(lambda: len(side.told()) == 10)
    assert side.told() == [f"agent {number}" for number in range(10)]


async def _is(far: FarSide, texts: list[str]) -> bool:
    return await far.heard() == texts


async def test_its_end_brings_the_conversation_back(side: RelaySide, far: FarSide) -> None:
    await side.start()
    await far.end()
    await until(lambda: side.relay.conversation("thabo").state is Control.BOT)
    assert [entry.name for entry in side.tracker.entries] == ["pause", "back"]


async def test_words_survive_a_cut(side: RelaySide, far: FarSide) -> None:
    await side.start()
    await side.says("before")
    await until(lambda: _is(far, ["before"]))
    await asyncio.gather(far.cut(), side.says("meanwhile"))
    await side.says("after")
    await until(lambda: _has_all(far, ["before", "meanwhile", "after"]))
    await far.say("still here")
    await until(lambda: side.told() == ["still here"])


async def _has_all(far: FarSide, texts: list[str]) -> bool:
    return [text for text in await far.heard() if text in texts] == texts


async def test_a_restart_of_the_relay_goes_on(far: FarSide, settings: Settings) -> None:
    async with RelaySide(far, settings) as side:
        await side.start()
        await side.says("one")
        await until(lambda: _is(far, ["one"]))
    async with RelaySide(far, settings) as side:
        assert side.relay.desk_active("thabo")
        await side.says("two")
        await until(lambda: _is(far, ["one", "two"]))
        await far.say("welcome back")
        await until(lambda: side.told() == ["welcome back"])


async def test_the_customer_may_leave(side: RelaySide, far: FarSide) -> None:
    await side.start()
    await side.relay.apply(e.CustomerLeaving(conversation_id="thabo", id="l", text="disconnect", at=4.0))
    await until(lambda: side.relay.conversation("thabo").state is Control.BOT)
    await side.start()


async def test_a_server_that_greets_at_once_is_heard(tmp_path: Path) -> None:
    far = ForeignFarSide()
    desk = await far.start(tmp_path)
    store = f"sqlite:///{tmp_path / 'relay.db'}"
    settings = read_settings({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}})
    far.server.greeting = "One moment please."
    async with RelaySide(far, settings) as side:
        await side.start()
        await far.say("What can I do for you?")
        await until(lambda: len(side.told()) == 2)
        assert side.told() == ["One moment please.", "What can I do for you?"]
    await far.stop()


async def test_a_foreign_server_is_read_tolerantly(tmp_path: Path) -> None:
    """A bare string, an unknown key, no payload at all, a second request for the transcript."""
    far = ForeignFarSide()
    settings = read_settings(
        {
            "bot_id": "b",
            "desk": await far.start(tmp_path),
            "store": f"sqlite:///{tmp_path / 'relay.db'}",
            "channels": {"rest": None},
        }
    )
    async with RelaySide(far, settings) as side:
        await side.start()
        await far.server.say("to_user", "bare")
        await far.server.say("to_user", {"message": "with more", "mood": "good"})
        await far.server.say("to_user")
        await far.server.say("messages", {"again": True})
        await until(lambda: side.told() == ["bare", "with more"])
        await until(lambda: len(far.server.all("messages_to_client")) == 2)
        assert far.server.all("username") == [{"ConversationID": "thabo", "BotID": "b"}]
    await far.stop()


async def test_a_stranger_on_our_type_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server without our namespace: the log says what to write, and a handoff fails kindly."""
    async with ForeignServer() as stranger:
        settings = read_settings(
            {
                "bot_id": "b",
                "desk": {"url": stranger.url},
                "store": f"sqlite:///{tmp_path / 'relay.db'}",
                "channels": {"rest": None},
            }
        )
        relay = Relay(Store(settings.store, memory.metadata, memory.SIDE, memory.SCHEMA), settings)
        desk = OurDesk(settings, relay)
        await relay.open({DESK: desk, CUSTOMER: Ear(), TRACKER: Ear()})
        await desk.open()
        await until(lambda: "can't be reached" in caplog.text)
        assert not desk.connected
        await desk.close()
        await relay.close()


async def test_what_our_server_sends_twice_is_told_once(tmp_path: Path) -> None:
    """An acknowledgement that was lost: the same status and the same message come again, and are acknowledged again."""
    far = OurFarSide()
    store = f"sqlite:///{tmp_path / 'relay.db'}"
    settings = read_settings(
        {"bot_id": "b", "desk": await far.start(tmp_path), "store": store, "channels": {"rest": None}}
    )
    async with RelaySide(far, settings) as side:
        handoff_id = await side.start()
        await until(lambda: side.customer.entries)
        desk: Any = side.desk
        moved = {"handoff_id": handoff_id, "id": "s1", "number": 901, "status": "unanswered", "seconds": 1}
        said = {"handoff_id": handoff_id, "id": "m1", "number": 902, "speaker": "agent", "text": "hi", "at": 1.0}
        for _ in range(3):
            assert (await desk._on_status(moved))["ok"]
            assert (await desk._on_message(said))["ok"]
        await until(lambda: side.told() == ["hi"])
        told = [entry.body.get("response") for entry in side.customer.entries]
        assert told.count("utter_handoff_nobody_yet") == 1
        assert (await side.relay.last_received())[handoff_id] == 902
    await far.stop()
