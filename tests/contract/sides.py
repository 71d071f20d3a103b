"""The far sides of every kind of desk, and a relay without Rasa to meet them."""

import abc
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rasa_handoff.desks.base import Desk
from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.desks.tkinter_demo import TkinterDesk
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings
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
