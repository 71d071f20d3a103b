"""The one writer of conversations: what an event writes, in one transaction.

It loads the conversation, steps, and writes the new state with all its effects: messages, timers and outbox entries. What keeps
conversations in memory, and delivers, is in ``relay.py``.
"""

import time
from collections.abc import Callable, Mapping

from sqlalchemy.engine import Connection

from rasa_handoff.core.control import TABLE, Control, Conversation, answer_message_left, step
from rasa_handoff.core.control_timers import due_event, timer_changes
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.effects import Effect, TellCustomer
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.relay import repository
from rasa_handoff.relay.inbox import add_finished_message, finish_message, note_request
from rasa_handoff.relay.outbox_entries import put_entries, refuse_where_full
from rasa_handoff.store.timers import Timer


class Applied(Exception):
    """The event was applied before, so it is acknowledged and changes nothing. Not an error."""


class ConversationWriter:
    """Applies an event in one transaction: loads the conversation, steps, and writes the new state with all its effects.

    ``now`` returns the wall-clock time in seconds since 1970.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._settings, self._now = settings, now

    def apply(self, connection: Connection, event: events.Event) -> Conversation:
        """Apply an event whose texts are valid.

        Raises:
            IllegalEvent: the state table has nothing for this event in this state, or an agent writes in an older handoff.
            Applied: the event was applied before.
            Refused: too many messages already wait for the receiver.
        """
        before = repository.load_to_change(connection, event.conversation_id)
        return self._apply(connection, before, event, repository.timers.running(connection, event.conversation_id))

    def fire(self, connection: Connection, timer: Timer) -> Conversation | None:
        """Apply the event of a due timer; return None if it was stopped meanwhile, or is illegal in this state."""
        conversation = repository.load_to_change(connection, timer.key)
        running = repository.timers.running(connection, timer.key)
        if not repository.timers.take(connection, timer):
            return None
        event = due_event(timer.kind, conversation, self._settings.timers.nobody_takes_then)
        if (conversation.state, type(event)) not in TABLE:
            return None
        return self._apply(connection, conversation, event, running)

    def _apply(
        self, connection: Connection, before: Conversation, event: events.Event, running: Mapping[str, float]
    ) -> Conversation:
        if event.number is not None and not repository.accept_number(connection, str(event.handoff_id), event.number):
            raise Applied
        if isinstance(event, events.NobodyCame) and event.handoff_id == before.handoff_id:
            # Whether the desk's timer or ours was due, the setting decides what follows.
            event = due_event("nobody_takes", before, self._settings.timers.nobody_takes_then)
        _note_beginning(connection, event)
        if isinstance(event, events.AgentSaid) and repository.message_was_left(connection, event.handoff_id):
            after, effects = before, answer_message_left(event)
        else:
            after, effects = step(before, event)
        if isinstance(event, events.PositionChanged) and after.channel in self._settings.quiet_channels:
            effects = ()
        if isinstance(event, events.CustomerRated) and effects and _is_deleted(connection, after):
            effects = ()
        _note_event(connection, event, after)
        if isinstance(event, events.CustomerSaid | events.AgentSaid):
            refuse_where_full(connection, event)
        if after is not before:
            repository.save(connection, after)
        has_ended = after.state is Control.BOT and before.state is not Control.BOT
        is_answered = before.state is Control.BOT and isinstance(event, events.AgentSaid)  # a message that was left
        if has_ended or is_answered:
            repository.end_handoff(connection, str(event.handoff_id or after.handoff_id), self._now())
        self._set_timers(connection, before, after, event, running)
        effects = (*self._state_message(before, after), *effects)
        put_entries(connection, event.conversation_id, event.handoff_id or after.handoff_id, effects)
        return after

    def _state_message(self, before: Conversation, after: Conversation) -> tuple[Effect, ...]:
        """Return a message for the front ends of the channels in ``state_messages`` when another party became active."""
        if after.active_party == before.active_party or after.channel not in self._settings.state_messages:
            return ()
        return (TellCustomer(speaker=Speaker.BOT, message={"custom": {names.STATE_KEY: after.active_party}}),)

    def _set_timers(
        self,
        connection: Connection,
        before: Conversation,
        after: Conversation,
        event: events.Event,
        running: Mapping[str, float],
    ) -> None:
        if event.handoff_id is not None and event.handoff_id != after.handoff_id:
            return  # the event belongs to an older handoff
        start, stop = timer_changes(before, after, event, running)
        due = {kind: self._now() + seconds for kind in start if (seconds := self._seconds(kind)) is not None}
        repository.timers.change(connection, event.conversation_id, due, stop)

    def _seconds(self, kind: str) -> float | None:
        """Return how long a timer of this kind runs; None: it is switched off."""
        return self._settings.story_timeout if kind == "story" else self._settings.timers.seconds(kind)


def _is_deleted(connection: Connection, conversation: Conversation) -> bool:
    """Return whether the last handoff was deleted by its age; the conversation stays while an older one does."""
    return repository.conversation_of(connection, str(conversation.handoff_id)) is None


def _note_beginning(connection: Connection, event: events.Event) -> None:
    """Store a handoff that begins, and the message that requested it."""
    if isinstance(event, events.HandoffRequested | events.HandoffAdopted):
        repository.add_handoff(connection, event.offer)
    if isinstance(event, events.HandoffRequested) and event.message_id is not None:
        note_request(connection, event.conversation_id, event.message_id)


def _note_event(connection: Connection, event: events.Event, after: Conversation) -> None:
    """Store what is kept beside the state: the message itself, that it is done in the inbox, and changes of the offer.

    Raises:
        Applied: the message was stored before.
        CameBefore: the inbox has it.
    """
    handoff_id = str(event.handoff_id or after.handoff_id)
    if event.inbox_id is not None:
        note_done = add_finished_message if event.is_first else finish_message
        note_done(connection, event.conversation_id, event.inbox_id)
    said = event if isinstance(event, events.CustomerSaid | events.AgentSaid) else None
    if said is not None and not repository.keep_message(connection, handoff_id, said):
        raise Applied
    if isinstance(event, events.TranscriptRead):
        repository.replace_offer(connection, event.offer)
    if isinstance(event, events.DeskForgot):
        repository.reset_received(connection, handoff_id)
    if isinstance(event, events.CustomerSaid) and after.ended == "message_left":
        repository.mark_message_left(connection, handoff_id)
