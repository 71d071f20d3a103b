"""Units of work: the way of a message through the server, whoever wrote it.

A gateway calls an operation of :class:`Service`, such as ``customer_said`` or ``agent_said``. In one transaction, the
:class:`UnitOfWork`, the state machine in :mod:`~rasa_handoff.core.assignment` decides, and rows and outbox entries are written.
After the commit the dispatcher delivers the entries, the :class:`Publisher` informs the gateways, and the caller gets its
answer. No gateway calls another one.

Other operations of the two sides are in ``bot_operations.py`` and ``agent_operations.py``; what a change means for queues is in
``queues.py``.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from rasa_handoff.core.agent_parts import agent_message
from rasa_handoff.core.assignment import Stage, step
from rasa_handoff.core.assignment_events import (
    AgentWrote,
    AssignmentEffect,
    AssignmentEvent,
    CustomerWrote,
    KeepMessage,
    RemindAgent,
    SendStatus,
)
from rasa_handoff.core.media_parts import media_ids
from rasa_handoff.protocol.desk_payloads import Message
from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.limits import LONGEST_LANE
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.message_parts import AnyPart
from rasa_handoff.protocol.payloads import DeskStatusPayload, MessagePayload
from rasa_handoff.protocol.values import Agent, Availability, Speaker, read
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.service import availability, queues, summaries
from rasa_handoff.server.service.publications import (
    AvailabilityChanged,
    Changed,
    Completed,
    Deleted,
    Overdue,
    Publication,
    Said,
    note,
    read_logged,
)
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.storage import handoff_events, handoffs
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import MEDIA, OUTBOX
from rasa_handoff.store import failures
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import begin, cancel_all, finish_despite_cancellation
from rasa_handoff.store.timers import Timer

T = TypeVar("T")
Listener = Callable[[Publication], Awaitable[None]]
AfterCommit = Callable[[], Awaitable[object]]

log = get_log(__name__)

TOO_MANY: Final = (
    f"{LONGEST_LANE:,} messages already wait for this customer, so this one wasn't sent. "
    "Please try again when some have been delivered."
)


AVAILABILITY: Final = "availability"
"""The topic of a change that says that a server has found another availability."""
UNTOLD_PAUSE: Final = 0.05
UNTOLD_TRIES: Final = 60
"""Seconds between two tries to tell the next one in a queue while another process changes that conversation, and how many."""


class UnitOfWork:
    """The work of one transaction.

    ``entries`` are committed with it. After the commit ``publications`` are published, then the callbacks in ``afterwards`` are
    called, with nothing of a later transaction between them. ``untold``: departments whose next one couldn't be told so, because
    another process was changing that conversation.
    """

    def __init__(self, connection: Connection, timekeeper: Timekeeper) -> None:
        self.connection, self.timekeeper = connection, timekeeper
        self.entries: list[Entry] = []
        self.publications: list[Publication] = []
        self.afterwards: list[AfterCommit] = []
        self.untold: set[str | None] = set()

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.timekeeper.now()

    def say(self, record: Record, event: CustomerWrote | AgentWrote) -> Message:
        """Keep a message, and return it; a repeated one isn't kept again.

        Raises:
            Refused: too many messages wait for the customer, the conversation doesn't allow it, or the id is another speaker's.
        """
        speaker = Speaker.AGENT if isinstance(event, AgentWrote) else Speaker.CUSTOMER
        known = handoffs.find_message(self.connection, record.handoff_id, event.id)
        if known is None:
            if speaker is Speaker.AGENT and OUTBOX.is_full(self.connection, record.side, record.handoff_id):
                raise Refused("too_many", TOO_MANY)
            self.apply(record, event)
            said = (item.message for item in self.publications if isinstance(item, Said))
            known = next(message for message in said if message.id == event.id)
            if record.assignment.stage is Stage.ENDED:
                # The agent's list no longer contains this conversation.
                self.show(record, self.readers(record))
        elif known.speaker is not speaker:
            raise Refused("invalid", f"Another message of this conversation has the id '{event.id}'.")
        return known

    def apply(self, record: Record, event: AssignmentEvent) -> Record:
        """Apply an event to a conversation: its state, its history, what follows from that, and its timers.

        Raises:
            Refused: the event is illegal in this state; nothing has changed.
        """
        before = record.assignment
        state, effects = step(before, event)
        handoff_events.add(self.connection, record.offer, before, event, state)
        after = replace(record, assignment=state)
        for effect in effects:
            after = self._follow(after, effect)
        self.timekeeper.follow(self.connection, record.handoff_id, before, state, event)
        if queues.list_key(state) != queues.list_key(before):
            return queues.move(self, record, after, event.at)
        if effects or state != before:
            handoffs.save(self.connection, after)
        if state.reminders != before.reminders:
            self.show(after)
        return after

    def _follow(self, record: Record, effect: AssignmentEffect) -> Record:
        if isinstance(effect, RemindAgent):
            reminded = frozenset({effect.agent.id})
            self.publications.append(Overdue(viewers=reminded, handoff_id=record.handoff_id, seconds=effect.seconds))
            return record
        if isinstance(effect, SendStatus):
            return self.send_status(record, effect.status, effect.details)
        after, message = handoffs.add_message(self.connection, record, effect)
        self.publications.append(Said(viewers=self.readers(record), handoff_id=record.handoff_id, message=message))
        if effect.speaker is Speaker.CUSTOMER:
            return after
        said = MessagePayload(
            handoff_id=record.handoff_id,
            id=effect.id,
            speaker=effect.speaker,
            text=effect.text,
            at=effect.at,
            agent=message.agent,
            parts=effect.parts,
        )
        return self._send(after, said)

    def send_status(self, record: Record, status: str, details: dict[str, Any]) -> Record:
        """Send the customer's side a status of the handoff."""
        fields = {"handoff_id": record.handoff_id, "status": status, **details}
        return self._send(record, read(DeskStatusPayload, fields))

    def _send(self, record: Record, payload: MessagePayload | DeskStatusPayload) -> Record:
        after, entry = handoffs.number_entry(record, payload)
        self.entries.append(entry)
        return after

    def notice(self, record: Record, text: str, at: float) -> Record:
        """Send the customer a notice."""
        after = self._follow(record, KeepMessage(speaker=Speaker.SYSTEM, id=uuid.uuid4().hex, text=text, at=at))
        handoffs.save(self.connection, after)
        return after

    def notice_for_desk(self, record: Record, text: str, id: str | None = None) -> None:
        """Add a notice to the conversation that only the desk shows, also after the end."""
        kept = KeepMessage(speaker=Speaker.SYSTEM, id=id or uuid.uuid4().hex, text=text, at=self.now)
        after, message = handoffs.add_message(self.connection, record, kept)
        handoffs.save(self.connection, after)
        self.publications.append(Said(viewers=self.readers(record), handoff_id=record.handoff_id, message=message))
        if record.assignment.stage is Stage.ENDED:
            self.show(after, self.readers(record))  # desks that don't have it open keep nothing of it

    def note_presence(self, record: Record, here: bool) -> Record:
        """Save whether the customer is here, and publish it, if that is news and the conversation goes on."""
        if record.customer_is_away is not here or record.assignment.stage is Stage.ENDED:
            return record
        after = replace(record, customer_is_away=not here)
        handoffs.save(self.connection, after)
        self.show(after)
        return after

    def show(self, record: Record, viewers: frozenset[str] | None = None) -> None:
        """Publish the summary of a conversation; to all who may see it, unless ``viewers`` are given."""
        seen_by = summaries.viewers(self.connection, record) if viewers is None else viewers
        self.publications.append(Changed(viewers=seen_by, summary=summaries.load_summary(self.connection, record)))

    def show_whole(self, record: Record) -> None:
        """Publish the whole conversation after its offer was completed."""
        whole = summaries.conversation(self.connection, record)
        is_over = record.assignment.stage is Stage.ENDED
        seen_by = self.readers(record) if is_over else summaries.viewers(self.connection, record)
        self.publications.append(Completed(viewers=seen_by, summary=whole))

    def readers(self, record: Record) -> frozenset[str]:
        """Return the agents to whom each message is published: who has the conversation, or had it when it ended.

        While nobody has it, all who may see it.
        """
        state = record.assignment
        if state.stage not in (Stage.ASSIGNED, Stage.ENDED):
            return summaries.viewers(self.connection, record)
        return frozenset({state.agent.id} if state.agent else ())

    @contextlib.contextmanager
    def isolated(self, message: str, *about: object) -> Iterator[None]:
        """Run one of many steps of this transaction: if it fails, it alone is undone and logged, and the others stay."""
        entries, publications = len(self.entries), len(self.publications)
        with failures.isolated(log, message, *about):
            try:
                with self.connection.begin_nested():
                    yield
            except Exception:
                del self.entries[entries:], self.publications[publications:]
                raise


