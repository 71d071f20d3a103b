"""A relay with a desk and a real store, without Rasa."""

import time
import uuid
from collections.abc import Sequence
from types import TracebackType

from rasa_handoff.desks.base import Desk
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import until
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Channel, Line, Offer, Speaker


class Ear:
    """Stands for customer and tracker, as a target of the outbox: ``entries`` is what it was given."""

    batch = 1

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Note it; the way back is gone at once."""
        self.entries.extend(entries)
        if entries[0].name == "back":
            return [e.Returned(conversation_id=lane, handoff_id=entries[0].body["handoff_id"])]
        return []


class RelaySide:
    """``async with RelaySide(MyDesk, settings) as side``: connected when it is entered. ``customer`` and ``tracker`` are ears."""

    def __init__(self, kind: type[Desk], settings: Settings) -> None:
        self.relay = Relay(Store(settings.store, memory.metadata, memory.SIDE, memory.SCHEMA), settings)
        self.desk = kind(settings, self.relay)
        self.customer, self.tracker = Ear(), Ear()

    async def __aenter__(self) -> "RelaySide":
        await self.relay.open({DESK: self.desk, CUSTOMER: self.customer, TRACKER: self.tracker})
        await self.desk.open()
        await until(lambda: self.desk.connected)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self.desk.close()
        await self.relay.close()

    async def start(self, who: str = "thabo") -> str:
        """Hand a conversation over that the desk accepts; returns the handoff's id. The transcript: "help" and "how?"."""
        handoff_id = uuid.uuid4().hex
        lines = (Line(speaker=Speaker.CUSTOMER, text="help", at=1.0), Line(speaker=Speaker.BOT, text="how?", at=2.0))
        offer = Offer(
            handoff_id=handoff_id,
            conversation_id=who,
            bot_id="b",
            channel=Channel(name="rest"),
            transcript=lines,
        )
        asked = e.HandoffRequested(conversation_id=who, handoff_id=handoff_id, offer=offer, leaving_word="disconnect")
        conversation = await self.relay.request(asked)
        assert conversation.desk_active, conversation
        return handoff_id

    async def says(self, text: str, who: str = "thabo") -> None:
        """The customer says something; returns when it is accepted."""
        said = e.CustomerSaid(conversation_id=who, id=uuid.uuid4().hex, text=text, at=time.time())
        await self.relay.apply(said)

    def told(self, who: str | None = None) -> list[str]:
        """The agent's words that the customer was told, in order; of one customer, if they are named."""
        entries = [entry for entry in self.customer.entries if entry.name == Speaker.AGENT.value]
        return [entry.body["text"] for entry in entries if who in (None, entry.lane)]
