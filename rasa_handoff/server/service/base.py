"""The base of the services: every change of a conversation is one transaction here.

A gateway calls a method. In one transaction the state machine in :mod:`~rasa_handoff.core.assignment` decides, and rows and
outbox entries are written. After the commit the dispatcher is notified, the publisher informs the gateways, and the caller gets
its answer. No gateway calls another one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from rasa_handoff.core.assignment import TABLE
from rasa_handoff.core.assignment_events import CustomerSilent, NobodyTook, RelayLost
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Availability, Status, Value
from rasa_handoff.server.service import availability
from rasa_handoff.server.service.publisher import AvailabilityChanged, Publisher
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import OUTBOX, TIMERS
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import finish
from rasa_handoff.store.timers import Timer

T = TypeVar("T")

log = get_log(__name__)

FORGOTTEN: Final = "The bot's side no longer knows this conversation."
RELAY: Final = "relay"
"""Side of the conversations that HandoffChannel handed over, and the outbox target that leads back to it."""


class Mark(Value, frozen=True, kw_only=True):
    """The status of a message, as delivering its outbox entry showed it."""

    handoff_id: str
    message_id: str
    status: Status
    reason: str | None = None


class Lost(Value, frozen=True, kw_only=True):
    """Delivering an outbox entry showed that the bot's side doesn't know the conversation."""

    handoff_id: str


class Service:
    """Runs units of work, and does what both sides need.

    The composition root (``server/app.py``) sets ``dispatcher`` before the first call, and ``closing`` when the server stops.
    """

    dispatcher: Dispatcher
    closing: bool = False

    def __init__(self, store: Store, publisher: Publisher, timekeeper: Timekeeper) -> None:
        self._store, self.publisher, self._timekeeper = store, publisher, timekeeper
        self._availability: Availability | None = None

    async def do(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run ``work`` in a transaction; after the commit, notify the dispatcher and publish what changed.

        Raises:
            Unreachable: the server is stopping, or the database can't be used now.
        """
        if self.closing:
            raise Unreachable("The server is stopping.")
        return await finish(self._do(work))

    async def _do(self, work: Callable[[UnitOfWork], T]) -> T:
        def transact(connection: Any) -> tuple[T, UnitOfWork]:
            unit = UnitOfWork(connection, self._timekeeper)
            answer = work(unit)
            OUTBOX.put(connection, unit.entries)
            return answer, unit

        answer, unit = await self._store.write(transact)
        self.dispatcher.notify({entry.lane_key for entry in unit.entries})
        self.publisher.publish(unit.publications)
        for callback in unit.afterwards:
            self.publisher.later(callback)
        return answer

    async def finish(self, entries: Sequence[Entry], shown: Sequence[Mark | Lost]) -> None:
        """Remove delivered entries. ``shown``: what delivering them showed about messages and conversations."""

        def work(unit: UnitOfWork) -> None:
            OUTBOX.remove(unit.connection, entries)
            _mark_all(unit, [mark for mark in shown if isinstance(mark, Mark)])
            for lost in shown:
                if isinstance(lost, Lost):
                    _lose(unit, lost.handoff_id)

        await self.do(work)

    async def set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of an entry that can't be delivered. A message is marked as failed, so that its sender sees it."""

        def work(unit: UnitOfWork) -> None:
            OUTBOX.set_aside(unit.connection, entry.key, reason)
            _mark_all(unit, failed(entry, reason))

        await self.do(work)

    async def note(self, marks: Sequence[Mark]) -> None:
        """Note the status of messages whose entries stay in the outbox."""
        await self.do(lambda unit: _mark_all(unit, marks))

    async def notify(self, timer: Timer) -> None:
        """Apply the event of a timer that is due.

        Raises:
            Unreachable: the database can't be used now, or the server is stopping.
        """

        def work(unit: UnitOfWork) -> None:
            record, event = handoffs.find(unit.connection, timer.key), self._timekeeper.event(timer)
            if not TIMERS.take(unit.connection, timer) or record is None or event is None:
                return
            if isinstance(event, NobodyTook | CustomerSilent) and _relay_is_away(unit, record):
                self._timekeeper.again(unit.connection, timer)
            elif (record.assignment.stage, type(event)) in TABLE:
                unit.apply(record, event)

        await self.do(work)

    @property
    def last_availability(self) -> Availability | None:
        """The availability that was published last."""
        return self._availability

    async def refresh_availability(self) -> Availability:
        """Read which departments are staffed; publish it if it has changed."""

        def work(unit: UnitOfWork) -> Availability:
            return availability.availability(unit.connection)

        found = await self.do(work)
        if found != self._availability:
            self._availability = found
            self.publisher.publish([AvailabilityChanged(availability=found)])
        return found


def _relay_is_away(unit: UnitOfWork, record: Record) -> bool:
    """Whether entries still wait for the relay: then the customer can't have been asked, or have answered."""
    return record.side == RELAY and bool(OUTBOX.head(unit.connection, RELAY, record.handoff_id, 1))


def _lose(unit: UnitOfWork, handoff_id: str) -> None:
    record = handoffs.find(unit.connection, handoff_id)
    if record is not None:
        waiting = OUTBOX.head(unit.connection, record.side, handoff_id)
        for entry in waiting:
            _mark_all(unit, failed(entry, FORGOTTEN))
        OUTBOX.remove(unit.connection, waiting)
        unit.apply(record, RelayLost(at=unit.now))


def failed(entry: Entry, reason: str) -> tuple[Mark, ...]:
    """Return the mark of a message that can't be delivered; nothing for another kind of entry, or for a malformed one."""
    say = entry.body.get("say")
    id = say.get("id") if isinstance(say, dict) and entry.name == "message" else None
    return (
        (Mark(handoff_id=entry.lane, message_id=id, status=Status.FAILED, reason=reason),)
        if isinstance(id, str)
        else ()
    )


def _mark_all(unit: UnitOfWork, marks: Sequence[Mark]) -> None:
    for mark in marks:
        record = handoffs.find(unit.connection, mark.handoff_id)
        if record is not None:
            unit.mark(record, mark.message_id, mark.status, mark.reason)
