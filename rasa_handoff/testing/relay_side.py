"""A relay with a desk and a real store, without Rasa."""

import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import msgspec

from rasa_handoff.desks.base import Desk
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.values import Channel, Line, Offer, Speaker
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import eventually

LINES: Final = (Line(speaker=Speaker.CUSTOMER, text="help", at=1.0), Line(speaker=Speaker.BOT, text="how?", at=2.0))


def _offer(who: str, lines: tuple[Line, ...] = ()) -> Offer:
    ids: dict[str, Any] = {"handoff_id": uuid.uuid4().hex, "conversation_id": who}
    return Offer(**ids, bot_id="b", channel=Channel(name="rest"), transcript=lines)


class RecordingTarget:
    """A target of the outbox that keeps the ``entries`` it gets, in place of customer and tracker."""

    batch = 1
    recognises = True

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Keep the entries. A return to the bot is done at once."""
        self.entries.extend(entries)
        if entries[0].name == "back":
            return [events.Returned(conversation_id=lane, handoff_id=entries[0].body["handoff_id"])]
        return []


class RelaySide:
    """A relay with a desk: ``async with RelaySide(MyDesk, settings) as side`` connects it.

    ``customer`` and ``tracker`` record what they get.
    """

    def __init__(self, kind: type[Desk], settings: Settings) -> None:
        store = repository.RelayStore(
            settings.store, repository.metadata, repository.SIDE, repository.SCHEMA, repository.STEPS, shares=True
        )
        self.relay = Relay(store, settings)
        self.desk = kind(settings, self.relay)
        self.customer, self.tracker = RecordingTarget(), RecordingTarget()

    async def __aenter__(self) -> "RelaySide":
        await self.relay.open({DESK: self.desk, CUSTOMER: self.customer, TRACKER: self.tracker})
        await self.desk.open()
        await eventually(lambda: self.desk.connected)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self.desk.close()
        await self.relay.close()

    async def start(self, who: str = "thabo") -> str:
        """Hand a conversation over and return the handoff's id. The desk accepts it; the transcript is "help" and "how?"."""
        offer = _offer(who, LINES)
        ids: dict[str, Any] = {"conversation_id": who, "handoff_id": offer.handoff_id}
        conversation = await self.relay.requests.offer(
            events.HandoffRequested(**ids, offer=offer, leaving_word="disconnect")
        )
        assert conversation.desk_active, conversation
        return offer.handoff_id

    async def start_without_transcript(self, who: str = "thabo") -> Offer:
        """Hand a conversation over while the tracker can't be read.

        Returns the offer, which :meth:`transcript_follows` completes.
        """
        offer = msgspec.structs.replace(_offer(who), transcript_follows=True)
        ids: dict[str, Any] = {"conversation_id": who, "handoff_id": offer.handoff_id}
        await self.relay.requests.offer(events.TranscriptAwaited(**ids, offer=offer, leaving_word="disconnect"))
        await self.relay.apply(events.TranscriptTimedOut(**ids))
        await eventually(lambda: self.relay.silences_bot(who))
        return offer

    async def transcript_follows(self, offer: Offer) -> None:
        """Send the transcript, "help" and "how?", as if the tracker could be read now."""
        whole = msgspec.structs.replace(offer, transcript=LINES, transcript_follows=False)
        ids: dict[str, Any] = {"conversation_id": offer.conversation_id, "handoff_id": offer.handoff_id}
        await self.relay.apply(events.TranscriptRead(**ids, offer=whole))

    async def says(self, text: str, who: str = "thabo") -> None:
        """Let the customer say something; returns once it is accepted."""
        said = events.CustomerSaid(conversation_id=who, id=uuid.uuid4().hex, text=text, at=time.time())
        await self.relay.apply(said)

    def agent_messages(self, who: str | None = None) -> list[str]:
        """Return the agent's messages that were delivered to customers, in order; only to one customer, if ``who`` is given."""
        entries = [entry for entry in self.customer.entries if entry.name == Speaker.AGENT.value]
        return [entry.body["text"] for entry in entries if who in (None, entry.lane)]
