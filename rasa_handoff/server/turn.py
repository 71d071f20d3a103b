"""What one transaction does to a conversation, and what follows from it: rows, outbox entries and news."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.server import messages, records, staffing, summaries
from rasa_handoff.server.messages import Message
from rasa_handoff.server.news import Arrival, Changed, Errand, Marked, News, Overdue, Said
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import OUTBOX
from rasa_handoff.server.timekeeper import Timekeeper
from rasa_handoff.store.apart import apart
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.thinking.assignment import Assignment, Stage, step
from rasa_handoff.thinking.desk_events import (
    AgentSaid,
    Arrived,
    CustomerSaid,
    Delivered,
    Effect,
    Event,
    Kept,
    Reminded,
    Told,
)
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Offer, Speaker, Status

log = get_log(__name__)

TOO_MANY: Final = (
    f"{LONGEST_LANE:,} messages already wait to be told to this customer, so this one wasn't sent. "
    "Please try again when some have been delivered."
)
ARRIVED: Final = (Status.DELIVERED, Status.READ)


class Turn:
    """The work of one transaction. ``entries`` are committed with it; ``news`` are told after it, then ``afterwards`` is done,
    with nothing of a later transaction between."""

    def __init__(self, connection: Connection, timekeeper: Timekeeper) -> None:
        self.connection, self._timekeeper = connection, timekeeper
        self.entries: list[Entry] = []
        self.news: list[News] = []
        self.afterwards: list[Errand] = []

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._timekeeper.now()

    def arrive(self, offer: Offer, side: str, department: str | None = None, ahead: bool = False) -> Record:
        """A conversation that wasn't known joins the queue."""
        event = Arrived(at=self.now, department=department, ahead=ahead)
        state, _ = step(None, event)
        records.add(self.connection, Record(offer=offer, side=side, assignment=state))
        self._timekeeper.follow(self.connection, offer.handoff_id, None, state, event)
        self._rerank(state.department, quiet=offer.handoff_id)
        record = records.must_find(self.connection, offer.handoff_id)
        self._announce(record)
        return record

    def apply(self, record: Record, event: Event) -> Record:
        """Let an event happen to a conversation.

        Raises:
            Refused: it is illegal here; nothing has changed.
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
            records.save(self.connection, after)
        if state.reminders != before.reminders:
            self._show(after)
        return after

    def say(self, record: Record, event: CustomerSaid | AgentSaid) -> Message:
        """Keep a message; one that came before is answered as it was."""
        speaker = Speaker.AGENT if isinstance(event, AgentSaid) else Speaker.CUSTOMER
        known = messages.known(self.connection, record.handoff_id, event.id)
        if known is None:
            if speaker is Speaker.AGENT and OUTBOX.is_full(self.connection, record.side, record.handoff_id):
                raise Refused("too_many", TOO_MANY)
            self.apply(record, event)
            known = messages.known(self.connection, record.handoff_id, event.id)
            assert known is not None
            if record.assignment.stage is Stage.ENDED:
                self._show_late(record)
        elif known.speaker is not speaker:
            raise Refused("invalid", f"Another message of this conversation has the id '{event.id}'.")
        return known

    @contextlib.contextmanager
    def apart(self, message: str, *about: object) -> Iterator[None]:
        """One of many in this transaction: what it has done so far goes if it fails, which the log says, and the rest stays."""
        entries, news = len(self.entries), len(self.news)
        with apart(log, message, *about):
            try:
                with self.connection.begin_nested():
                    yield
            except Exception:
                del self.entries[entries:], self.news[news:]
                raise

    def notice(self, record: Record, text: str, at: float) -> Record:
        """Tell the customer something that no person said."""
        after = self._follow(record, Kept(speaker=Speaker.SYSTEM, id=uuid.uuid4().hex, text=text, at=at))
        records.save(self.connection, after)
        return after

    def tell_desk(self, record: Record, text: str) -> None:
        """Tell the desk alone something about this conversation, in its thread."""
        kept = Kept(speaker=Speaker.SYSTEM, id=uuid.uuid4().hex, text=text, at=self.now)
        after, message = messages.keep(self.connection, record, kept)
        records.save(self.connection, after)
        self.news.append(Said(viewers=self._hearers(record), handoff_id=record.handoff_id, message=message))

    def tell(self, record: Record, told: Told) -> None:
        """Tell the customer's side where the conversation stands, though nothing has happened."""
        records.save(self.connection, self._follow(record, told))

    def mark(self, record: Record, message_id: str, status: Status, reason: str | None) -> None:
        """Note what became of a message on its way to the customer."""
        message = messages.mark(self.connection, record.handoff_id, message_id, status, reason)
        if message is None:
            return
        self.news.append(
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
        """Whether an agent's words have just reached the customer, and the customer hasn't answered before we knew."""
        arrived = message.status not in ARRIVED and status in ARRIVED
        agents = message.speaker is Speaker.AGENT
        return arrived and agents and messages.is_last_word(self.connection, record.handoff_id, message)

    def _follow(self, record: Record, effect: Effect) -> Record:
        if isinstance(effect, Reminded):
            reminded = frozenset({effect.agent.id})
            self.news.append(Overdue(viewers=reminded, handoff_id=record.handoff_id, seconds=effect.seconds))
            return record
        if isinstance(effect, Told):
            return self._tell(record, "handoff.status", uuid.uuid4().hex, {"status": effect.status, **effect.details})
        after, message = messages.keep(self.connection, record, effect)
        self.news.append(Said(viewers=self._hearers(record), handoff_id=record.handoff_id, message=message))
        if effect.speaker is Speaker.CUSTOMER:
            return after
        details = {"speaker": effect.speaker.value, "text": effect.text, "at": effect.at, "agent": message.agent}
        return self._tell(after, "message", effect.id, details)

    def _hearers(self, record: Record) -> frozenset[str]:
        """Who hears what is said: once it has ended, only who had it."""
        if record.assignment.stage is not Stage.ENDED:
            return summaries.viewers(self.connection, record)
        return frozenset({record.assignment.agent.id} if record.assignment.agent else ())

    def _tell(self, record: Record, name: str, id: str, details: dict[str, object]) -> Record:
        after, entry = records.told(record, name, id, details)
        self.entries.append(entry)
        return after

    def _move(self, before: Record, after: Record, at: float) -> Record:
        """The stage or the department changed: bring the queues and the desks up to date."""
        seen_before = summaries.viewers(self.connection, before)
        records.save(self.connection, after.but(position=None))
        for department in {before.assignment.department, after.assignment.department}:
            self._rerank(department)
        record = records.must_find(self.connection, after.handoff_id)
        if record.assignment.stage is Stage.QUEUED:
            self._announce(record)
        else:
            self._show(record)
        lost = seen_before - summaries.viewers(self.connection, record)
        if lost:
            faded = summaries.faded(summaries.summarized(self.connection, record), at)
            self.news.append(Changed(viewers=lost, summary=faded))
        return record

    def _rerank(self, department: str | None, quiet: str | None = None) -> None:
        """Tell everybody in a queue whose place changed; not ``quiet``, who is told by the acknowledgement."""
        wait = staffing.expected_wait(self.connection, department)
        queue = enumerate(records.queued(self.connection, department), start=1)
        moved = [(record, place) for place, record in queue if record.position != place]
        last = messages.last(self.connection, [record.handoff_id for record, _ in moved])
        serving = staffing.serving(self.connection, department)
        full = self._without_room([record for record, _ in moved])
        for record, place in moved:
            placed = record.but(position=place)
            if record.handoff_id != quiet and record.handoff_id not in full:
                details = {"status": "queued", "position": place, "wait": wait}
                placed = self._tell(placed, "handoff.status", uuid.uuid4().hex, details)
            records.save(self.connection, placed)
            if record.position is not None:  # those that come into this queue are announced
                seen_by = summaries.viewers(self.connection, placed, serving)
                summary = summaries.summary(placed, last.get(placed.handoff_id))
                self.news.append(Changed(viewers=seen_by, summary=summary))

    def _without_room(self, moved: Sequence[Record]) -> set[str]:
        """Those to whom so much waits to be told that their new place is left out."""
        sides = {record.side for record in moved}
        full = OUTBOX.without_room(self.connection, sides, [record.handoff_id for record in moved])
        return {lane for _, lane in full}

    def _show(self, record: Record) -> None:
        seen_by = summaries.viewers(self.connection, record)
        self.news.append(Changed(viewers=seen_by, summary=summaries.summarized(self.connection, record)))

    def show_whole(self, record: Record) -> None:
        """What was offered has become more: all of it, for those who see it; who had it, if it has ended."""
        whole = summaries.conversation(self.connection, record)
        self.news.append(Changed(viewers=self._hearers(record), summary=whole))

    def _show_late(self, record: Record) -> None:
        """Something was said after the end: who had it needs the name that belongs to it."""
        late = summaries.summarized(self.connection, record)
        self.news.append(Changed(viewers=self._hearers(record), summary=late))

    def _announce(self, record: Record) -> None:
        """An arrival for those it is meant for: the agent the bot named, else all who serve it."""
        seen_by, summary = summaries.viewers(self.connection, record), summaries.summarized(self.connection, record)
        named = record.offer.agent and staffing.agent_called(self.connection, record.offer.agent)
        meant = frozenset({named}) if named else seen_by
        self.news.append(Arrival(viewers=meant, summary=summary))
        self.news.append(Changed(viewers=seen_by - meant, summary=summary))


def _place(state: Assignment) -> tuple[Any, ...]:
    """Where a conversation stands: what makes it move between the lists when it changes."""
    return state.stage, state.department, state.agent
