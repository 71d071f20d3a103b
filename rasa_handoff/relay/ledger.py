"""One transaction of a conversation: load its state, apply an event, and write the new state with all its effects.

The state, the outbox entries and the timers share one commit. An illegal event is rolled back as a whole.
"""

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.core.control import TABLE, Conversation, step
from rasa_handoff.core.control_timers import due_event, timer_changes
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.channel_settings import FIXED_TIMERS, TimerSettings
from rasa_handoff.protocol.effects import (
    Effect,
    OfferAgain,
    OfferStored,
    TellCustomer,
    TellDesk,
    WithdrawOffer,
    WriteTracker,
)
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.values import Speaker, Value, plain
from rasa_handoff.relay import repository
from rasa_handoff.relay.inbox import done_with, note_request
from rasa_handoff.relay.repository import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.store.timers import Timer

OFFER: Final = "handoff.initiate"
LONGEST_QUOTED: Final = 100
"""Characters of a customer's message that a notice about it quotes."""


class Applied(Exception):
    """The event was applied before, so it is acknowledged and changes nothing. Not an error."""


class Change(Value, frozen=True, kw_only=True):
    """The result of an event: the conversation as it is now, and the lanes to notify."""

    conversation: Conversation
    lane_keys: tuple[tuple[str, str], ...] = ()


class Ledger:
    """Applies events inside a transaction.

    ``state_messages``: the channels whose front ends get a message whenever another party becomes active. ``now`` returns the
    wall-clock time in seconds. ``story_timeout``: seconds that a handoff waits for its transcript.
    """

    def __init__(
        self,
        timer_settings: TimerSettings,
        state_messages: Collection[str] = (),
        now: Callable[[], float] = time.time,
        story_timeout: float = FIXED_TIMERS["story"],
    ) -> None:
        self._settings, self._state_messages, self._now = timer_settings, state_messages, now
        self._story_timeout = story_timeout

    def apply(self, connection: Connection, event: events.Event) -> Change:
        """Apply an event.

        Raises:
            IllegalEvent: the state table has no such pair.
            Applied: the event was applied before.
            Refused: too many messages already wait for the receiver.
        """
        event = valid(event)
        running = repository.timers.running(connection, event.conversation_id)
        return self._apply(connection, event, running)

    def fire(self, connection: Connection, timer: Timer) -> Change | None:
        """Apply the event of a due timer; return None if it was stopped meanwhile, or is illegal in this state."""
        running = repository.timers.running(connection, timer.key)
        if not repository.timers.take(connection, timer):
            return None
        conversation = repository.load(connection, timer.key)
        event = due_event(timer.kind, conversation, self._settings.nobody_takes_then)
        return self._apply(connection, event, running) if (conversation.state, type(event)) in TABLE else None

    def _apply(self, connection: Connection, event: events.Event, running: dict[str, float]) -> Change:
        if event.number is not None and not repository.is_next(connection, str(event.handoff_id), event.number):
            raise Applied
        before = repository.load(connection, event.conversation_id)
        if isinstance(event, events.NobodyCame) and event.handoff_id == before.handoff_id:
            # Whether the desk's timer or ours was due, the setting decides what follows.
            event = due_event("nobody_takes", before, self._settings.nobody_takes_then)
        if isinstance(event, events.HandoffRequested | events.HandoffAdopted):
            repository.begin(connection, event.offer)
        if isinstance(event, events.HandoffRequested) and event.message_id is not None:
            note_request(connection, event.conversation_id, event.message_id)
        if isinstance(event, events.MessageReported | events.NoticeShown | events.WordsNotDelivered):
            after, effects = before, _reports(event)
        elif isinstance(event, events.AgentSaid) and repository.has_message(connection, event.handoff_id):
            after, effects = before, _reply(event)
        else:
            after, effects = step(before, event)
            effects = (*self._state_message(before, after), *effects)
        self._record(connection, event, after)
        if isinstance(event, events.CustomerSaid | events.AgentSaid):
            _refuse_where_full(connection, event)
        if after is not before:
            repository.save(connection, after)
        self._set_timers(connection, before, after, event, running)
        lane_keys = _put_entries(connection, event.conversation_id, event.handoff_id or after.handoff_id, effects)
        return Change(conversation=after, lane_keys=tuple(lane_keys))

    def _state_message(self, before: Conversation, after: Conversation) -> tuple[Effect, ...]:
        if after.shown == before.shown or after.channel not in self._state_messages:
            return ()
        return (TellCustomer(speaker=Speaker.BOT, message={"custom": {names.STATE_KEY: after.shown}}),)

    def _record(self, connection: Connection, event: events.Event, after: Conversation) -> None:
        handoff_id = str(event.handoff_id or after.handoff_id)
        if event.sent is not None:
            done_with(connection, event.conversation_id, event.sent)
        if isinstance(event, events.CustomerSaid | events.AgentSaid) and not repository.is_new(
            connection, handoff_id, event
        ):
            raise Applied
        if isinstance(event, events.TranscriptRead):
            repository.keep_offer(connection, event.offer)
        if isinstance(event, events.DeskForgot):
            repository.reset_received(connection, handoff_id)
        if isinstance(event, events.CustomerSaid) and after.ended == "message_left":
            repository.leave_message(connection, handoff_id)

    def _set_timers(
        self,
        connection: Connection,
        before: Conversation,
        after: Conversation,
        event: events.Event,
        running: dict[str, float],
    ) -> None:
        if event.handoff_id is not None and event.handoff_id != after.handoff_id:
            return  # of an older handoff
        start, stop = timer_changes(before, after, event, running)
        for kind in stop:
            repository.timers.clear(connection, event.conversation_id, kind)
        for kind in start:
            seconds = self._story_timeout if kind == "story" else self._settings.seconds(kind)
            if seconds is not None:
                due = self._now() + seconds
                repository.timers.set(connection, Timer(key=event.conversation_id, kind=kind, due=due))


