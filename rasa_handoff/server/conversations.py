"""The middle of the server: everything that happens to a conversation enters by one door and is committed there.

An edge calls a method; in one transaction :mod:`~rasa_handoff.thinking.assignment` decides, rows and outbox are written;
after the commit the pump is rung, the board tells the edges, and the caller is answered. No edge calls another.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from rasa_handoff.server import accounts, records, resuming, staffing, summaries
from rasa_handoff.server.messages import Message
from rasa_handoff.server.news import AgentTyping, Board, CustomerTyping, StaffingChanged
from rasa_handoff.server.outcomes import Outcome, check_slots
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import OUTBOX, TIMERS
from rasa_handoff.server.timekeeper import Timekeeper
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.pump import Pump
from rasa_handoff.store.timers import Timer
from rasa_handoff.thinking.assignment import TABLE, Stage
from rasa_handoff.thinking.desk_events import (
    AgentCame,
    AgentLeft,
    AgentSaid,
    CustomerEnded,
    CustomerSaid,
    CustomerSilent,
    MessageLeft,
    NobodyTook,
    RelayLost,
    Resolved,
    Taken,
    Transferred,
)
from rasa_handoff.vocabulary.errors import Refused, Unreachable
from rasa_handoff.vocabulary.values import Availability, Offer, Status, Value

T = TypeVar("T")

log = logging.getLogger(__name__)

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


class Conversations:
    """The door. ``pump`` is set by the composition root before anything happens; ``closing`` when all ends."""

    pump: Pump
    closing: bool = False

    def __init__(self, store: Store, board: Board, timekeeper: Timekeeper) -> None:
        self._store, self.board, self._timekeeper = store, board, timekeeper
        self._staffing: Availability | None = None

    async def do(self, work: Callable[[Turn], T]) -> T:
        """Run ``work`` in a transaction; after the commit ring the pump and tell the news."""
        if self.closing:
            raise Unreachable("The server is stopping.")

        def transact(connection: Any) -> tuple[T, Turn]:
            turn = Turn(connection, self._timekeeper)
            answer = work(turn)
            OUTBOX.put(connection, turn.entries)
            return answer, turn

        answer, turn = await self._store.write(transact)
        self.pump.ring({entry.road for entry in turn.entries})
        self.board.publish(turn.news)
        return answer

    # The bot's side

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

    async def catch_up(self, bot_id: str, last: Mapping[str, int]) -> dict[str, str]:
        """The relay says how far it has heard each handoff; how far we have heard it, by the last one's id."""
        return await self.do(lambda turn: resuming.catch_up(turn, RELAY, bot_id, last))

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

    # The agents' side

    async def take(self, agent_id: str, handoff_id: str) -> dict[str, Any]:
        """An agent takes it; all of it in return."""

        def work(turn: Turn) -> dict[str, Any]:
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            return summaries.conversation(turn.connection, turn.apply(record, Taken(at=turn.now, agent=agent)))

        return await self.do(work)

    async def open(self, agent_id: str, handoff_id: str, after: int) -> dict[str, Any]:
        """All of it, with the messages after number ``after``."""

        def work(turn: Turn) -> dict[str, Any]:
            return summaries.conversation(turn.connection, _of_agent(turn, agent_id, handoff_id), after)

        return await self.do(work)

    async def agent_said(self, agent_id: str, handoff_id: str, id: str, text: str) -> Message:
        """The agent who has it wrote."""

        def work(turn: Turn) -> Message:
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            return turn.say(record, AgentSaid(at=turn.now, agent=agent, id=id, text=text))

        return await self.do(work)

    async def agent_typing(self, agent_id: str, handoff_id: str, on: bool) -> None:
        """For the customer, from the agent who has it; never stored."""

        def work(turn: Turn) -> None:
            record = _of_agent(turn, agent_id, handoff_id)
            state = record.assignment
            if state.stage is Stage.ASSIGNED and state.agent is not None and state.agent.id == agent_id:
                offer = record.offer
                turn.news.append(AgentTyping(side=record.side, bot_id=offer.bot_id, handoff_id=handoff_id, on=on))

        await self.do(work)

    async def transfer(self, agent_id: str, handoff_id: str, department: str | None) -> None:
        """The agent passes it on."""

        def work(turn: Turn) -> None:
            if department is not None and not accounts.has_department(turn.connection, department):
                raise Refused("unknown_department", f"There is no department '{department}' at this desk.")
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            turn.apply(record, Transferred(at=turn.now, agent=agent, department=department))

        await self.do(work)

    async def resolve(
        self, agent_id: str, handoff_id: str, outcome: Outcome, note: str | None, slots: dict[str, Any]
    ) -> None:
        """The agent finished it."""

        def work(turn: Turn) -> None:
            record = _of_agent(turn, agent_id, handoff_id)
            check_slots(slots, record.offer.bot.settable)
            agent = accounts.person(turn.connection, agent_id)
            turn.apply(record, Resolved(at=turn.now, agent=agent, outcome=outcome.value, note=note, slots=slots))

        await self.do(work)

    async def agent_here(self, agent_id: str, here: bool) -> None:
        """A desk of the agent is open, or has been closed for longer than a reload takes."""

        def work(turn: Turn) -> None:
            staffing.set_here(turn.connection, agent_id, here)
            for record in records.assigned_to(turn.connection, agent_id):
                turn.apply(record, AgentCame(at=turn.now) if here else AgentLeft(at=turn.now))

        await self.do(work)
        await self.staffing()

    # Both

    async def finish(self, entries: Sequence[Entry], shown: Sequence[Mark | Lost]) -> None:
        """The pump delivered these; ``shown`` is what that showed."""

        def work(turn: Turn) -> None:
            OUTBOX.remove(turn.connection, entries)
            _mark_all(turn, [mark for mark in shown if isinstance(mark, Mark)])
            for lost in shown:
                if isinstance(lost, Lost):
                    _lose(turn, lost.handoff_id)

        await self.do(work)

    async def note(self, marks: Sequence[Mark]) -> None:
        """What became of messages that aren't delivered yet."""
        await self.do(lambda turn: _mark_all(turn, marks))

    async def ring(self, timer: Timer) -> None:
        """A timer is due. A failure is told here, so that the timers after it ring too; this one will ring again."""

        def work(turn: Turn) -> None:
            record, event = records.find(turn.connection, timer.key), self._timekeeper.event(timer)
            if not TIMERS.take(turn.connection, timer) or record is None or event is None:
                return
            if isinstance(event, NobodyTook | CustomerSilent) and _relay_is_away(turn, record):
                self._timekeeper.again(turn.connection, timer)
            elif (record.assignment.stage, type(event)) in TABLE:
                turn.apply(record, event)

        try:
            await self.do(work)
        except Unreachable as problem:
            log.debug("The timer %s of %s waits: %s", timer.kind, timer.key, problem)
        except Exception:
            log.exception("The timer %s of %s couldn't ring; it will be tried again.", timer.kind, timer.key)

    async def staffing(self) -> Availability:
        """Who is there; told to everybody if it has changed."""

        def work(turn: Turn) -> Availability:
            return staffing.availability(turn.connection)

        found = await self.do(work)
        if found != self._staffing:
            self._staffing = found
            self.board.publish([StaffingChanged(availability=found)])
        return found


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


