"""A conversation on a platform with a desk of its own.

The rules:

1. One turn of a conversation at a time; a message whose turn is in the tracker is answered from there, not run again.
2. A turn that asks for a handoff pauses the conversation in the tracker: nothing in Rasa makes the bot speak then.
3. The platform calls again only when the bot has the conversation again: the next message resumes it and is the bot's. A pause
   of the project's own, without a handoff, is left alone.
4. But a message that came before the pause, or in the moments the platform needs to read the answer, crossed the handoff: it is
   the people's, and the bot stays silent.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from rasa.core.channels.channel import UserMessage
from rasa.shared.core.events import (
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    Event,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.bot_turn import BotTurn
from rasa_handoff.rasa_room.comeback import BotComesBack, Words
from rasa_handoff.rasa_room.later import LaterWriter
from rasa_handoff.rasa_room.offering import taken_slot
from rasa_handoff.rasa_room.pauses import paused_for_handoff
from rasa_handoff.rasa_room.retold import told_in_turn
from rasa_handoff.rasa_room.tracker import customer, listening, pause
from rasa_handoff.rasa_room.turns import Turns
from rasa_handoff.thinking.transcript import button_titles
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.names import NOTE_SLOT, OUTCOME_SLOT
from rasa_handoff.vocabulary.settings import IntentSettings

log = get_log(__name__)

RESOLVED: Final = "resolved"
"""What the outcome slot says after each handoff: platforms tell no more than that the bot has it again."""

WRITTEN_SECONDS: Final = 1.0
"""How long a call waits for what is written later."""

Hear = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""What the bot is to hear, given the session's events so far; None: the message isn't for the bot."""
Parting = Callable[[], str | None]
"""Asked when the conversation is handed over: the response to say, by name; None: nothing more."""


