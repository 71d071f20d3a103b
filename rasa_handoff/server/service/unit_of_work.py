"""The unit of work: what one transaction reads and changes, and what is published after it."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Assignment, Stage, step
from rasa_handoff.core.assignment_events import (
    AgentWrote,
    Arrived,
    AssignmentEvent,
    CustomerWrote,
    Delivered,
    Effect,
    Kept,
    Reminded,
    StatusChanged,
)
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Offer, Speaker, Status
from rasa_handoff.server.service import availability, summaries
from rasa_handoff.server.service.publisher import Arrival, Callback, Changed, Marked, Overdue, Publication, Said
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import Message, Record
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.failures import apart
from rasa_handoff.store.outbox import LONGEST_LANE, Entry

log = get_log(__name__)

TOO_MANY: Final = (
    f"{LONGEST_LANE:,} messages already wait for this customer, so this one wasn't sent. "
    "Please try again when some have been delivered."
)
ARRIVED: Final = (Status.DELIVERED, Status.READ)


class UnitOfWork:
    """The work of one transaction.

    ``entries`` are committed with it. After the commit ``publications`` are published, then the callbacks in ``afterwards`` are
    called, with nothing of a later transaction between them.
    """

    def __init__(self, connection: Connection, timekeeper: Timekeeper) -> None:
        self.connection, self._timekeeper = connection, timekeeper
        self.entries: list[Entry] = []
        self.publications: list[Publication] = []
        self.afterwards: list[Callback] = []

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._timekeeper.now()

    def arrive(self, offer: Offer, side: str, department: str | None = None, ahead: bool = False) -> Record:
        """Add a new conversation to the queue. ``ahead``: before others of the same priority."""
        event = Arrived(at=self.now, department=department, ahead=ahead)
        state, _ = step(None, event)
        handoffs.add(self.connection, Record(offer=offer, side=side, assignment=state))
        self._timekeeper.follow(self.connection, offer.handoff_id, None, state, event)
        self._rerank(state.department, quiet=offer.handoff_id)
        record = handoffs.must_find(self.connection, offer.handoff_id)
        self._announce(record)
        return record

    def apply(self, record: Record, event: AssignmentEvent) -> Record:
        """Apply an event to a conversation: its state, what follows from that, and its timers.

        Raises:
            Refused: the event is illegal in this state; nothing has changed.
        """
        before = record.assignment
        state, effects = step(before, event)
        after = record.but(assignment=state)
        for effect in effects:
            after = self._follow(after, effect)
        self._timekeeper.follow(self.connection, record.handoff_id, before, state, event)
        if _place(state) != _place(before):
            return self._move(record, after, event.at)
        if effects or state != before:
            handoffs.save(self.connection, after)
        if state.reminders != before.reminders:
            self._show(after)
        return after

    def say(self, record: Record, event: CustomerWrote | AgentWrote) -> Message:
        """Keep a message, and return it; a repeated one isn't kept again.

        Raises:
            Refused: too many messages wait for the customer, the conversation doesn't allow it, or the id is another speaker's.
        """
        speaker = Speaker.AGENT if isinstance(event, AgentWrote) else Speaker.CUSTOMER
        known = handoffs.known(self.connection, record.handoff_id, event.id)
        if known is None:
            if speaker is Speaker.AGENT and OUTBOX.is_full(self.connection, record.side, record.handoff_id):
                raise Refused("too_many", TOO_MANY)
            self.apply(record, event)
            known = handoffs.known(self.connection, record.handoff_id, event.id)
            assert known is not None
            if record.assignment.stage is Stage.ENDED:
                self._show_late(record)
        elif known.speaker is not speaker:
            raise Refused("invalid", f"Another message of this conversation has the id '{event.id}'.")
        return known

    @contextlib.contextmanager
    def apart(self, message: str, *about: object) -> Iterator[None]:
        """Run one of many steps of this transaction: if it fails, it alone is undone and logged, and the others stay."""
        entries, publications = len(self.entries), len(self.publications)
        with apart(log, message, *about):
            try:
                with self.connection.begin_nested():
                    yield
            except Exception:
                del self.entries[entries:], self.publications[publications:]
                raise

    def notice(self, record: Record, text: str, at: float) -> Record:
        """Send the customer a notice."""
        after = self._follow(record, Kept(speaker=Speaker.SYSTEM, id=uuid.uuid4().hex, text=text, at=at))
        handoffs.save(self.connection, after)
        return after

    def tell_desk(self, record: Record, text: str) -> None:
        """Add a notice to the conversation that only the desk shows."""
        kept = Kept(speaker=Speaker.SYSTEM, id=uuid.uuid4().hex, text=text, at=self.now)
        after, message = handoffs.keep(self.connection, record, kept)
        handoffs.save(self.connection, after)
        self.publications.append(Said(viewers=self._readers(record), handoff_id=record.handoff_id, message=message))

    def tell(self, record: Record, status: StatusChanged) -> None:
        """Send the customer's side a status, though nothing has happened."""
        handoffs.save(self.connection, self._follow(record, status))

    def mark(self, record: Record, message_id: str, status: Status, reason: str | None) -> None:
        """Store the status of a message on its way to the customer."""
        message = handoffs.mark(self.connection, record.handoff_id, message_id, status, reason)
        if message is None:
            return
        self.publications.append(
            Marked(
                viewers=summaries.viewers(self.connection, record),
                handoff_id=record.handoff_id,
                message_id=message_id,
                status=status,
                reason=reason,
            )
        )
        if record.assignment.stage is Stage.ASSIGNED and self._arrived(record, message, status):
            self.apply(record, Delivered(at=self.now))

    def _arrived(self, record: Record, message: Message, status: Status) -> bool:
        """Whether an agent's message has just reached the customer, and the customer hasn't answered already."""
        arrived = message.status not in ARRIVED and status in ARRIVED
        agents = message.speaker is Speaker.AGENT
        return arrived and agents and handoffs.is_last_message(self.connection, record.handoff_id, message)

    def _follow(self, record: Record, effect: Effect) -> Record:
        if isinstance(effect, Reminded):
            reminded = frozenset({effect.agent.id})
            self.publications.append(Overdue(viewers=reminded, handoff_id=record.handoff_id, seconds=effect.seconds))
            return record
        if isinstance(effect, StatusChanged):
            return self._tell(record, "handoff.status", uuid.uuid4().hex, {"status": effect.status, **effect.details})
        after, message = handoffs.keep(self.connection, record, effect)
        self.publications.append(Said(viewers=self._readers(record), handoff_id=record.handoff_id, message=message))
        if effect.speaker is Speaker.CUSTOMER:
            return after
        details = {"speaker": effect.speaker.value, "text": effect.text, "at": effect.at, "agent": message.agent}
        return self._tell(after, "message", effect.id, details)

    def _readers(self, record: Record) -> frozenset[str]:
        """Return the agents to whom messages are published: after the end, only the one who had the conversation."""
        if record.assignment.stage is not Stage.ENDED:
            return summaries.viewers(self.connection, record)
        return frozenset({record.assignment.agent.id} if record.assignment.agent else ())

    def _tell(self, record: Record, name: str, id: str, details: dict[str, object]) -> Record:
        after, entry = handoffs.number_entry(record, name, id, details)
        self.entries.append(entry)
        return after

    def _move(self, before: Record, after: Record, at: float) -> Record:
        """Save a conversation whose stage, department or agent changed; bring queues and desks up to date."""
        seen_before = summaries.viewers(self.connection, before)
        handoffs.save(self.connection, after.but(position=None))
        for department in {before.assignment.department, after.assignment.department}:
            self._rerank(department)
        record = handoffs.must_find(self.connection, after.handoff_id)
        if record.assignment.stage is Stage.QUEUED:
            self._announce(record)
        else:
            self._show(record)
        lost = seen_before - summaries.viewers(self.connection, record)
        if lost:
            gone_summary = summaries.gone_summary(summaries.summarized(self.connection, record), at)
            self.publications.append(Changed(viewers=lost, summary=gone_summary))
        return record

    def _rerank(self, department: str | None, quiet: str | None = None) -> None:
        """Save and send the places in a queue that changed; not to ``quiet``, which gets its place with the acknowledgement."""
        wait = availability.expected_wait(self.connection, department)
        queue = enumerate(handoffs.queued(self.connection, department), start=1)
        moved = [(record, place) for place, record in queue if record.position != place]
        last = handoffs.last(self.connection, [record.handoff_id for record, _ in moved])
        serving = availability.serving(self.connection, department)
        full = self._full_lanes([record for record, _ in moved])
        for record, place in moved:
            placed = record.but(position=place)
            if record.handoff_id != quiet and record.handoff_id not in full:
                details = {"status": "queued", "position": place, "wait": wait}
                placed = self._tell(placed, "handoff.status", uuid.uuid4().hex, details)
            handoffs.save(self.connection, placed)
            if record.position is not None:  # those that come into this queue are announced
                seen_by = summaries.viewers(self.connection, placed, serving)
                summary = summaries.summary(placed, last.get(placed.handoff_id))
                self.publications.append(Changed(viewers=seen_by, summary=summary))

    def _full_lanes(self, moved: Sequence[Record]) -> set[str]:
        """Return the handoffs whose lane is too full for a new place."""
        sides = {record.side for record in moved}
        full = OUTBOX.without_room(self.connection, sides, [record.handoff_id for record in moved])
        return {lane for _, lane in full}

    def _show(self, record: Record) -> None:
        seen_by = summaries.viewers(self.connection, record)
        self.publications.append(Changed(viewers=seen_by, summary=summaries.summarized(self.connection, record)))

    def show_whole(self, record: Record) -> None:
        """Publish the whole conversation after its offer was completed."""
        whole = summaries.conversation(self.connection, record)
        self.publications.append(Changed(viewers=self._readers(record), summary=whole))

    def _show_late(self, record: Record) -> None:
        """Publish the summary again: the agent's list no longer contains this conversation."""
        late = summaries.summarized(self.connection, record)
        self.publications.append(Changed(viewers=self._readers(record), summary=late))

    def _announce(self, record: Record) -> None:
        """Publish an arrival to those it is meant for: the agent the bot named, else all who serve the department."""
        seen_by, summary = summaries.viewers(self.connection, record), summaries.summarized(self.connection, record)
        named = record.offer.agent and availability.agent_called(self.connection, record.offer.agent)
        meant = frozenset({named}) if named else seen_by
        self.publications.append(Arrival(viewers=meant, summary=summary))
        self.publications.append(Changed(viewers=seen_by - meant, summary=summary))


def _place(state: Assignment) -> tuple[Any, ...]:
    """Return what decides in which list a conversation is."""
    return state.stage, state.department, state.agent