def remove_acknowledged(connection: Connection, last: Mapping[str, str]) -> None:
    """Remove outbox entries that the desk has acknowledged: of each handoff, up to and including this id.

    An offer stays until it is answered.
    """
    for handoff_id, id in last.items():
        lane = repository.conversation_of(connection, handoff_id)
        waiting = repository.waiting(connection, lane, handoff_id) if lane is not None else []
        places = [place for place, entry in enumerate(waiting, start=1) if entry.id == id]
        acknowledged = waiting[: places[0]] if places else []
        repository.outbox.remove(connection, [entry for entry in acknowledged if entry.name != OFFER])


def _refuse_where_full(connection: Connection, event: events.CustomerSaid | events.AgentSaid) -> None:
    to, whom = (DESK, "the agents") if isinstance(event, events.CustomerSaid) else (CUSTOMER, "the customer")
    full = repository.outbox.full(connection, [to, TRACKER], [event.conversation_id])
    if full:
        who = whom if (to, event.conversation_id) in full else "Rasa's tracker"
        raise Refused("too_many", f"{LONGEST_LANE:,} messages already wait for {who}, so this one wasn't taken.")


def _dispensable(effect: Effect) -> str | None:
    """Return the target of an effect that may be left out when its lane is full: a notice or a message's status; else None."""
    if isinstance(effect, TellCustomer) and effect.speaker is Speaker.SYSTEM:
        return CUSTOMER
    if isinstance(effect, TellDesk) and effect.name == "message.status":
        return DESK
    return TRACKER if isinstance(effect, WriteTracker) and effect.kind == "notice" else None


def _full_targets(connection: Connection, lane: str, effects: Sequence[Effect]) -> set[str]:
    """Return the targets whose lane is full, so that the dispensable effects for them are left out."""
    wanted = {target for effect in effects if (target := _dispensable(effect)) is not None}
    return {target for target, _ in repository.outbox.without_room(connection, wanted, [lane])}


def _reports(event: events.MessageReported | events.NoticeShown | events.WordsNotDelivered) -> tuple[Effect, ...]:
    """Return the effects of an event that concerns a message rather than the conversation; legal in every state."""
    if isinstance(event, events.NoticeShown):
        body = {"handoff_id": event.handoff_id, "id": event.id, "text": event.text, "at": event.at}
        return (WriteTracker(kind="notice", body={**body, "response": event.response}),)
    if isinstance(event, events.WordsNotDelivered):
        values = {"text": event.text if len(event.text) <= LONGEST_QUOTED else f"{event.text[:LONGEST_QUOTED]}..."}
        return (TellCustomer(speaker=Speaker.SYSTEM, response=names.UTTER_NOT_DELIVERED, values=values),)
    body = {"handoff_id": event.handoff_id, "message_id": event.message_id}
    return (TellDesk(name="message.status", body={**body, "status": event.status.value, "reason": event.reason}),)


def _reply(event: events.AgentSaid) -> tuple[Effect, ...]:
    """Return the effects of an answer to a message that was left: sent with the agent's name, whoever is active."""
    body = {"handoff_id": event.handoff_id, "id": event.id, "text": event.text, "at": event.at, "agent": event.agent}
    values = {"agent": event.agent, "text": event.text}
    reply = TellCustomer(speaker=Speaker.AGENT, id=event.id, response=names.UTTER_REPLY, values=values)
    return reply, WriteTracker(kind="agent", body=body)


def _put_entries(
    connection: Connection, lane: str, handoff_id: str | None, effects: Sequence[Effect]
) -> list[tuple[str, str]]:
    entries, full = [], _full_targets(connection, lane, effects)
    for effect in effects:
        if _dispensable(effect) in full:
            continue
        if isinstance(effect, WithdrawOffer):
            _withdraw(connection, lane, handoff_id)
        elif isinstance(effect, OfferAgain):
            offer = repository.stamped(connection, effect.body)
            entries.append(Entry(target=DESK, lane=lane, name=OFFER, body=offer))
            entries += [entry for entry in _withdraw(connection, lane, handoff_id) if entry.name != OFFER]
        elif isinstance(effect, OfferStored):
            offer = repository.stamped(connection, plain(repository.offer_of(connection, str(handoff_id))))
            entries.append(Entry(target=DESK, lane=lane, name=OFFER, body=offer))
        elif isinstance(effect, TellDesk):
            body = repository.stamped(connection, effect.body)
            entries.append(Entry(target=DESK, lane=lane, name=effect.name, body=body))
        elif isinstance(effect, WriteTracker):
            entries.append(Entry(target=TRACKER, lane=lane, name=effect.kind, body=effect.body))
        else:
            body = {**plain(effect), "id": effect.id or uuid.uuid4().hex, "handoff_id": handoff_id}
            entries.append(Entry(target=CUSTOMER, lane=lane, name=effect.speaker.value, body=body))
    repository.outbox.put(connection, entries)
    return [entry.lane_key for entry in entries]


def _withdraw(connection: Connection, lane: str, handoff_id: str | None) -> list[Entry]:
    """Remove and return what still waits for the desk of this handoff; entries of an earlier one stay."""
    waiting = repository.waiting(connection, lane, handoff_id)
    repository.outbox.remove(connection, waiting)
    return waiting
