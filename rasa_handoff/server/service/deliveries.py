"""Deliveries to the customer's side: what the outbox entries of a conversation became, and what that says about its messages."""

from collections.abc import Sequence
from typing import Final

from rasa_handoff.core.assignment import Stage
from rasa_handoff.core.assignment_events import Delivered, RelayLost, Undelivered
from rasa_handoff.protocol.desk_payloads import Message
from rasa_handoff.protocol.payloads import MessagePayload
from rasa_handoff.protocol.values import Speaker, Status, Value
from rasa_handoff.server.service.publications import Marked
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.outbox import Entry

FORGOTTEN: Final = "The bot's side no longer knows this conversation."
ARRIVED: Final = (Status.DELIVERED, Status.READ)


class Mark(Value, frozen=True, kw_only=True):
    """A message's status, known from the delivery of its outbox entry.

    ``customer_is_away``: whether it waits for the customer to come back.
    """

    handoff_id: str
    message_id: str
    status: Status
    reason: str | None = None
    customer_is_away: bool = False


class Lost(Value, frozen=True, kw_only=True):
    """Delivering an outbox entry showed that the bot's side doesn't know the conversation."""

    handoff_id: str


class DeliveryService(Service):
    """Notes what became of deliveries: for the dispatcher, and for gateways."""

    async def finish(self, entries: Sequence[Entry], results: Sequence[Mark | Lost]) -> None:
        """Remove delivered entries. ``results``: what is known from delivering them about messages and conversations."""

        def work(unit: UnitOfWork) -> None:
            handoffs.lock(unit.connection, (one.handoff_id for one in results))
            OUTBOX.remove(unit.connection, entries)
            mark_all(unit, [mark for mark in results if isinstance(mark, Mark)])
            for lost in results:
                if isinstance(lost, Lost):
                    _lose(unit, lost.handoff_id)

        await self.do(work)

    async def set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of an entry that can't be delivered. A message is marked as failed, so that its sender sees it."""

        def work(unit: UnitOfWork) -> None:
            handoffs.lock(unit.connection, [entry.lane])
            OUTBOX.set_aside(unit.connection, entry.key, reason)
            mark_all(unit, failed_marks(entry, reason))

        await self.do(work)

    async def note(self, marks: Sequence[Mark]) -> None:
        """Note the status of messages whose entries stay in the outbox."""
        await self.do(lambda unit: mark_all(unit, marks))


def mark_message(unit: UnitOfWork, record: Record, mark: Mark) -> None:
    """Store and publish the status of a message on its way to the customer."""
    message = handoffs.raise_status(unit.connection, record.handoff_id, mark.message_id, mark.status, mark.reason)
    if mark.customer_is_away and record.assignment.stage is Stage.ASSIGNED and _waits(unit, record, mark):
        unit.apply(record, Undelivered(at=unit.now))
    if message is None:
        return
    unit.publications.append(
        Marked(
            viewers=unit.readers(record),
            handoff_id=record.handoff_id,
            message_id=mark.message_id,
            status=mark.status,
            reason=mark.reason,
        )
    )
    if record.assignment.stage is Stage.ASSIGNED and _has_arrived(unit, record, message, mark.status):
        unit.apply(record, Delivered(at=unit.now))


def _waits(unit: UnitOfWork, record: Record, mark: Mark) -> bool:
    """Return whether an agent's message waits for the customer, who hasn't written after it."""
    message = handoffs.find_message(unit.connection, record.handoff_id, mark.message_id)
    if message is None or message.speaker is not Speaker.AGENT or message.status is not Status.WAITING:
        return False
    return handoffs.is_unanswered(unit.connection, record.handoff_id, message)


def _has_arrived(unit: UnitOfWork, record: Record, message: Message, status: Status) -> bool:
    """Return whether an agent's message has just reached the customer, and the customer hasn't answered already."""
    arrived = message.status not in ARRIVED and status in ARRIVED
    agents = message.speaker is Speaker.AGENT
    return arrived and agents and handoffs.is_unanswered(unit.connection, record.handoff_id, message)


def mark_all(unit: UnitOfWork, marks: Sequence[Mark]) -> None:
    """Store and publish the status of several messages."""
    for mark in marks:
        record = handoffs.find(unit.connection, mark.handoff_id)
        if record is not None:
            mark_message(unit, record, mark)


def _lose(unit: UnitOfWork, handoff_id: str) -> None:
    """End a conversation that the bot's side doesn't know; what still waits for it has failed."""
    record = handoffs.find(unit.connection, handoff_id)
    if record is not None:
        waiting = OUTBOX.head(unit.connection, record.side, handoff_id)
        for entry in waiting:
            mark_all(unit, failed_marks(entry, FORGOTTEN))
        OUTBOX.remove(unit.connection, waiting)
        unit.apply(record, RelayLost(at=unit.now))


def failed_marks(entry: Entry, reason: str) -> tuple[Mark, ...]:
    """Return the mark of a message that can't be delivered; nothing for another kind of entry, or for a malformed one."""
    payload = entry.body.get("payload")
    id = payload.get("id") if isinstance(payload, dict) and entry.name == MessagePayload.event else None
    return (
        (Mark(handoff_id=entry.lane, message_id=id, status=Status.FAILED, reason=reason),)
        if isinstance(id, str)
        else ()
    )
