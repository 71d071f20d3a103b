"""The door: everything that happens to a conversation enters here and is committed here.

An edge calls a method; in one transaction :mod:`~rasa_handoff.thinking.assignment` decides, rows and outbox are written;
after the commit the pump is rung, the board tells the edges, and the caller is answered. No edge calls another.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from rasa_handoff.server import records, staffing
from rasa_handoff.server.news import Board, StaffingChanged
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import OUTBOX, TIMERS
from rasa_handoff.server.timekeeper import Timekeeper
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.pump import Pump
from rasa_handoff.store.tasks import finish
from rasa_handoff.store.timers import Timer
from rasa_handoff.thinking.assignment import TABLE
from rasa_handoff.thinking.desk_events import CustomerSilent, NobodyTook, RelayLost
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Availability, Status, Value

T = TypeVar("T")

log = get_log(__name__)

FORGOTTEN: Final = "The bot's side no longer knows this conversation."
RELAY: Final = "relay"
"""Side of the conversations that HandoffChannel handed over."""


class Mark(Value, frozen=True, kw_only=True):
    """What delivering an entry showed about a message."""

    handoff_id: str
    message_id: str
    status: Status
    reason: str | None = None


class Lost(Value, frozen=True, kw_only=True):
    """Delivering an entry showed that the bot's side knows nothing of the conversation."""

    handoff_id: str


class Door:
    """``pump`` is set by the composition root before anything happens; ``closing`` when all ends."""

    pump: Pump
    closing: bool = False

    def __init__(self, store: Store, board: Board, timekeeper: Timekeeper) -> None:
        self._store, self.board, self._timekeeper = store, board, timekeeper
        self._staffing: Availability | None = None

    async def do(self, work: Callable[[Turn], T]) -> T:
        """Run ``work`` in a transaction; after the commit ring the pump and tell the news."""
        if self.closing:
            raise Unreachable("The server is stopping.")
        return await finish(self._do(work))

    async def _do(self, work: Callable[[Turn], T]) -> T:
        def transact(connection: Any) -> tuple[T, Turn]:
            turn = Turn(connection, self._timekeeper)
            answer = work(turn)
            OUTBOX.put(connection, turn.entries)
            return answer, turn

        answer, turn = await self._store.write(transact)
        self.pump.ring({entry.road for entry in turn.entries})
        self.board.publish(turn.news)
        for errand in turn.afterwards:
            self.board.later(errand)
        return answer

    async def finish(self, entries: Sequence[Entry], shown: Sequence[Mark | Lost]) -> None:
        """The pump delivered these; ``shown`` is what that showed."""

        def work(turn: Turn) -> None:
            OUTBOX.remove(turn.connection, entries)
            _mark_all(turn, [mark for mark in shown if isinstance(mark, Mark)])
            for lost in shown:
                if isinstance(lost, Lost):
                    _lose(turn, lost.handoff_id)

        await self.do(work)

    async def set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of what can't be delivered; a message has failed, which its sender sees."""

        def work(turn: Turn) -> None:
            OUTBOX.set_aside(turn.connection, entry.key, reason)
            _mark_all(turn, failed(entry, reason))

        await self.do(work)

    async def note(self, marks: Sequence[Mark]) -> None:
        """What became of messages that aren't delivered yet."""
        await self.do(lambda turn: _mark_all(turn, marks))

    async def ring(self, timer: Timer) -> None:
        """A timer is due.

        Raises:
            Unreachable: the database can't be used now, or the server is stopping.
        """

        def work(turn: Turn) -> None:
            record, event = records.find(turn.connection, timer.key), self._timekeeper.event(timer)
            if not TIMERS.take(turn.connection, timer) or record is None or event is None:
                return
            if isinstance(event, NobodyTook | CustomerSilent) and _relay_is_away(turn, record):
                self._timekeeper.again(turn.connection, timer)
            elif (record.assignment.stage, type(event)) in TABLE:
                turn.apply(record, event)

        await self.do(work)

    @property
    def last_staffing(self) -> Availability | None:
        """Who was there when that was looked up last: all that was told of it before."""
        return self._staffing

    async def staffing(self) -> Availability:
        """Who is there; told to everybody if it has changed."""

        def work(turn: Turn) -> Availability:
            return staffing.availability(turn.connection)

        found = await self.do(work)
        if found != self._staffing:
            self._staffing = found
            self.board.publish([StaffingChanged(availability=found)])
        return found


def _relay_is_away(turn: Turn, record: Record) -> bool:
    """Whether the bot's side hasn't heard the last: then the customer can't have been asked, or answered."""
    return record.side == RELAY and bool(OUTBOX.head(turn.connection, RELAY, record.handoff_id, 1))


def _lose(turn: Turn, handoff_id: str) -> None:
    record = records.find(turn.connection, handoff_id)
    if record is not None:
        waiting = OUTBOX.head(turn.connection, record.side, handoff_id)
        for entry in waiting:
            _mark_all(turn, failed(entry, FORGOTTEN))
        OUTBOX.remove(turn.connection, waiting)
        turn.apply(record, RelayLost(at=turn.now))


def failed(entry: Entry, reason: str) -> tuple[Mark, ...]:
    """What becomes of a message that can't be delivered; nothing of another entry, and of one that lacks what it needs."""
    say = entry.body.get("say")
    id = say.get("id") if isinstance(say, dict) and entry.name == "message" else None
    return (
        (Mark(handoff_id=entry.lane, message_id=id, status=Status.FAILED, reason=reason),)
        if isinstance(id, str)
        else ()
    )


def _mark_all(turn: Turn, marks: Sequence[Mark]) -> None:
    for mark in marks:
        record = records.find(turn.connection, mark.handoff_id)
        if record is not None:
            turn.mark(record, mark.message_id, mark.status, mark.reason)