def _relay_is_away(turn: Turn, record: Record) -> bool:
    """Whether the bot's side hasn't heard the last: then the customer can't have been asked, or answered."""
    return record.side == RELAY and bool(OUTBOX.head(turn.connection, RELAY, record.handoff_id, 1))


def _lose(turn: Turn, handoff_id: str) -> None:
    record = records.find(turn.connection, handoff_id)
    if record is not None:
        OUTBOX.withdraw(turn.connection, record.side, handoff_id)
        turn.apply(record, RelayLost(at=turn.now))


def _of_bot(turn: Turn, side: str, bot_id: str, handoff_id: str) -> Record:
    record = records.must_find(turn.connection, handoff_id)
    if not _belongs(record, side, bot_id):
        raise Refused("unknown_handoff", "This conversation isn't known here.")
    return record


def _of_agent(turn: Turn, agent_id: str, handoff_id: str) -> Record:
    record = records.must_find(turn.connection, handoff_id)
    summaries.must_see(turn.connection, record, agent_id)
    return record


def _belongs(record: Record, side: str, bot_id: str) -> bool:
    return record.side == side and record.offer.bot_id == bot_id


def _mark_all(turn: Turn, marks: Sequence[Mark]) -> None:
    for mark in marks:
        record = records.find(turn.connection, mark.handoff_id)
        if record is not None:
            turn.mark(record, mark.message_id, mark.status, mark.reason)
