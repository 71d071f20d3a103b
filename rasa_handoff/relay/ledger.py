"""What one transaction does to a conversation: take the state, step, write down the new one with all that follows from it.

The state, the outbox entries and the timers are one commit; what isn't legal is rolled back whole.
"""

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.relay import memory
from rasa_handoff.relay.inbox import done_with, note_request
from rasa_handoff.relay.memory import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.store.timers import Timer
from rasa_handoff.thinking.control import TABLE, Conversation, step
from rasa_handoff.thinking.timing import rung, timers
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.effects import (
    Effect,
    OfferAgain,
    OfferStored,
    Record,
    TellCustomer,
    TellDesk,
    WithdrawOffer,
)
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.settings import FIXED_TIMERS, TimerSettings
from rasa_handoff.vocabulary.text import valid
from rasa_handoff.vocabulary.values import Speaker, Value, plain

OFFER: Final = "handoff.initiate"
LONGEST_QUOTED: Final = 100
"""Characters of a customer's words in a notice about them."""


class Applied(Exception):
    """Not an error of anybody's: the event had come before, so it is acknowledged and changes nothing."""


class Change(Value, frozen=True, kw_only=True):
    """The conversation as it is now, and the lanes that have something to tell."""

    conversation: Conversation
    roads: tuple[tuple[str, str], ...] = ()


class Ledger:
    """Applies events inside a transaction. ``state_messages``: the channels whose front ends are told by a message whom the
    customer has. ``now`` tells the wall-clock time in seconds. ``story_timeout``: how long a handoff waits for its transcript."""

    def __init__(
        self,
        timer_settings: TimerSettings,
        state_messages: Collection[str] = (),
        now: Callable[[], float] = time.time,
        story_timeout: float = FIXED_TIMERS["story"],
    ) -> None:
        self._settings, self._state_messages, self._now = timer_settings, state_messages, now
        self._story_timeout = story_timeout

    def apply(self, connection: Connection, event: e.Event) -> Change:
        """Let an event happen.

        Raises:
            IllegalEvent: the state table has no such pair.
            Applied: it had happened before.
            Refused: too many words wait already for whom these are.
        """
        event = valid(event)
        running = memory.timers.running(connection, event.conversation_id)
        return self._apply(connection, event, running)

    def ring(self, connection: Connection, timer: Timer) -> Change | None:
        """Let a timer that is due happen; None if it was stopped meanwhile, or means nothing in this state."""
        running = memory.timers.running(connection, timer.key)
        if not memory.timers.take(connection, timer):
            return None
        conversation = memory.load(connection, timer.key)
        event = rung(timer.kind, conversation, self._settings.nobody_takes_then)
        return self._apply(connection, event, running) if (conversation.state, type(event)) in TABLE else None

    def _apply(self, connection: Connection, event: e.Event, running: dict[str, float]) -> Change:
        if event.number is not None and not memory.is_next(connection, str(event.handoff_id), event.number):
            raise Applied
        before = memory.load(connection, event.conversation_id)
        if (
            isinstance(event, e.NobodyCame) and event.handoff_id == before.handoff_id
        ):  # the desk's clock or ours: the setting decides what comes of it
            event = rung("nobody_takes", before, self._settings.nobody_takes_then)
        if isinstance(event, e.HandoffRequested | e.HandoffAdopted):
            memory.begin(connection, event.offer)
        if isinstance(event, e.HandoffRequested) and event.message_id is not None:
            note_request(connection, event.conversation_id, event.message_id)
        if isinstance(event, e.MessageReported | e.NoticeShown | e.WordsNotDelivered):
            after, effects = before, _reports(event)
        elif isinstance(event, e.AgentSaid) and memory.has_message(connection, event.handoff_id):
            after, effects = before, _reply(event)
        else:
            after, effects = step(before, event)
            effects = (*self._state(before, after), *effects)
        self._note(connection, event, after)
        if isinstance(event, e.CustomerSaid | e.AgentSaid):
            _refuse_where_full(connection, event)
        if after is not before:
            memory.save(connection, after)
        self._time(connection, before, after, event, running)
        roads = _tell(connection, event.conversation_id, event.handoff_id or after.handoff_id, effects)
        return Change(conversation=after, roads=tuple(roads))

    def _state(self, before: Conversation, after: Conversation) -> tuple[Effect, ...]:
        if after.shown == before.shown or after.channel not in self._state_messages:
            return ()
        return (TellCustomer(speaker=Speaker.BOT, message={"custom": {names.STATE_KEY: after.shown}}),)

    def _note(self, connection: Connection, event: e.Event, after: Conversation) -> None:
        handoff_id = str(event.handoff_id or after.handoff_id)
        if event.sent is not None:
            done_with(connection, event.conversation_id, event.sent)
        if isinstance(event, e.CustomerSaid | e.AgentSaid) and not memory.is_new(connection, handoff_id, event):
            raise Applied
        if isinstance(event, e.TranscriptRead):
            memory.keep_offer(connection, event.offer)
        if isinstance(event, e.DeskForgot):
            memory.count_anew(connection, handoff_id)
        if isinstance(event, e.CustomerSaid) and after.ended == "message_left":
            memory.leave_message(connection, handoff_id)

    def _time(
        self,
        connection: Connection,
        before: Conversation,
        after: Conversation,
        event: e.Event,
        running: dict[str, float],
    ) -> None:
        if event.handoff_id is not None and event.handoff_id != after.handoff_id:
            return  # of an older handoff
        start, stop = timers(before, after, event, running)
        for kind in stop:
            memory.timers.clear(connection, event.conversation_id, kind)
        for kind in start:
            seconds = self._story_timeout if kind == "story" else self._settings.seconds(kind)
            if seconds is not None:
                due = self._now() + seconds
                memory.timers.set(connection, Timer(key=event.conversation_id, kind=kind, due=due))


