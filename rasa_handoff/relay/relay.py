"""The relay: every event of every side comes in by ``apply`` and leaves as outbox entries, in one transaction.

    customer -> hosted channel -> interceptor -> apply -> control.step -> commit -> outbox -> desk -> agent
    customer <- output channel <- outbox <- commit <- control.step <- apply <- desk <- agent

Nobody else writes conversations. What ``apply`` has answered is committed.
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
from rasa_handoff.relay import memory
from rasa_handoff.relay.dead_letters import DEAD_LETTERS, given_up
from rasa_handoff.relay.ledger import Applied, Change, Ledger, forget_heard
from rasa_handoff.relay.memory import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.apart import apart
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import log_set_aside, told
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.store.pump import Pump, Target
from rasa_handoff.store.tasks import ended, finish
from rasa_handoff.store.timers import RECOVERY, Clock, Timer
from rasa_handoff.thinking.control import ASKED, Control, Conversation, IllegalEvent
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import StoreError
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.text import valid, valid_text
from rasa_handoff.vocabulary.values import Offer, Status

__all__ = ["CUSTOMER", "DESK", "TRACKER", "Relay"]

log = get_log(__name__)


class Relay:
    """Who is active in each conversation, and what is still to be told. Opened as ``async with``.

    Conversations under way are also kept in memory, so that asking about them costs nothing on the live path.
    """

    def __init__(self, store: Store, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self._settings, self._now = settings, now
        self._ledger = Ledger(settings.timers, settings.state_messages, now, settings.story_timeout)
        self._under_way: dict[str, Conversation] = {}
        self._changed = asyncio.Condition()
        self.on_shown: Callable[[Conversation], Awaitable[None]] | None = None
        """Called when somebody else has the customer (``Conversation.shown``); what it does may be lost."""
        self.commands: dict[str, Handler] = {}
        """What whoever runs it may ask of it, by the command's name; nothing while it isn't open."""
        self._pump: Pump | None = None
        self._asking: set[asyncio.Task[Any]] = set()
        self._stack = AsyncExitStack()

    async def open(self, targets: Mapping[str, Target]) -> None:
        """Open the store, remember what is under way and begin to deliver. ``targets``: desk, customer, tracker."""
        await self._stack.enter_async_context(self.store)
        for conversation in await self.store.write(memory.under_way):
            self._under_way[conversation.conversation_id] = conversation
        self._stack.push_async_callback(self._stop_asking)
        self._pump = await self._stack.enter_async_context(
            Pump(self.store, memory.outbox, targets, self._settle, self._set_aside)
        )
        self.commands.update(DEAD_LETTERS.handlers(self.store.write, self._ring_lane))
        self._stack.callback(self.commands.clear)
        await self._stack.enter_async_context(AdminSocket(self.store.url, self.commands))
        await self._end_unanswered_requests()
        await self.store.write(lambda connection: memory.timers.postpone(connection, self._now() + RECOVERY))
        await self._stack.enter_async_context(Clock(self.store, memory.timers, self._ring, self._now))

    async def close(self) -> None:
        """Stop delivering and close the store. What wasn't delivered is delivered after the next start."""
        await self._stack.aclose()

    def conversation(self, conversation_id: str) -> Conversation:
        """The conversation as it is now."""
        return self._under_way.get(conversation_id) or Conversation(conversation_id=conversation_id)

    def desk_active(self, conversation_id: str) -> bool:
        """Whether the bot must not speak: from the desk's acceptance until the conversation is back."""
        state = self.conversation(conversation_id).state
        return state is not Control.BOT and state not in ASKED

    @property
    def under_way(self) -> list[Conversation]:
        """Every conversation that isn't simply the bot's."""
        return list(self._under_way.values())

    async def apply(self, event: e.Event) -> Conversation:
        """Let something happen. Answered after the commit.

        Raises:
            IllegalEvent: if the state table has no such pair; nothing was changed.
            StoreUnavailable: if the database can't be used now; nothing was changed.
        """
        return await finish(self._apply(event))

    async def _apply(self, event: e.Event) -> Conversation:
        event = valid(event)
        try:
            change = await self.store.write(lambda connection: self._ledger.apply(connection, event))
        except Applied:
            return self.conversation(event.conversation_id)
        return await self._follow(change)

    async def apply_to_all(self, kind: type[e.Event]) -> None:
        """Let something that concerns every conversation with the desk happen to each of them."""
        for conversation in self.under_way:
            if conversation.desk_active:
                here: dict[str, Any] = {
                    "conversation_id": conversation.conversation_id,
                    "handoff_id": conversation.handoff_id,
                }
                whose = short_id(conversation.conversation_id)
                with apart(log, "%s can't happen to %s.", kind.__name__, whose), contextlib.suppress(IllegalEvent):
                    await self.apply(kind(**here))

    async def request(self, event: e.HandoffRequested) -> Conversation:
        """Offer a handoff to the desk and wait until it has answered, ``start_timeout`` seconds at most.

        The conversation's state tells how it went: ``WAITING`` or later if the desk accepted, ``BOT`` if it didn't,
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
        """Write these events of a turn of the bot's to the tracker when that can be written again.

        Raises:
            StoreError: they can't be kept; too many wait, for example.
        """
        entry = Entry(target=TRACKER, lane=conversation_id, name="turn", body={"events": list(events)})

        def put(connection: Connection) -> None:
            if memory.outbox.is_full(connection, TRACKER, conversation_id):
                raise StoreError(f"{LONGEST_LANE:,} changes wait for the tracker of {short_id(conversation_id)}.")
            memory.outbox.put(connection, [entry])

        async def keep() -> None:
            await self.store.write(put)
            await self.ring(TRACKER, conversation_id)

        await finish(keep())

    async def wait_while(self, conversation_id: str, states: set[Control]) -> Conversation:
        """Wait until the conversation has left these states."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.conversation(conversation_id).state not in states)
        return self.conversation(conversation_id)

    async def ring(self, target: str, conversation_id: str | None = None) -> None:
        """A receiver is back: deliver what waits for it (for everybody, or in one conversation)."""
        if self._pump is None:
            return
        if conversation_id is None:
            await self._pump.ring_all(target)
        else:
            self._pump.ring([(target, conversation_id)])

    def delivers(self, target: str, conversation_id: str) -> bool:
        """Whether something is on its way in this lane at this moment."""
        return self._pump is not None and self._pump.running((target, conversation_id))

    async def flush(self, target: str, conversation_id: str) -> None:
        """Deliver what waits in this lane now, and wait until that is done or must wait again."""
        if self._pump is not None:
            await self._pump.flush((target, conversation_id))

    async def queue(self, target: str, conversation_id: str) -> list[Entry]:
        """What this lane still has to tell, oldest first."""
        return await self.store.write(lambda connection: memory.outbox.head(connection, target, conversation_id))

    async def unsaved(self, conversation_id: str) -> bool:
        """Whether a turn of the bot's waits to be written to the tracker.

        Raises:
            StoreError: that can't be told now.
        """
        if not self.delivers(TRACKER, conversation_id):  # what waits there is tried all the time
            return False
        return any(entry.name == "turn" for entry in await self.queue(TRACKER, conversation_id))

    async def conversation_of(self, handoff_id: str) -> str | None:
        """Whose handoff it is or was; None for one this relay never began."""
        known = valid_text(handoff_id)
        return await self.store.write(lambda connection: memory.conversation_of(connection, known))

    async def recall(self, conversation_id: str) -> Conversation:
        """The conversation as it was written down, with the channel it was last on, also when it is the bot's again."""
        return await self.store.write(lambda connection: memory.load(connection, conversation_id))

    async def count_dead_letters(self) -> int | None:
        """How many entries were set aside; None while the database can't be used."""
        try:
            return await self.store.write(memory.outbox.count_dead_letters)
        except StoreError:
            return None

    async def heard(self) -> list[dict[str, Any]]:
        """How far the desk was heard in each handoff under way, as ``hello`` says it (docs/protocol.md)."""
        return await self.store.write(memory.heard)

    async def refresh(self, conversation_id: str) -> None:
        """Believe the database rather than the memory."""
        await self._follow(Change(conversation=await self.recall(conversation_id)))

    async def offer_of(self, handoff_id: str) -> Offer:
        """The offer a handoff of ours began with."""
        return await self.store.write(lambda connection: memory.offer_of(connection, handoff_id))

    async def has_read(self, conversation_id: str, id: str) -> None:
        """The customer has read a message, by its id; what no agent said is passed over."""
        handoff_id = await self.store.write(lambda connection: memory.handoff_of_words(connection, conversation_id, id))
        if handoff_id is not None:
            here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
            await self.apply(e.MessageReported(**here, message_id=id, status=Status.READ))

    async def left_message(self, handoff_id: str) -> Offer | None:
        """The offer, with all that was said, if the customer left a message with it; else None."""

        def read(connection: Connection) -> Offer | None:
            return memory.told_again(connection, handoff_id) if memory.has_message(connection, handoff_id) else None

        return await self.store.write(read)

    async def desk_has(self, last: Mapping[str, str]) -> None:
        """The desk says how far it has heard each handoff, by an id: what it has isn't told again."""
        if last:
            await self.store.write(lambda connection: forget_heard(connection, last))

    async def greet(self, epoch: str, unknown: Sequence[str] | None = None) -> None:
        """The desk is there, with this epoch: what it doesn't know is offered again, its database was lost or is an earlier
        copy. One that doesn't say what it doesn't know has lost everything when its epoch is new."""
        before = await self.store.write(memory.desk_epoch)
        lost = before not in (None, epoch)
        for conversation in self.under_way:
            forgotten = lost if unknown is None else conversation.handoff_id in unknown
            if forgotten and conversation.desk_active:
                log.warning("The desk has lost handoff %s: it is offered again.", conversation.handoff_id)
                with apart(log, "Handoff %s can't be offered again.", conversation.handoff_id):
                    await self.offer_again(conversation)
        if before != epoch:  # only now: a process killed among the offers makes them all again
            await self.store.write(lambda connection: memory.note_desk_epoch(connection, epoch))
        await self.apply_to_all(e.DeskBack)

    async def offer_again(self, conversation: Conversation) -> None:
        """The desk knows nothing of this handoff: offer it again, with all that was said."""
        handoff_id = str(conversation.handoff_id)
        offer = await self.store.write(lambda connection: memory.told_again(connection, handoff_id))
        here: dict[str, Any] = {"conversation_id": conversation.conversation_id, "handoff_id": handoff_id}
        with contextlib.suppress(IllegalEvent):
            await self.apply(e.DeskForgot(**here, offer=offer))

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _stop_asking(self) -> None:
        await ended(*self._asking)

    async def _time_out(self, conversation_id: str, handoff_id: str) -> Conversation:
        try:
            return await self.apply(e.StartTimedOut(conversation_id=conversation_id, handoff_id=handoff_id))
        except IllegalEvent:  # the desk answered in the very last moment
            return self.conversation(conversation_id)

    async def _end_unanswered_requests(self) -> None:
        """A process that ended between offer and answer: nobody waits for that answer any more."""
        for conversation in self.under_way:
            if conversation.state is Control.REQUESTED and conversation.handoff_id is not None:
                with apart(log, "The request of %s can't be ended.", short_id(conversation.conversation_id)):
                    await self._time_out(conversation.conversation_id, conversation.handoff_id)

    def _ring_lane(self, road: tuple[str, str]) -> None:
        assert self._pump is not None
        self._pump.ring([road])

    async def _ring(self, timer: Timer) -> None:
        """A timer is due."""
        change = await self.store.write(lambda connection: self._ledger.ring(connection, timer))
        if change is not None:
            log.info("%s of %s was due.", timer.kind, short_id(timer.key))
            await self._follow(change)

    async def _settle(self, entries: Sequence[Entry], outcome: Any) -> None:
        """Remove what was delivered, in one transaction with the events that follow from it (a list, or nothing)."""
        events: list[e.Event] = list(outcome or ())

        def work(connection: Connection) -> list[Change]:
            memory.outbox.remove(connection, entries)
            changes = (self._apply_if_possible(connection, event) for event in events)
            return [change for change in changes if change is not None]

        for change in await self.store.write(work):
            await self._follow(change)

    async def set_aside(self, entry: Entry, problem: Exception) -> None:
        """Something can't be delivered: make a dead letter of it."""
        log_set_aside(entry, problem)
        await self._set_aside(entry, told(problem))

    async def _set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of what can't be delivered, and let its sender know, in one transaction."""
        events = given_up(entry, reason)

        def work(connection: Connection) -> list[Change]:
            memory.outbox.set_aside(connection, entry.key, reason)
            changes = (self._apply_if_possible(connection, event) for event in events)
            return [change for change in changes if change is not None]

        for change in await self.store.write(work):
            await self._follow(change)

    def _apply_if_possible(self, connection: Connection, event: e.Event) -> Change | None:
        try:
            with connection.begin_nested():  # what an event that is refused has written so far goes, the rest stays
                return self._ledger.apply(connection, event)
        except Applied:
            return None
        except IllegalEvent as problem:
            log.warning("%s", problem)
            return None

    async def _follow(self, change: Change) -> Conversation:
        """After the commit: remember who is active, wake who waits for it, and deliver."""
        conversation = change.conversation
        before = self.conversation(conversation.conversation_id)
        assert self._pump is not None
        self._pump.ring(change.roads)  # first: whoever sees the new state finds its words on their way
        if conversation.state is Control.BOT:
            self._under_way.pop(conversation.conversation_id, None)
        else:
            self._under_way[conversation.conversation_id] = conversation
        if self.on_shown is not None and before.shown != conversation.shown:
            await self.on_shown(conversation)
        async with self._changed:
            self._changed.notify_all()
        if before.state is Control.PREPARING and conversation.state is Control.REQUESTED:
            # The turn that asked for it has ended meanwhile.
            self._begin(self._await_answer(conversation.conversation_id, str(conversation.handoff_id)))
        return conversation
