"""The relay: every event of every side is applied here and leaves as outbox entries, in one transaction.

    customer -> hosted channel -> interceptor -> apply -> control.step -> commit -> outbox -> desk -> agent
    customer <- output channel <- outbox <- commit <- control.step <- apply <- desk <- agent

Nothing else writes conversations. Once :meth:`Relay.apply` returns, the event is committed: the state, the messages, the timers
and the outbox entries. An illegal event is rolled back as a whole.

``conversation_writer.py`` writes what an event changes, with the entries that ``outbox_entries.py`` makes of its effects. What
isn't on the way of an ordinary message has files of its own: ``handoff_requests.py`` (offering a conversation to the desk),
``desk_reconnection.py`` (what each side has lost), ``kept_turns.py`` (turns of the bot that couldn't be saved),
``undeliverable.py`` (dead letters), ``other_processes.py``, ``page_connections.py`` and ``turn_leases.py`` (several processes).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.admin import forget_command
from rasa_handoff.admin.commands import Handler
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.core.control import (
    AWAITING_DESK,
    Control,
    Conversation,
    IllegalEvent,
)
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import StoreError, StoreUnavailable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.protocol.values import Offer, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.conversation_writer import Applied, ConversationWriter
from rasa_handoff.relay.desk_reconnection import DeskReconnection
from rasa_handoff.relay.forget_conversation import forget
from rasa_handoff.relay.handoff_requests import HandoffRequests
from rasa_handoff.relay.other_processes import OtherProcesses, remove_of_ended
from rasa_handoff.relay.page_connections import PageConnections
from rasa_handoff.relay.relay_media import RelayMedia
from rasa_handoff.relay.repository import CONVERSATION, CUSTOMER, DESK, TRACKER
from rasa_handoff.relay.turn_leases import TURN, TurnLeases
from rasa_handoff.relay.undeliverable import DEAD_LETTERS, events_after_set_aside
from rasa_handoff.store.change_log import ChangeHandler, LoggedChange
from rasa_handoff.store.changes import savepoint
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import log_set_aside, reason_of
from rasa_handoff.store.lane_leases import LANE_TOPICS
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.sharing import Sharing
from rasa_handoff.store.targets import Target
from rasa_handoff.store.tasks import begin, close_in_time, closing_in_time, finish_despite_cancellation
from rasa_handoff.store.timers import RECOVERY, Clock, Timer

__all__ = ["CUSTOMER", "DESK", "TRACKER", "Relay"]

log = get_log(__name__)

RELOAD_AGAIN: Final = 0.5
"""Seconds until another attempt to read everything anew."""


class Relay:
    """All conversations of one Rasa process, with their outbox and timers.

    Conversations under way are also kept in memory, so that reading them needs no database access on the live path.
    ``requests`` offers handoffs to the desk; ``reconnection`` compares what both sides have; ``others``: the other processes.
    ``media``: pictures and files.
    ``on_active_changed`` is called after another party became active (``Conversation.active_party``), ``on_place_changed``
    after only the place in the queue became another one; neither is repeated after a crash. ``commands``: administration
    commands by name; empty unless the relay is open.

    What reads or writes the database raises ``StoreUnavailable`` while it can't be used. A lane is named by its target (``DESK``,
    ``CUSTOMER`` or ``TRACKER``) and the conversation's id. ``now`` returns the wall-clock time in seconds since 1970.
    """

    def __init__(self, store: Store, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.requests = HandoffRequests(self, settings.start_timeout)
        self.reconnection = DeskReconnection(self, store)
        self.on_active_changed: Callable[[Conversation], Awaitable[None]] | None = None
        self.on_place_changed: Callable[[Conversation], Awaitable[None]] | None = None
        self.commands: dict[str, Handler] = {}
        self._now, self._bus_url = now, settings.bus
        self._writer = ConversationWriter(settings, now)
        self._under_way: dict[str, Conversation] = {}
        self._conversation_of: dict[str | None, str] = {}
        self._changed = asyncio.Condition()
        self._dispatcher: Dispatcher | None = None
        self.others = OtherProcesses(store)
        self.pages, self.turns = PageConnections(store), TurnLeases(store)
        self.media = RelayMedia(store, settings, now)
        self.change_handlers: dict[str, ChangeHandler] = {CONVERSATION: self._follow_others, TURN: self.turns.follow}
        self._stack = AsyncExitStack()

    async def open(self, targets: Mapping[str, Target]) -> None:
        """Open the store, load what is under way and begin to deliver. ``targets``: desk, customer, tracker."""
        await self._stack.enter_async_context(closing_in_time(self.store))
        sharing = await self._stack.enter_async_context(closing_in_time(self._share()))
        membership = self.others.membership = sharing.membership
        for conversation in await self.store.write(repository.under_way):
            self._remember(conversation)
        await self._stack.enter_async_context(closing_in_time(self.media))
        self._stack.push_async_callback(lambda: close_in_time("Waiting for answers", self.requests.stop_waiting()))
        self._dispatcher = await self._stack.enter_async_context(
            closing_in_time(
                Dispatcher(
                    self.store, repository.outbox, targets, self._finish, self._set_aside, lambda: membership.is_valid
                )
            )
        )
        self.commands.update(DEAD_LETTERS.handlers(self.store.write, lambda lane_key: self._deliver([lane_key])))
        self.commands.update(forget_command.handlers(self._forget))
        self._stack.callback(self.commands.clear)
        await self._stack.enter_async_context(closing_in_time(AdminSocket(self.store.url, self.commands)))
        await self._stack.enter_async_context(closing_in_time(self.requests.unanswered_ended(self.store)))
        if await membership.is_alone():
            await self.store.write(lambda connection: repository.timers.postpone(connection, self._now() + RECOVERY))
        sharing.begin()
        await self._stack.enter_async_context(
            closing_in_time(Clock(self.store, repository.timers, self._fire, self._now))
        )

    # Other processes

    def _share(self) -> Sharing:
        """Return the part of this process in what several do; ``change_handlers`` follow the changes of others, by topic."""

        async def follow_lanes(changes: Sequence[LoggedChange]) -> None:
            if self._dispatcher is not None:
                await self._dispatcher.follow(changes)

        def look_for_resting() -> None:
            if self._dispatcher is not None:
                self._dispatcher.look_for_resting()
            if self.others.on_pages_lost is not None:
                self.others.on_pages_lost()

        handlers = {**self.change_handlers, **dict.fromkeys(LANE_TOPICS, follow_lanes)}
        return Sharing(
            self.store,
            repository.outbox,
            repository.processes,
            handlers,
            look_for_resting,
            self._start_anew,
            remove_of_ended,
            self._bus_url,
        )

    async def _follow_others(self, changes: Sequence[LoggedChange]) -> None:
        """Replace the conversations that other processes have changed."""
        ids = list(dict.fromkeys(change.subject for change in changes))
        await self._follow(*await self.store.write(lambda connection: repository.load_all(connection, ids)))

    def _start_anew(self) -> None:
        """Read everything anew: this process stood still, and others have gone on without it."""
        begin(self._reload_surely())
        if self._dispatcher is not None:
            self._dispatcher.doubt()

    async def _reload_surely(self) -> None:
        """Read everything anew, and note under this process's new id what it is connected to."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self._reload()
                await self.pages.note_all()
                await self.others.note_desk_connected(self.others.is_at_desk)
                if self._dispatcher is not None:  # what rests, because nobody knew of a page here
                    await self._dispatcher.notify_all()
                return
            await asyncio.sleep(RELOAD_AGAIN)

    async def _reload(self) -> None:
        known = list(self._under_way)

        def read(connection: Connection) -> list[Conversation]:
            found = {one.conversation_id: one for one in repository.under_way(connection)}
            ended = repository.load_all(connection, [id for id in known if id not in found])
            return [*found.values(), *ended]

        await self._follow(*await self.store.write(read))

    async def current(self, conversation_id: str) -> Conversation:
        """Return the conversation as it is in the database, where other processes may have changed it; else as in memory."""
        if self.store.shared:
            await self.refresh(conversation_id)
        return self.conversation(conversation_id)

    async def _forget(self, conversation_id: str, bot_id: str | None) -> forget_command.Forgotten:
        return await self.store.write(lambda connection: forget(connection, conversation_id, bot_id))

    async def close(self) -> None:
        """Stop delivering and close the store. What still waits is delivered after the next start."""
        await self._stack.aclose()

    # Events

    async def apply(self, event: events.Event) -> Conversation:
        """Apply an event, and return the conversation after the commit.

        Raises:
            IllegalEvent: the state table has nothing for this event in this state, or an agent writes in an older handoff;
                nothing was changed.
            CameBefore: the inbox has the message of an event that ``is_first``; nothing was changed.
            Refused: too many messages already wait for the receiver; nothing was changed.
            StoreUnavailable: the database can't be used now; nothing was changed.
        """
        return await finish_despite_cancellation(self._apply(event))

    async def _apply(self, event: events.Event) -> Conversation:
        event = valid(event)
        try:
            conversation = await self.store.write(lambda connection: self._writer.apply(connection, event))
        except Applied:
            return self.conversation(event.conversation_id)
        await self._follow(conversation)
        return conversation

    async def _follow(self, *changed: Conversation) -> None:
        """After a commit: update the memory, and wake those who wait for a change.

        The memory is updated before anything is awaited: with the first ``await`` the dispatcher may deliver what the commit has
        put.
        """
        followed = [(self._remember(conversation), conversation) for conversation in changed]
        for before, conversation in followed:
            if before.active_party != conversation.active_party:
                if self.on_active_changed is not None:
                    await self.on_active_changed(conversation)
            elif self.on_place_changed is not None and before.place != conversation.place:
                await self.on_place_changed(conversation)
            async with self._changed:
                self._changed.notify_all()
            if before.state is Control.PREPARING and conversation.state is Control.REQUESTED:
                self.requests.await_answer_later(conversation)

    def _remember(self, conversation: Conversation) -> Conversation:
        """Replace the conversation in memory, and return it as it was."""
        before = self.conversation(conversation.conversation_id)
        self._under_way.pop(conversation.conversation_id, None)
        self._conversation_of.pop(before.handoff_id, None)
        if conversation.state is not Control.BOT:
            self._under_way[conversation.conversation_id] = conversation
            self._conversation_of[conversation.handoff_id] = conversation.conversation_id
        return before

    async def _fire(self, timer: Timer) -> None:
        """Apply the event of a due timer."""
        conversation = await self.store.write(lambda connection: self._writer.fire(connection, timer))
        if conversation is not None:
            log.info("%s of %s was due.", timer.kind, short_id(timer.key))
            await self._follow(conversation)

    async def _finish(self, entries: Sequence[Entry], outcome: Any) -> None:
        """Remove delivered entries and apply the events that follow (``outcome``: a list or None), in one transaction."""
        await self._apply_after(lambda connection: repository.outbox.remove(connection, entries), outcome or ())

    async def set_aside(self, entry: Entry, problem: Exception) -> None:
        """Log an entry that can't be delivered, and make a dead letter of it. For targets; the dispatcher logs what it sets
        aside."""
        log_set_aside(entry, problem)
        await self._set_aside(entry, reason_of(problem))

    async def _set_aside(self, entry: Entry, reason: str) -> None:
        """Make a dead letter of an entry and apply the events that notify its sender, in one transaction."""
        await self._apply_after(
            lambda connection: repository.outbox.set_aside(connection, entry.key, reason),
            events_after_set_aside(entry, reason),
        )

    async def _apply_after(self, work: Callable[[Connection], object], follow_ups: Iterable[events.Event]) -> None:
        """Run ``work`` and apply the events that follow from it in one transaction; illegal ones are logged and left out."""

        def transact(connection: Connection) -> list[Conversation]:
            if self.store.shared:
                for event in follow_ups:  # a conversation's lock comes before those of its entries
                    repository.load_to_change(connection, event.conversation_id)
            work(connection)
            changed = (self._apply_if_possible(connection, event) for event in follow_ups)
            return [conversation for conversation in changed if conversation is not None]

        await self._follow(*await self.store.write(transact))

    def _apply_if_possible(self, connection: Connection, event: events.Event) -> Conversation | None:
        try:
            with savepoint(connection):  # rolls back only what a refused event has written
                return self._writer.apply(connection, valid(event))
        except Applied:
            return None
        except IllegalEvent as problem:
            log.warning("%s", problem)
            return None

    async def report_read(self, conversation_id: str, message_id: str) -> None:
        """Report that the customer has read a message. Ignored unless an agent wrote it."""
        handoff_id = await self.store.write(
            lambda connection: repository.handoff_of_agent_message(connection, conversation_id, message_id)
        )
        if handoff_id is not None:
            here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
            await self.apply(events.MessageReported(**here, message_id=message_id, status=Status.READ))

    # Conversations

    def conversation(self, conversation_id: str) -> Conversation:
        """Return the conversation as it is now."""
        return self._under_way.get(conversation_id) or Conversation(conversation_id=conversation_id)

    @property
    def under_way(self) -> list[Conversation]:
        """Every conversation with a handoff under way."""
        return list(self._under_way.values())

    def silences_bot(self, conversation_id: str) -> bool:
        """Return whether the bot must not speak: from the desk's acceptance until the conversation is back.

        Unlike :attr:`Conversation.desk_active` this is also true while the conversation is ``RETURNING``.
        """
        state = self.conversation(conversation_id).state
        return state is not Control.BOT and state not in AWAITING_DESK

    async def wait_while(self, conversation_id: str, states: set[Control]) -> Conversation:
        """Wait until the conversation has left these states, and return it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.conversation(conversation_id).state not in states)
        return self.conversation(conversation_id)

    async def recall(self, conversation_id: str) -> Conversation:
        """Return the conversation with its last channel, also when it is back with the bot; then the database is read."""
        return self._under_way.get(conversation_id) or await self._load(conversation_id)

    async def _load(self, conversation_id: str) -> Conversation:
        return await self.store.write(lambda connection: repository.load(connection, conversation_id))

    async def refresh(self, conversation_id: str) -> None:
        """Replace the conversation in memory by the one in the database."""
        await self._follow(await self._load(conversation_id))

    async def conversation_of(self, handoff_id: str) -> str | None:
        """Return the id of the conversation that a handoff belongs to; None for one this relay never began."""
        handoff_id = valid_text(handoff_id)
        if handoff_id in self._conversation_of:
            return self._conversation_of[handoff_id]
        return await self.store.write(lambda connection: repository.conversation_of(connection, handoff_id))

    async def offer_of(self, handoff_id: str) -> Offer:
        """Return the offer that a handoff began with."""
        return await self.store.write(lambda connection: repository.offer_of(connection, handoff_id))

    # Lanes of the outbox

    async def notify(self, target: str, conversation_id: str | None = None) -> None:
        """Deliver what waits for a target, in one conversation or in all: its receiver is back."""
        if self._dispatcher is None:
            return
        if conversation_id is None:
            await self._dispatcher.notify_all(target)
        else:
            self._deliver([(target, conversation_id)])

    def _deliver(self, lane_keys: Iterable[tuple[str, str]]) -> None:
        assert self._dispatcher is not None
        self._dispatcher.notify(lane_keys)

    def delivers(self, target: str, conversation_id: str) -> bool:
        """Return whether the dispatcher is at work on this lane: entries are being delivered, or tried again after a pause."""
        return self._dispatcher is not None and self._dispatcher.running((target, conversation_id))

    async def flush(self, target: str, conversation_id: str) -> None:
        """Deliver what waits in this lane, and wait until it is empty or must wait again."""
        if self._dispatcher is not None:
            await self._dispatcher.flush((target, conversation_id))

    async def waiting_entries(self, target: str, conversation_id: str) -> list[Entry]:
        """Return the entries that wait in this lane, oldest first."""
        return await self.store.write(lambda connection: repository.outbox.head(connection, target, conversation_id))

    async def count_dead_letters(self) -> int | None:
        """Return the number of dead letters; None while the database can't be used."""
        try:
            return await self.store.write(repository.outbox.count_dead_letters)
        except StoreError:
            return None