class Publisher:
    """One task that calls listeners, one publication after the other: ``async with Publisher() as publisher``.

    What is published right after a commit reaches listeners in the order of the commits, so that no desk ends up with an older
    state.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._callbacks: asyncio.Queue[AfterCommit] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Publisher":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await cancel_all(self._task)

    def publish(self, publications: Iterable[Publication]) -> None:
        """Call every listener with each of these."""
        for item in publications:
            for listener in self.listeners:
                self._callbacks.put_nowait(lambda item=item, listener=listener: listener(item))  # type: ignore[misc]

    def later(self, callback: AfterCommit) -> None:
        """Call this after everything that was published before."""
        self._callbacks.put_nowait(callback)

    async def _run(self) -> None:
        while True:
            callback = await self._callbacks.get()
            try:
                await callback()
            except ValueError as gone:  # python-socketio raises it for a socket that left meanwhile
                log.debug("A publication has no receiver any more: %s", gone)
            except Exception:
                log.exception("Publishing a change failed; the receiver gets it with its next connect.")


class Service:
    """Runs units of work, and takes messages from both sides.

    The composition root (``server/app.py``) sets ``dispatcher`` before the first call, and ``closing`` when the server stops.
    """

    dispatcher: Dispatcher
    closing: bool = False

    def __init__(self, store: Store, publisher: Publisher, timekeeper: Timekeeper) -> None:
        self._store, self.publisher, self._timekeeper = store, publisher, timekeeper
        self._availability: Availability | None = None

    async def customer_said(self, side: str, bot_id: str, handoff_id: str, event: CustomerWrote) -> None:
        """Keep the customer's message."""

        def work(unit: UnitOfWork) -> None:
            record = must_find_of_bot(unit, side, bot_id, handoff_id)
            unit.say(unit.note_presence(record, here=True), event)
            handoffs.note_received(unit.connection, handoff_id, event.id)

        await self.do(work)

    async def agent_said(
        self, agent_id: str, handoff_id: str, id: str, text: str, parts: Sequence[AnyPart] = ()
    ) -> Message:
        """Keep a message of the assigned agent, and send it to the customer.

        Raises:
            Refused: it has nothing to read, a part of it can't be sent, or the agent can't write in this conversation.
        """

        def work(unit: UnitOfWork) -> Message:
            record, agent = must_find_for_agent(unit, "/desk message", agent_id, handoff_id)
            stored = MEDIA.find_all(unit.connection, handoffs.owner_of(record), media_ids(parts))
            words, kept = agent_message(text, parts, {id: one.media for id, one in stored.items()})
            return unit.say(record, AgentWrote(at=unit.now, agent=agent, id=id, text=words, parts=kept))

        return await self.do(work)

    async def do(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run ``work`` in a transaction; after the commit, publish what changed.

        Raises:
            Unreachable: the server is stopping, or the database can't be used now.
        """
        if self.closing:
            raise Unreachable("The server is stopping.")
        # A caller that is cancelled doesn't stop it between commit and publication.
        return await finish_despite_cancellation(self._do(work))

    async def _do(self, work: Callable[[UnitOfWork], T]) -> T:
        def transact(connection: Any) -> tuple[T, UnitOfWork]:
            unit = UnitOfWork(connection, self._timekeeper)
            answer = work(unit)
            OUTBOX.put(connection, unit.entries)
            note(connection, unit.publications)
            return answer, unit

        answer, unit = await self._store.write(transact)
        if not self._store.shared:  # else they come by the change log (`follow`)
            self.publisher.publish(unit.publications)
        for callback in unit.afterwards:
            self.publisher.later(callback)
        if unit.untold:
            begin(self._tell_next(unit.untold))
        return answer

    @property
    def shares(self) -> bool:
        """Whether other servers may work with the same database."""
        return self._store.shared

    async def follow(self, changes: Sequence[LoggedChange]) -> None:
        """Publish what this server and others have written to the change log."""
        found: list[Publication] = []
        for change in changes:
            with failures.isolated(log, "A publication of another server can't be read."):
                found.append(read_logged(change, self._store.process))
        if any(isinstance(one, Deleted) for one in found):
            handoffs.forget_offers()
        self.publisher.publish(found)

    async def follow_availability(self, _: Sequence[LoggedChange]) -> None:
        """Look at the availability, which another server has found changed."""
        await self.refresh_availability(tells=False)

    async def _tell_next(self, departments: set[str | None]) -> None:
        """Tell those who are next in these queues, once other processes have committed what they were doing."""

        def work(unit: UnitOfWork) -> set[str | None]:
            for department in departments:
                queues.tell_next(unit, department)
            left, unit.untold = unit.untold, set()
            return left

        for _ in range(UNTOLD_TRIES):
            await asyncio.sleep(UNTOLD_PAUSE)
            try:
                departments = await self.do(work)
            except Unreachable:
                continue
            if not departments:
                return

    async def fire(self, timer: Timer) -> None:
        """Apply the event of a timer that is due.

        Raises:
            Unreachable: the database can't be used now, or the server is stopping.
        """
        await self.do(lambda unit: self._timekeeper.fire(unit, timer))

    @property
    def last_availability(self) -> Availability | None:
        """The availability that was published last."""
        return self._availability

    async def refresh_availability(self, tells: bool = True) -> Availability:
        """Read which departments are staffed; publish it if it has changed. ``tells``: whether other servers then look too."""

        def work(unit: UnitOfWork) -> Availability:
            found = availability.availability(unit.connection, unit.now)
            if tells and found != self._availability:
                OUTBOX.change_log.note(unit.connection, AVAILABILITY, "")
            return found

        found = await self.do(work)
        if found != self._availability:
            self._availability = found
            self.publisher.publish([AvailabilityChanged(availability=found)])
        return found


def must_find_of_bot(unit: UnitOfWork, side: str, bot_id: str, handoff_id: str) -> Record:
    """Return the conversation of a bot.

    Raises:
        Refused: with code ``unknown_handoff``; for another bot's conversation, too.
    """
    record = handoffs.find(unit.connection, handoff_id)
    if record is None:
        handoff_events.check_not_deleted(unit.connection, handoff_id)
    if record is None or not record.is_of(side, bot_id):
        raise rights.refusal("unknown_handoff")
    return record


def must_find_for_agent(unit: UnitOfWork, operation: str, agent_id: str, handoff_id: str) -> tuple[Record, Agent]:
    """Return a conversation in which the agent may do this, and the agent.

    Raises:
        Refused: with code ``unknown_handoff``; for one that the agent may not see, too. Or the account was removed.
    """
    record = handoffs.must_find(unit.connection, handoff_id)
    member = accounts.member(unit.connection, agent_id)
    sees = summaries.sees(unit.connection, record, agent_id)
    rights.check(operation, rights.Asker(member.role.value), sees)
    return record, member.agent