class Conversations:
    """Takes messages to the bot. ``channel``: the platform's name in Rasa; ``crossing``: seconds after a handoff in which a
    message counts as written before it."""

    def __init__(self, bot: Bot, turn: BotTurn, channel: str, intents: IntentSettings, crossing: float) -> None:
        self._bot, self._turn, self._channel, self._crossing = bot, turn, channel, crossing
        self._ended, self._execute = intents.ended, intents.execute
        self._turns, self.later = Turns(), LaterWriter(bot)
        self._handed: dict[str, float] = {}
        """When conversations were handed over whose pause isn't in the tracker yet."""

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait for this conversation's turn; first come, first served."""
        async with self._turns.turn(conversation_id):
            yield

    def has_turn(self, conversation_id: str) -> bool:
        """Whether a turn of this conversation is under way here."""
        return self._turns.under_way(conversation_id)

    async def take(
        self,
        message: UserMessage,
        arrived: float,
        hear: Hear,
        *,
        welcome: bool = False,
        hands_over: Callable[[], bool] = lambda: False,
        parting: Parting = lambda: None,
    ) -> HandoffRequest | None:
        """Let the bot answer on the message's output channel. ``arrived``: when the request came. Within :meth:`turn`.
        ``welcome``: nobody has said this; it tells that the bot has the conversation. ``hands_over``: whether the answer does
        so by itself, in the platform's own words.

        Returns the handoff the answer is still to carry. With either the conversation is paused.
        """
        tracker = await self._read(message.sender_id)
        told = told_in_turn(tracker, message) if tracker is not None else None
        if tracker is None:
            message.text = hear(())
            if message.text is None or not await self._is_ours_unread(message, arrived):
                return None
        elif told is None:
            happened = [event.as_dict() for event in tracker.events]
            message.text = hear(await self._turn.with_options(self._channel, message.sender_id, happened))
            paused = paused_for_handoff(tracker, self._execute)
            if message.text is None:
                if welcome and paused:
                    await self._is_ours(tracker, message, arrived)  # the bot has it again, and says nothing to that
                return None
            if paused and welcome and tracker.active_loop is not None:
                await self._go_on(message)
                return None
            if paused and not await self._is_ours(tracker, message, arrived):
                return None
        else:
            message.parse_data = told[0]  # a turn leaves it there too
        if len(message.text or "") > LONGEST_MESSAGE:
            log.warning(
                "A message of %s has %s characters: refused.", short_id(message.sender_id), len(message.text or "")
            )
            words = await self._bot.say(names.UTTER_TOO_LONG, message.sender_id, self._channel)
            await message.output_channel.send_response(message.sender_id, words)
            return None
        ran = await self._turn.run(self._channel, message, told)
        wish = await self._turn.wish(self._channel, message, ran)
        if wish is None:
            if hands_over():
                await self._handed_over(message, None, None, again=told is not None)
            return None
        if wish.form is None:
            await ran.watch.release()
        handed_over = await self._handed_over(message, wish.form, parting(), again=told is not None)
        return wish.request if handed_over else None

    async def pass_by(self, message: UserMessage, hear: Hear) -> None:
        """The message is for the platform's people: noted, and nothing else. Within :meth:`turn`."""
        tracker = await self._read(message.sender_id)
        if tracker is None or told_in_turn(tracker, message) is None:
            message.text = hear([event.as_dict() for event in tracker.events] if tracker is not None else ())
            if message.text is not None:
                await self._note(message)

    async def _read(self, conversation_id: str) -> DialogueStateTracker | None:
        """The tracker, with what waited for it; None if it can't be read now, which keeps nobody from bot or people."""
        await self.later.written(conversation_id, WRITTEN_SECONDS)
        try:
            return await self._bot.tracker(conversation_id)
        except Unreachable as problem:
            log.warning("What was said in %s can't be read: %s", short_id(conversation_id), problem)
            return None

    async def _is_ours_unread(self, message: UserMessage, arrived: float) -> bool:
        """The same as :meth:`_is_ours` while the tracker can't be read, by what this process has handed over meanwhile."""
        handed = self._handed.get(message.sender_id)
        if handed is not None and handed + self._crossing > arrived:
            log.info(
                "A message of %s crossed its handoff: it is left to the platform's people.", short_id(message.sender_id)
            )
            await self._note(message)
            return False
        if handed is not None:
            await self._resume(message.sender_id)
        return True

    async def shown(self, conversation_id: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """What one of Rasa's messages shows that is said outside a call: the options in their marker's place."""
        return await self._turn.shown(self._channel, conversation_id, dict(message))

    async def not_taken(self, conversation_id: str) -> dict[str, Any]:
        """That a message wasn't taken, as one of Rasa's messages."""
        return await self._bot.say(names.UTTER_NOT_TAKEN, conversation_id, self._channel)

    async def leave_to_people(self, conversation_id: str) -> None:
        """Pause a conversation that is handed over outside a turn, if that isn't done."""

        def leave(tracker: DialogueStateTracker) -> None:
            if not paused_for_handoff(tracker, self._execute):
                self._pause(tracker, None)

        await self.later.change(conversation_id, leave)

    async def _go_on(self, message: UserMessage) -> None:
        """The bot has it again, in an open form, which would take a welcome's intent for an answer: it asks its question."""
        async with self._bot.locked(message.sender_id) as tracker:
            words = await self._come_back(tracker, None)
        for word in words:
            await message.output_channel.send_response(message.sender_id, word)

    async def _come_back(self, tracker: DialogueStateTracker, note: str | None) -> Words:
        body = {"handoff_id": last_handoff(tracker), "outcome": RESOLVED, "note": note, "speak": True}
        return await BotComesBack(self._bot, self._ended)(tracker, body, self._channel)

    async def _is_ours(self, tracker: DialogueStateTracker, message: UserMessage, arrived: float) -> bool:
        """The conversation is paused: whether this message says that it is the bot's again. Resumed then."""
        paused = _last_pause(tracker)
        if paused is not None and paused.timestamp + self._crossing > arrived:
            log.info(
                "A message of %s crossed its handoff: it is left to the platform's people.", short_id(message.sender_id)
            )
            if message.text is not None:
                await self._note(message)
            return False
        await self._resume(message.sender_id)
        return True

    async def _note(self, message: UserMessage) -> None:
        body = {"id": message.message_id, "at": time.time()}

        def note(tracker: DialogueStateTracker) -> None:
            titles = button_titles(event.as_dict() for event in tracker.events)
            text = titles.get(message.text or "", message.text)  # people read what the customer has pressed
            about = {**body, "text": text, "handoff_id": last_handoff(tracker)}
            tracker.update_with_events(customer(tracker, about, self._channel), self._bot.domain)

        await self.later.change(message.sender_id, note)

    async def end(self, conversation_id: str, told: float | None, note: str | None, speak: bool) -> Words:
        """The platform says that the handoff is over. ``told``: when it did, by its clock; nothing that was told before the
        pause ends it. With ``speak`` the bot speaks, as after any handoff. Returns what is to be said."""
        async with self.turn(conversation_id), self._bot.locked(conversation_id) as tracker:
            paused, handoff_id = _last_pause(tracker), last_handoff(tracker)
            if not tracker.is_paused() or (paused is not None and told is not None and told < paused.timestamp):
                return ()
            log.info("Handoff %s of %s has ended: the platform says so.", handoff_id, short_id(conversation_id))
            if speak and handoff_id is not None:
                return await self._come_back(tracker, note)
            tracker.update_with_events(self._back(tracker, note), self._bot.domain)
        return ()

    async def _resume(self, conversation_id: str) -> None:
        def resume(tracker: DialogueStateTracker) -> None:
            log.info(
                "Handoff %s of %s has ended: the platform called the bot again.",
                last_handoff(tracker),
                short_id(conversation_id),
            )
            tracker.update_with_events(self._back(tracker, None), self._bot.domain)

        self._handed.pop(conversation_id, None)
        await self.later.change(conversation_id, resume)

    def _back(self, tracker: DialogueStateTracker, note: str | None) -> list[Event]:
        metadata = {"handoff_id": last_handoff(tracker), "handoff_entry": "back"}
        known = {slot.name for slot in self._bot.domain.slots}
        slots = {OUTCOME_SLOT: RESOLVED, NOTE_SLOT: note}
        # Rasa's session counts from the customer's last words to the bot; without new ones an open form would be lost.
        awake = UserUttered(f"EXTERNAL: {self._ended}", {"name": None, "confidence": 0.0}, metadata=metadata)
        found = [SlotSet(name, slots[name]) for name in slots if name in known]
        return [ConversationResumed(metadata=metadata), *found, *listening(tracker), awake]

    async def _handed_over(self, message: UserMessage, form: str | None, parting: str | None, again: bool) -> bool:
        """Pause it, if that isn't done. Not for an old message that comes ``again`` when the conversation has gone on; of a
        turn that has just run only its output counts, since it may have taken its own message out of the tracker
        (``UserUtteranceReverted``, ``Restarted``)."""
        words = await self._bot.render(parting, message.sender_id, self._channel, {}) if parting is not None else {}

        def hand_over(tracker: DialogueStateTracker) -> bool:
            if self._handed.get(message.sender_id) == handed:
                del self._handed[message.sender_id]
            if any(_is_pause(event) for event in _since(tracker, message)):
                return bool(tracker.is_paused())
            if again and _has_gone_on(tracker, message):
                return False
            if words:
                tracker.update(_said(words, parting), self._bot.domain)
            self._pause(tracker, form)
            return True

        handed = time.time()
        self._handed[message.sender_id] = handed
        if await self.later.change(message.sender_id, hand_over) is False:
            return False
        if words:
            await message.output_channel.send_response(message.sender_id, words)
        return True

    def _pause(self, tracker: DialogueStateTracker, form: str | None) -> None:
        happened = [event.as_dict() for event in tracker.events]
        body = {"handoff_id": uuid.uuid4().hex, "untake": taken_slot(happened) if form else None}
        tracker.update_with_events(pause(tracker, body, self._channel), self._bot.domain)
        log.info("Handoff %s of %s: left to the platform's people.", body["handoff_id"], short_id(tracker.sender_id))


def _said(words: Mapping[str, Any], response: str | None) -> BotUttered:
    """As Rasa notes a response of the bot's."""
    data = {name: value for name, value in words.items() if name != "text"}
    return BotUttered(words.get("text"), data, {"utter_action": response})


def last_handoff(tracker: DialogueStateTracker) -> str | None:
    """The id of the handoff the conversation was paused for last."""
    paused = _last_pause(tracker)
    return (paused.metadata or {}).get("handoff_id") if paused is not None else None


def _last_pause(tracker: DialogueStateTracker) -> ConversationPaused | None:
    return next((event for event in reversed(tracker.events) if isinstance(event, ConversationPaused)), None)


def _since(tracker: DialogueStateTracker, message: UserMessage) -> list[Any]:
    events = list(tracker.events)
    own = (
        at
        for at, event in enumerate(events)
        if isinstance(event, UserUttered) and event.message_id == message.message_id
    )
    return events[max(own, default=len(events)) :]


def _has_gone_on(tracker: DialogueStateTracker, message: UserMessage) -> bool:
    """Whether somebody has spoken since this message. Read from all events: the tracker's latest message leaves out what a turn
    has reverted."""
    said = [event for event in tracker.events if isinstance(event, UserUttered)]
    return not said or said[-1].message_id != message.message_id


def _is_pause(event: Any) -> bool:
    return isinstance(event, ConversationPaused) and (event.metadata or {}).get("handoff_id") is not None
