"""What the bots' side does to conversations: the relays, and clients of Botlhale's protocol."""

from collections.abc import Sequence
from typing import Any

import msgspec

from rasa_handoff.server import accounts, records, resuming, staffing, summaries
from rasa_handoff.server.door import RELAY, Door, Mark
from rasa_handoff.server.news import CustomerTyping
from rasa_handoff.server.records import Record
from rasa_handoff.server.relay_words import Followed, Heard
from rasa_handoff.server.turn import Turn
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.thinking.desk_events import CustomerEnded, CustomerSaid, MessageLeft
from rasa_handoff.thinking.transcript import latest
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import Offer


class BotSide(Door):
    """The door as the bots use it."""

    async def initiate(self, offer: Offer, id: str | None = None, resumed: bool = False) -> dict[str, Any]:
        """A handoff was offered; answered the same way each time. ``resumed``: it was here before, and we have lost it."""

        def work(turn: Turn) -> dict[str, Any]:
            record = records.find(turn.connection, offer.handoff_id)
            if record is None:
                record = _resume(turn, offer) if resumed else _begin(turn, offer)
            elif not _belongs(record, RELAY, offer.bot_id):
                raise Refused("refused", f"The handoff id '{offer.handoff_id}' is another bot's.")
            _hear(turn, offer.handoff_id, id)
            wait = staffing.expected_wait(turn.connection, record.assignment.department)
            return {"status": "queued", "position": record.position or 1, "wait": wait}

        return await self.do(work)

    async def transcript_followed(self, bot_id: str, told: Followed) -> None:
        """What an offer lacked is there now; once."""

        def work(turn: Turn) -> None:
            record = _of_bot(turn, RELAY, bot_id, told.handoff_id)
            if record.offer.transcript_follows:
                _complete(turn, record, told)
            _hear(turn, told.handoff_id, told.id)

        await self.do(work)

    async def customer_said(self, side: str, bot_id: str, handoff_id: str, event: CustomerSaid) -> None:
        """The customer wrote."""

        def work(turn: Turn) -> None:
            turn.say(_of_bot(turn, side, bot_id, handoff_id), event)
            _hear(turn, handoff_id, event.id)

        await self.do(work)

    async def find(self, bot_id: str, conversation_id: str) -> Record | None:
        """The handoff of a conversation that an agent has or that is queued for one."""

        def work(turn: Turn) -> Record | None:
            record = records.newest_of(turn.connection, RELAY, bot_id, conversation_id)
            under_way = record is not None and record.assignment.stage in (Stage.QUEUED, Stage.ASSIGNED)
            return record if under_way else None

        return await self.do(work)

    async def catch_up(self, bot_id: str, heard: Sequence[Heard]) -> resuming.CaughtUp:
        """The relay says how far it has heard each handoff; how far we have heard it."""
        return await self.do(lambda turn: resuming.catch_up(turn, RELAY, bot_id, heard))

    async def message_left(self, bot_id: str, handoff_id: str, id: str | None = None) -> None:
        """The customer's last message is one to be answered later; no matter if it isn't known here."""

        def work(turn: Turn) -> None:
            record = records.find(turn.connection, handoff_id)
            if record is not None and _belongs(record, RELAY, bot_id):
                turn.apply(record, MessageLeft(at=turn.now))
                _hear(turn, handoff_id, id)

        await self.do(work)

    async def customer_ended(
        self, side: str, bot_id: str, handoff_id: str, event: CustomerEnded, id: str | None = None
    ) -> None:
        """The customer's side ended it; no matter if it isn't known here."""

        def work(turn: Turn) -> None:
            record = records.find(turn.connection, handoff_id)
            if record is not None and _belongs(record, side, bot_id):
                turn.apply(record, event)
                _hear(turn, handoff_id, id)

        await self.do(work)

    async def message_status(self, bot_id: str, mark: Mark, id: str | None = None) -> None:
        """The relay says what became of an agent's message."""

        def work(turn: Turn) -> None:
            record = _of_bot(turn, RELAY, bot_id, mark.handoff_id)
            turn.mark(record, mark.message_id, mark.status, mark.reason)
            _hear(turn, mark.handoff_id, id)

        await self.do(work)

    async def customer_typing(self, bot_id: str, handoff_id: str, on: bool) -> None:
        """For whoever sees the conversation; never stored."""

        def work(turn: Turn) -> None:
            record = _of_bot(turn, RELAY, bot_id, handoff_id)
            seen_by = summaries.viewers(turn.connection, record)
            turn.news.append(CustomerTyping(viewers=seen_by, handoff_id=handoff_id, on=on))

        await self.do(work)


def _hear(turn: Turn, handoff_id: str, id: str | None) -> None:
    if id is not None:
        records.hear(turn.connection, handoff_id, id)


def _begin(turn: Turn, offer: Offer) -> Record:
    staffing.check(turn.connection, offer)
    return turn.arrive(offer, RELAY, offer.department)


def _resume(turn: Turn, offer: Offer) -> Record:
    """Whoever is there; to everybody, if its department was lost too."""
    known = offer.department is not None and accounts.has_department(turn.connection, offer.department)
    return turn.arrive(offer, RELAY, offer.department if known else None, ahead=True)


def _complete(turn: Turn, record: Record, told: Followed) -> None:
    """An offer made again meanwhile has the live words in its transcript: they come after those from before."""
    offer = msgspec.structs.replace(
        record.offer,
        transcript=latest((*told.transcript, *record.offer.transcript)),
        bot=told.bot,
        contact=told.contact,
        language=told.language,
        transcript_follows=False,
    )
    whole = record.but(offer=offer)
    records.save_offer(turn.connection, whole)
    turn.show_whole(whole)


def _of_bot(turn: Turn, side: str, bot_id: str, handoff_id: str) -> Record:
    record = records.must_find(turn.connection, handoff_id)
    if not _belongs(record, side, bot_id):
        raise Refused("unknown_handoff", "This conversation isn't known here.")
    return record


def _belongs(record: Record, side: str, bot_id: str) -> bool:
    return record.side == side and record.offer.bot_id == bot_id
