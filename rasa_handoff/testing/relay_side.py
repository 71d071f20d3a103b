"""A relay with a desk and a real store, without Rasa."""

import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import msgspec

from rasa_handoff.desks.base import Desk
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import until
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Channel, Line, Offer, Speaker

LINES: Final = (Line(speaker=Speaker.CUSTOMER, text="help", at=1.0), Line(speaker=Speaker.BOT, text="how?", at=2.0))


def _offer(who: str, lines: tuple[Line, ...] = ()) -> Offer:
    here: dict[str, Any] = {"handoff_id": uuid.uuid4().hex, "conversation_id": who}
    return Offer(**here, bot_id="b", channel=Channel(name="rest"), transcript=lines)


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
        offer = _offer(who, LINES)
        here: dict[str, Any] = {"conversation_id": who, "handoff_id": offer.handoff_id}
        conversation = await self.relay.request(e.HandoffRequested(**here, offer=offer, leaving_word="disconnect"))
        assert conversation.desk_active, conversation
        return offer.handoff_id

    async def start_without_transcript(self, who: str = "thabo") -> Offer:
        """The same while the tracker can't be read; returns the offer, which :meth:`transcript_follows` completes."""
        offer = msgspec.structs.replace(_offer(who), transcript_follows=True)
        here: dict[str, Any] = {"conversation_id": who, "handoff_id": offer.handoff_id}
        await self.relay.request(e.TranscriptAwaited(**here, offer=offer, leaving_word="disconnect"))
        await self.relay.apply(e.TranscriptTimedOut(**here))
        await until(lambda: self.relay.desk_active(who))
        return offer

    async def transcript_follows(self, offer: Offer) -> None:
        """The tracker can be read now: "help" and "how?"."""
        whole = msgspec.structs.replace(offer, transcript=LINES, transcript_follows=False)
        here: dict[str, Any] = {"conversation_id": offer.conversation_id, "handoff_id": offer.handoff_id}
        await self.relay.apply(e.TranscriptRead(**here, offer=whole))

    async def says(self, text: str, who: str = "thabo") -> None:
        """The customer says something; returns when it is accepted."""
        said = e.CustomerSaid(conversation_id=who, id=uuid.uuid4().hex, text=text, at=time.time())
        await self.relay.apply(said)

    def told(self, who: str | None = None) -> list[str]:
        """The agent's words that the customer was told, in order; of one customer, if they are named."""
        entries = [entry for entry in self.customer.entries if entry.name == Speaker.AGENT.value]
        return [entry.body["text"] for entry in entries if who in (None, entry.lane)]
