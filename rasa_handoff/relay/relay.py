"""The relay: every event of every side is applied here and leaves as outbox entries, in one transaction.

    customer -> hosted channel -> interceptor -> apply -> control.step -> commit -> outbox -> desk -> agent
    customer <- output channel <- outbox <- commit <- control.step <- apply <- desk <- agent

Nothing else writes conversations. Once :meth:`Relay.apply` returns, the event is committed.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy.engine import Connection

from rasa_handoff.admin.commands import Handler
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.core.control import ASKED, Control, Conversation, IllegalEvent
from rasa_handoff.protocol import events as relay_events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.protocol.values import Offer, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.ledger import Applied, Change, Ledger, remove_acknowledged
from rasa_handoff.relay.repository import CUSTOMER, DESK, TRACKER
from rasa_handoff.relay.undeliverable import DEAD_LETTERS, given_up
from rasa_handoff.store.dispatcher import Dispatcher, Target
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import apart, log_set_aside, reason_of
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.store.tasks import cancel_all, finish
from rasa_handoff.store.timers import RECOVERY, Clock, Timer

__all__ = ["CUSTOMER", "DESK", "TRACKER", "Relay"]

log = get_log(__name__)


class Relay:
    """All conversations of one Rasa process, with their outbox and timers.

    Conversations under way are also kept in memory, so that reading them needs no database access on the live path.
    """

    def __init__(self, store: Store, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self._settings, self._now = settings, now
        self._ledger = Ledger(settings.timers, settings.state_messages, now, settings.story_timeout)
        self._under_way: dict[str, Conversation] = {}
        self._changed = asyncio.Condition()
        self.on_shown: Callable[[Conversation], Awaitable[None]] | None = None
        """Called after another party became active (``Conversation.shown``); not repeated after a crash."""
        self.commands: dict[str, Handler] = {}
        """Administration commands by name; empty unless the relay is open."""
        self._dispatcher: Dispatcher | None = None
        self._asking: set[asyncio.Task[Any]] = set()
        self._stack = AsyncExitStack()

    async def open(self, targets: Mapping[str, Target]) -> None:
        """Open the store, load what is under way and begin to deliver. ``targets``: desk, customer, tracker."""
        await self._stack.enter_async_context(self.store)
        for conversation in await self.store.write(repository.under_way):
            self._under_way[conversation.conversation_id] = conversation
        self._stack.push_async_callback(self._stop_asking)
        self._dispatcher = await self._stack.enter_async_context(
            Dispatcher(self.store, repository.outbox, targets, self._settle, self._set_aside)
        )
        self.commands.update(DEAD_LETTERS.handlers(self.store.write, self._notify_lane))
        self._stack.callback(self.commands.clear)
        await self._stack.enter_async_context(AdminSocket(self.store.url, self.commands))
        await self._end_unanswered_requests()
        await self.store.write(lambda connection: repository.timers.postpone(connection, self._now() + RECOVERY))
        await self._stack.enter_async_context(Clock(self.store, repository.timers, self._fire, self._now))

    async def close(self) -> None:
        """Stop delivering and close the store. What still waits is delivered after the next start."""
        await self._stack.aclose()

    def conversation(self, conversation_id: str) -> Conversation:
        """Return the conversation as it is now."""
        return self._under_way.get(conversation_id) or Conversation(conversation_id=conversation_id)

    def desk_active(self, conversation_id: str) -> bool:
        """Return whether the bot must not speak: from the desk's acceptance until the conversation is back."""
        state = self.conversation(conversation_id).state
        return state is not Control.BOT and state not in ASKED

    @property
    def under_way(self) -> list[Conversation]:
        """Every conversation with a handoff under way."""
        return list(self._under_way.values())

    async def apply(self, event: relay_events.Event) -> Conversation:
        """Apply an event, and return the conversation after the commit.

        Raises:
            IllegalEvent: the state table has no such pair; nothing was changed.
            StoreUnavailable: the database can't be used now; nothing was changed.
        """
        return await finish(self._apply(event))

    async def _apply(self, event: relay_events.Event) -> Conversation:
        event = valid(event)
        try:
            change = await self.store.write(lambda connection: self._ledger.apply(connection, event))
        except Applied:
            return self.conversation(event.conversation_id)
        return await self._follow(change)

    async def apply_to_all(self, kind: type[relay_events.Event]) -> None:
        """Apply an event of this kind to every conversation in which the desk is active."""
        for conversation in self.under_way:
            if conversation.desk_active:
                here: dict[str, Any] = {
                    "conversation_id": conversation.conversation_id,
                    "handoff_id": conversation.handoff_id,
                }
                whose = short_id(conversation.conversation_id)
                with apart(log, "%s can't be applied to %s.", kind.__name__, whose), contextlib.suppress(IllegalEvent):
                    await self.apply(kind(**here))

    async def request(self, event: relay_events.HandoffRequested) -> Conversation:
        """Offer a handoff to the desk and wait until it has answered, ``start_timeout`` seconds at most.

        The state of the returned conversation is ``WAITING`` or later if the desk accepted, ``BOT`` if it didn't,
        ``PREPARING`` if it will be offered once its transcript can be read.
        """
        conversation = await self.apply(event)
        if conversation.state is Control.PREPARING:
            return conversation
        return await self._await_answer(event.conversation_id, event.offer.handoff_id)

    async def _await_answer(self, conversation_id: str, handoff_id: str) -> Conversation:
        try:
            return await asyncio.wait_for(
                self.wait_while(conversation_id, {Control.REQUESTED}), self._settings.start_timeout
            )
        except asyncio.TimeoutError:
            return await self._time_out(conversation_id, handoff_id)

    async def keep_unsaved(self, conversation_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Store the events of a bot turn, to be written to the tracker when that is possible again.

        Raises:
            StoreError: they can't be stored, for example because too many wait already.
        """
        entry = Entry(target=TRACKER, lane=conversation_id, name="turn", body={"events": list(events)})

        def put(connection: Connection) -> None:
            if repository.outbox.is_full(connection, TRACKER, conversation_id):
                raise StoreError(f"{LONGEST_LANE:,} changes wait for the tracker of {short_id(conversation_id)}.")
            repository.outbox.put(connection, [entry])

        async def keep() -> None:
            await self.store.write(put)
            await self.notify(TRACKER, conversation_id)

        await finish(keep())

    async def wait_while(self, conversation_id: str, states: set[Control]) -> Conversation:
        """Wait until the conversation has left these states."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.conversation(conversation_id).state not in states)
        return self.conversation(conversation_id)

    async def notify(self, target: str, conversation_id: str | None = None) -> None:
        """Deliver what waits for a target, in one conversation or in all: its receiver is back."""
        if self._dispatcher is None:
            return
        if conversation_id is None:
            await self._dispatcher.notify_all(target)
        else:
            self._dispatcher.notify([(target, conversation_id)])

    def delivers(self, target: str, conversation_id: str) -> bool:
        """Return whether something in this lane is being delivered now."""
        return self._dispatcher is not None and self._dispatcher.running((target, conversation_id))

    async def flush(self, target: str, conversation_id: str) -> None:
        """Deliver what waits in this lane, and wait until it is empty or must wait again."""
        if self._dispatcher is not None:
            await self._dispatcher.flush((target, conversation_id))

    async def queue(self, target: str, conversation_id: str) -> list[Entry]:
        """Return the entries that wait in this lane, oldest first."""
        return await self.store.write(lambda connection: repository.outbox.head(connection, target, conversation_id))

    async def unsaved(self, conversation_id: str) -> bool:
        """Return whether a bot turn waits to be written to the tracker.

        Raises:
            StoreError: the database can't be used now.
        """
        # Entries for the tracker are retried until they are delivered, so a waiting one has a task.
        if not self.delivers(TRACKER, conversation_id):
            return False
        return any(entry.name == "turn" for entry in await self.queue(TRACKER, conversation_id))

    async def conversation_of(self, handoff_id: str) -> str | None:
        """Return the id of the conversation that a handoff belongs to; None for one this relay never began."""
        known = valid_text(handoff_id)
        return await self.store.write(lambda connection: repository.conversation_of(connection, known))

    async def recall(self, conversation_id: str) -> Conversation:
        """Load the conversation from the database, with its last channel, also when it is back with the bot."""
        return await self.store.write(lambda connection: repository.load(connection, conversation_id))

    async def count_dead_letters(self) -> int | None:
        """Return the number of dead letters; None while the database can't be used."""
        try:
            return await self.store.write(repository.outbox.count_dead_letters)
        except StoreError:
            return None

    async def acknowledged(self) -> list[dict[str, Any]]:
        """Return the last event received from the desk for each handoff under way, as sent in ``hello`` (docs/protocol.md)."""
        return await self.store.write(repository.acknowledged)

    async def refresh(self, conversation_id: str) -> None:
        """Replace the conversation in memory by the one in the database."""
        await self._follow(Change(conversation=await self.recall(conversation_id)))

    async def offer_of(self, handoff_id: str) -> Offer:
        """Return the offer that a handoff began with."""
        return await self.store.write(lambda connection: repository.offer_of(connection, handoff_id))

    async def has_read(self, conversation_id: str, id: str) -> None:
        """Report that the customer has read a message. Ignored unless an agent wrote it."""
        handoff_id = await self.store.write(
            lambda connection: repository.handoff_of_agent_message(connection, conversation_id, id)
        )
        if handoff_id is not None:
            here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
            await self.apply(relay_events.MessageReported(**here, message_id=id, status=Status.READ))

    async def left_message(self, handoff_id: str) -> Offer | None:
        """Return the offer, with everything said since, if the customer left a message with this handoff; else None."""

        def read(connection: Connection) -> Offer | None:
            return (
                repository.offer_again(connection, handoff_id)
                if repository.has_message(connection, handoff_id)
                else None
            )

        return await self.store.write(read)

    async def desk_has(self, last: Mapping[str, str]) -> None:
        """Remove what the desk has acknowledged. ``last``: the id of the last entry it has, by handoff."""
        if last:
            await self.store.write(lambda connection: remove_acknowledged(connection, last))

    async def greet(self, epoch: str, unknown: Sequence[str] | None = None) -> None:
        """Handle a (re)connected desk: offer the handoffs again that it has lost.

        ``unknown``: the handoffs that the desk doesn't have, because its database was lost or restored from an earlier copy. A
        desk that doesn't report them (None) has lost everything if its epoch is new.
        """
        before = await self.store.write(repository.desk_epoch)
        lost = before not in (None, epoch)
        for conversation in self.under_way:
            forgotten = lost if unknown is None else conversation.handoff_id in unknown
            if forgotten and conversation.desk_active:
                log.warning("The desk has lost handoff %s: it is offered again.", conversation.handoff_id)
                with apart(log, "Handoff %s can't be offered again.", conversation.handoff_id):
                    await self.offer_again(conversation)
        if before != epoch:  # last, so that a process killed before has all offers repeated
            await self.store.write(lambda connection: repository.note_desk_epoch(connection, epoch))
        await self.apply_to_all(relay_events.DeskBack)

    async def offer_again(self, conversation: Conversation) -> None:
        """Offer a handoff that the desk has lost again, with everything said since."""
        handoff_id = str(conversation.handoff_id)
        offer = await self.store.write(lambda connection: repository.offer_again(connection, handoff_id))
        here: dict[str, Any] = {"conversation_id": conversation.conversation_id, "handoff_id": handoff_id}
        with contextlib.suppress(IllegalEvent):
            await self.apply(relay_events.DeskForgot(**here, offer=offer))

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _stop_asking(self) -> None:
        await cancel_all(*self._asking)

    async def _time_out(self, conversation_id: str, handoff_id: str) -> Conversation:
        try:
            return await self.apply(relay_events.StartTimedOut(conversation_id=conversation_id, handoff_id=handoff_id))
        except IllegalEvent:  # the desk has just answered
            return self.conversation(conversation_id)

    async def _end_unanswered_requests(self) -> None:
        """Time out the requests that an earlier process left unanswered: nobody waits for the answer any more."""
        for conversation in self.under_way:
            if conversation.state is Control.REQUESTED and conversation.handoff_id is not None:
                with apart(log, "The request of %s can't be ended.", short_id(conversation.conversation_id)):
                    await self._time_out(conversation.conversation_id, conversation.handoff_id)

    def _notify_lane(self, lane_key: tuple[str, str]) -> None:
        assert self._dispatcher is not None
        self._dispatcher.notify([lane_key])

    async def _fire(self, timer: Timer) -> None:
        """Apply the event of a due timer."""
        change = await self.store.write(lambda connection: self._ledger.fire(connection, timer))
        if change is not None:
            log.info("%s of %s was due.", timer.kind, short_id(timer.key))
            await self._follow(change)

    async def _settle(self, entries: Sequence[Entry], outcome: Any) -> None:
        """Remove delivered entries and apply the events that follow (``outcome``: a list or None), in one transaction."""
        events: list[relay_events.Event] = list(outcome or ())

        def work(connection: Connection) -> list[Change]:
            repository.outbox.remove(connection, entries)
            changes = (self._apply_if_possible(connection, event) for event in events)
            return [change for change in changes if change is not None]

        for change in await self.store.write(work):
            await self._follow(change)

    async def set_aside(self, entry: Entry, problem: Exception) -> None:
        """Log an entry that can't be delivered and make a dead letter of it."""
        log_set_aside(entry, problem)
        await self._set_aside(entry, reason_of(problem))

    async def _set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of an entry and apply the events that notify its sender, in one transaction."""
        events = given_up(entry, reason)

        def work(connection: Connection) -> list[Change]:
            repository.outbox.set_aside(connection, entry.key, reason)
            changes = (self._apply_if_possible(connection, event) for event in events)
            return [change for change in changes if change is not None]

        for change in await self.store.write(work):
            await self._follow(change)

    def _apply_if_possible(self, connection: Connection, event: relay_events.Event) -> Change | None:
        try:
            with connection.begin_nested():  # rolls back only what a refused event has written
                return self._ledger.apply(connection, event)
        except Applied:
            return None
        except IllegalEvent as problem:
            log.warning("%s", problem)
            return None

    async def _follow(self, change: Change) -> Conversation:
        """After a commit: update the memory, wake those who wait for a change, and deliver."""
        conversation = change.conversation
        before = self.conversation(conversation.conversation_id)
        assert self._dispatcher is not None
        self._dispatcher.notify(
            change.lane_keys
        )  # first, so that whoever sees the new state finds its messages on their way
        if conversation.state is Control.BOT:
            self._under_way.pop(conversation.conversation_id, None)
        else:
            self._under_way[conversation.conversation_id] = conversation
        if self.on_shown is not None and before.shown != conversation.shown:
            await self.on_shown(conversation)
        async with self._changed:
            self._changed.notify_all()
        if before.state is Control.PREPARING and conversation.state is Control.REQUESTED:
            # The turn that requested the handoff has ended meanwhile.
            self._begin(self._await_answer(conversation.conversation_id, str(conversation.handoff_id)))
        return conversation
