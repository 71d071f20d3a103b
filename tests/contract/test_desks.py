"""What every desk keeps, whichever system stands behind it. A new desk arrives by adding one far side to ``FAR_SIDES``."""

import abc
import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from rasa_handoff.desks.base import Desk
from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.desks.tkinter_demo import TkinterDesk
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings, read_settings
from rasa_handoff.vocabulary.values import Channel, Line, Offer, Speaker
from tests.support.admin_window import Admin
from tests.support.desk import AgentAtDesk, DeskServer
from tests.support.foreign import ForeignServer
from tests.support.waiting import until


class FarSide(abc.ABC):
    """The system behind a desk, played for real, and the person at it."""

    kind: type[Desk]
    near: "RelaySide"

    @abc.abstractmethod
    async def start(self, folder: Path) -> dict[str, Any]:
        """Start it; returns the desk's settings."""

    @abc.abstractmethod
    async def stop(self) -> None: ...

    async def take(self) -> None:  # noqa: B027 - most protocols know no such thing
        """The agent takes the conversation, where the protocol knows such a thing."""

    @abc.abstractmethod
    async def say(self, text: str) -> None: ...

    @abc.abstractmethod
    async def heard(self) -> list[str]:
        """The customer's words, in order."""

    @abc.abstractmethod
    async def transcript(self) -> list[str]: ...

    @abc.abstractmethod
    async def end(self) -> None: ...

    @abc.abstractmethod
    async def cut(self) -> None:
        """Break the connection, without ending the conversation."""


class OurFarSide(FarSide):
    kind = OurDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        self.server = DeskServer(folder)
        self.server.add_agent("Thandi")
        await self.server.__aenter__()
        self.agent = AgentAtDesk(self.server.url, "thandi@example.com")
        await self.agent.__aenter__()
        return {"url": self.server.url}

    async def stop(self) -> None:
        await self.agent.__aexit__()
        await self.server.__aexit__(None, None, None)

    async def take(self) -> None:
        self.handoff_id = (await self.agent.take())["handoff_id"]

    async def _conversation(self) -> dict[str, Any]:
        if not hasattr(self, "handoff_id"):
            await self.take()
        return dict((await self.agent.ask("open", handoff_id=self.handoff_id, after=0))["conversation"])

    async def say(self, text: str) -> None:
        await self._conversation()
        assert (await self.agent.say(self.handoff_id, text))["ok"]

    async def heard(self) -> list[str]:
        messages = (await self._conversation())["messages"]
        return [message["text"] for message in messages if message["speaker"] == "customer"]

    async def transcript(self) -> list[str]:
        return [line["text"] for line in (await self._conversation())["transcript"]]

    async def end(self) -> None:
        await self._conversation()
        answer = await self.agent.ask("resolve", handoff_id=self.handoff_id, outcome="resolved", note=None, slots={})
        assert answer["ok"], answer

    async def cut(self) -> None:
        await self.server.__aexit__(None, None, None)
        await self.server.__aenter__()
        self.agent = AgentAtDesk(self.server.url, "thandi@example.com")
        await self.agent.__aenter__()


class OurBotlhaleFarSide(OurFarSide):
    """Our own server, met as a foreign one by its compatibility edge."""

    kind = BotlhaleDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        return {**await super().start(folder), "type": "botlhale"}


class ForeignFarSide(FarSide):
    kind = BotlhaleDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        self.server = ForeignServer("/live_server")
        await self.server.__aenter__()
        return {"url": self.server.url, "type": "botlhale", "namespace": "/live_server"}

    async def stop(self) -> None:
        await self.server.__aexit__(None, None, None)

    async def say(self, text: str) -> None:
        await self.server.say("to_user", {"message": text})

    async def heard(self) -> list[str]:
        return [data["message"] for data in self.server.all("from_user")]

    async def transcript(self) -> list[str]:
        told = await until(lambda: self.server.all("messages_to_client"))
        return [line["message"] for line in told[-1]["messages"]]

    async def end(self) -> None:
        await self.server.say("disconnect_socket", {})

    async def cut(self) -> None:
        known = len(self.server.all("username"))
        await self.server.cut()
        await until(lambda: len(self.server.all("username")) > known)


class TkinterFarSide(FarSide):
    """A window that forgets: what it was told again after a cut or a restart it shows as said before."""

    kind = TkinterDesk
    offered = 2

    async def start(self, folder: Path) -> dict[str, Any]:
        self.admin = Admin()
        await self.admin.__aenter__()
        return {"type": "tkinter", "admin_port": self.admin.admin_port, "listen_port": self.admin.listen_port}

    async def stop(self) -> None:
        await self.admin.__aexit__(None, None, None)

    async def say(self, text: str) -> None:
        """A person types slower than the other side reads; nothing else keeps two messages apart."""
        known = len(self.near.told())
        await self.admin.say(text)
        await until(lambda: len(self.near.told()) > known)

    async def heard(self) -> list[str]:
        before = [text for name, text in self.admin.before()[self.offered :] if name == "User"]
        return before + self.admin.since()

    async def transcript(self) -> list[str]:
        return [text for _, text in self.admin.before()]

    async def end(self) -> None:
        await until(self.admin.before)
        await self.admin.close()

    async def cut(self) -> None:
        await self.admin.cut()


FAR_SIDES = [OurFarSide, OurBotlhaleFarSide, ForeignFarSide, TkinterFarSide]


class Ear:
    """Stands for customer and tracker: notes what it is given."""

    batch = 1

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        self.entries.extend(entries)
        if entries[0].name == "back":
            return [e.Returned(conversation_id=lane, handoff_id=entries[0].body["handoff_id"])]
        return []


class RelaySide:
    """A relay with a desk and a real store, without Rasa."""

    def __init__(self, far: FarSide, settings: Settings) -> None:
        self.relay = Relay(Store(settings.store, memory.metadata, memory.SIDE, memory.SCHEMA), settings)
        self.desk = far.kind(settings, self.relay)
        self.customer, self.tracker = Ear(), Ear()
        far.near = self

    async def __aenter__(self) -> "RelaySide":
        await self.relay.open({DESK: self.desk, CUSTOMER: self.customer, TRACKER: self.tracker})
        await self.desk.open()
        await until(lambda: self.desk.connected)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self.desk.close()
        await self.relay.close()

    async def start(self, who: str = "thabo") -> str:
        handoff_id = uuid.uuid4().hex
        lines = (Line(speaker=Speaker.CUSTOMER, text="help", at=1.0), Line(speaker=Speaker.BOT, text="how?", at=2.0))
        offer = Offer(
            handoff_id=handoff_id,
            conversation_id=who,
            bot_id="b",
            channel=Channel(name="rest"),
            transcript=lines,
        )
        here = {"conversation_id": who, "handoff_id": handoff_id}
        conversation = await self.relay.request(e.HandoffRequested(**here, offer=offer, leaving_word="disconnect"))
        assert conversation.desk_active, conversation
        return handoff_id

    async def says(self, text: str, who: str = "thabo") -> None:
        said = {"id": uuid.uuid4().hex, "text": text, "at": time.time()}
        await self.relay.apply(e.CustomerSaid(conversation_id=who, **said))

    def told(self) -> list[str]:
        return [entry.body["text"] for entry in self.customer.entries if entry.name == "agent"]


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