def forget_heard(connection: Connection, last: Mapping[str, str]) -> None:
    """Take out what the desk has: of each handoff, up to this id. An offer stays until it is answered."""
    for handoff_id, id in last.items():
        lane = memory.conversation_of(connection, handoff_id)
        waiting = memory.waiting(connection, lane, handoff_id) if lane is not None else []
        places = [place for place, entry in enumerate(waiting, start=1) if entry.id == id]
        had = waiting[: places[0]] if places else []
        memory.outbox.remove(connection, [entry for entry in had if entry.name != OFFER])


def _refuse_where_full(connection: Connection, event: e.CustomerSaid | e.AgentSaid) -> None:
    to, whom = (DESK, "the agents") if isinstance(event, e.CustomerSaid) else (CUSTOMER, "the customer")
    full = memory.outbox.full(connection, [to, TRACKER], [event.conversation_id])
    if full:
        who = whom if (to, event.conversation_id) in full else "Rasa's tracker"
        raise Refused("too_many", f"{LONGEST_LANE:,} messages already wait for {who}, so this one wasn't taken.")


def _dispensable(effect: Effect) -> str | None:
    """The target of what can be left out where too much waits: a notice, and what became of a message; None of all else."""
    if isinstance(effect, TellCustomer) and effect.speaker is Speaker.SYSTEM:
        return CUSTOMER
    if isinstance(effect, TellDesk) and effect.name == "message.status":
        return DESK
    return TRACKER if isinstance(effect, Record) and effect.kind == "notice" else None


def _without_room(connection: Connection, lane: str, effects: Sequence[Effect]) -> set[str]:
    """The targets of this lane for which so much waits that these are left out."""
    wanted = {target for effect in effects if (target := _dispensable(effect)) is not None}
    return {target for target, _ in memory.outbox.without_room(connection, wanted, [lane])}


def _reports(event: e.MessageReported | e.NoticeShown | e.WordsNotDelivered) -> tuple[Effect, ...]:
    """What concerns a message rather than the conversation: told whatever the state is."""
    if isinstance(event, e.NoticeShown):
        body = {"handoff_id": event.handoff_id, "id": event.id, "text": event.text, "at": event.at}
        return (Record(kind="notice", body={**body, "response": event.response}),)
    if isinstance(event, e.WordsNotDelivered):
        values = {"text": event.text if len(event.text) <= LONGEST_QUOTED else f"{event.text[:LONGEST_QUOTED]}..."}
        return (TellCustomer(speaker=Speaker.SYSTEM, response=names.UTTER_NOT_DELIVERED, values=values),)
    body = {"handoff_id": event.handoff_id, "message_id": event.message_id}
    return (TellDesk(name="message.status", body={**body, "status": event.status.value, "reason": event.reason}),)


def _reply(event: e.AgentSaid) -> tuple[Effect, ...]:
    """The desk answers a message that was left: the customer is told whose answer it is, whoever is active."""
    body = {"handoff_id": event.handoff_id, "id": event.id, "text": event.text, "at": event.at, "agent": event.agent}
    values = {"agent": event.agent, "text": event.text}
    told = TellCustomer(speaker=Speaker.AGENT, id=event.id, response=names.UTTER_REPLY, values=values)
    return told, Record(kind="agent", body=body)


def _tell(
    connection: Connection, lane: str, handoff_id: str | None, effects: Sequence[Effect]
) -> list[tuple[str, str]]:
    entries, full = [], _without_room(connection, lane, effects)
    for effect in effects:
        if _dispensable(effect) in full:
            continue
        if isinstance(effect, WithdrawOffer):
            _withdraw(connection, lane, handoff_id)
        elif isinstance(effect, OfferAgain):
            offer = memory.stamped(connection, effect.body)
            entries.append(Entry(target=DESK, lane=lane, name=OFFER, body=offer))
            entries += [entry for entry in _withdraw(connection, lane, handoff_id) if entry.name != OFFER]
        elif isinstance(effect, OfferStored):
            offer = memory.stamped(connection, plain(memory.offer_of(connection, str(handoff_id))))
            entries.append(Entry(target=DESK, lane=lane, name=OFFER, body=offer))
        elif isinstance(effect, TellDesk):
            body = memory.stamped(connection, effect.body)
            entries.append(Entry(target=DESK, lane=lane, name=effect.name, body=body))
        elif isinstance(effect, Record):
            entries.append(Entry(target=TRACKER, lane=lane, name=effect.kind, body=effect.body))
        else:
            body = {**plain(effect), "id": effect.id or uuid.uuid4().hex, "handoff_id": handoff_id}
            entries.append(Entry(target=CUSTOMER, lane=lane, name=effect.speaker.value, body=body))
    memory.outbox.put(connection, entries)
    return [entry.road for entry in entries]


def _withdraw(connection: Connection, lane: str, handoff_id: str | None) -> list[Entry]:
    """Take out what the desk wasn't told of this handoff; what waits of one before is still owed."""
    waiting = memory.waiting(connection, lane, handoff_id)
    memory.outbox.remove(connection, waiting)
    return waiting
