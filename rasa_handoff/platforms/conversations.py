"""Conversations on a platform with a desk of its own.

The rules:

1. One turn of a conversation runs at a time. A message whose turn is in the tracker is answered from there, not run again.
2. A turn that asks for a handoff pauses the conversation in the tracker. Nothing in Rasa makes the bot speak while it is paused.
3. The platform calls again only when the bot has the conversation again. So the next message resumes the conversation and goes to
   the bot. A pause that the project made itself, without a handoff, is left alone.
4. A message that came before the pause, or within the moments the platform needs to read the answer, crossed the handoff. It is
   for people, and the bot stays silent.
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

from rasa_handoff.channel.inbound.turn_lock import TurnLock
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.bot_return import BotReturn, Messages
from rasa_handoff.channel.tracker.later_writer import LaterWriter
from rasa_handoff.channel.tracker.tracker_writer import customer_event, listen_events, pause_events
from rasa_handoff.channel.turn.bot_turn import BotTurn, find_finished_turn
from rasa_handoff.channel.turn.handoff_offer import filled_slot_of
from rasa_handoff.channel.turn.orphaned_pauses import paused_for_handoff
from rasa_handoff.core.transcript import button_titles
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest
from rasa_handoff.protocol.names import NOTE_SLOT, OUTCOME_SLOT
from rasa_handoff.protocol.outbox_bodies import CustomerSaidBody, PauseBody, ReturnBody

log = get_log(__name__)

RESOLVED: Final = "resolved"
"""The outcome slot's value after each handoff: platforms only tell that the bot has the conversation again."""

WRITTEN_SECONDS: Final = 1.0
"""How long a call waits for events that are still to be written to the tracker."""

TextForBot = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Returns the text for the bot, given the conversation's events so far; None: the message isn't for the bot."""
Parting = Callable[[], str | None]
"""Called when the conversation is handed over: returns the name of the response to say; None: nothing more."""


class Conversations:
    """Lets the bot answer messages, and writes those that are for people to the tracker.

    ``channel``: the platform's name in Rasa; ``crossing``: seconds after a handoff in which a message counts as written before
    it.
    """

    def __init__(self, bot: Bot, turn: BotTurn, channel: str, intents: IntentSettings, crossing: float) -> None:
        self._bot, self._turn, self._channel, self._crossing = bot, turn, channel, crossing
        self._ended, self._execute = intents.ended, intents.execute
        self._turns, self.later = TurnLock(), LaterWriter(bot)
        self._handed_over_at: dict[str, float] = {}
        """When a conversation was handed over, for those whose pause isn't in the tracker yet; seconds since 1970."""

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait for this conversation's turn; first come, first served."""
        async with self._turns.turn(conversation_id):
            yield

    def has_turn(self, conversation_id: str) -> bool:
        """Return whether a turn of this conversation is under way in this process."""
        return self._turns.under_way(conversation_id)

    async def take(
        self,
        message: UserMessage,
        arrived: float,
        text_for_bot: TextForBot,
        *,
        welcome: bool = False,
        hands_over: Callable[[], bool] = lambda: False,
        parting: Parting = lambda: None,
    ) -> HandoffRequest | None:
        """Let the bot answer on the message's output channel. Call it within :meth:`turn`.

        ``arrived``: when the request came. ``welcome``: the customer hasn't said anything; the platform reports that the bot has
        the conversation. ``hands_over``: whether the answer already hands the conversation over, in the platform's own format.

        Returns the handoff request that the answer has still to carry out, or None. The conversation is paused if there is one,
        and also if the answer ``hands_over`` by itself.
        """
        tracker = await self._read(message.sender_id)
        finished = find_finished_turn(tracker, message) if tracker is not None else None
        if finished is not None:
            message.parse_data = finished[0]  # as the bot sets it in a turn, for the caller
        elif not await self._prepare_for_bot(tracker, message, arrived, text_for_bot, welcome):
            return None
        if len(message.text or "") > LONGEST_MESSAGE:
            await self._refuse_long(message)
            return None
        result = await self._turn.run(self._channel, message, finished)
        requested_handoff = await self._turn.requested_handoff(self._channel, message, result)
        if requested_handoff is None:
            if hands_over():
                await self._handed_over(message, None, None, again=finished is not None)
            return None
        if requested_handoff.form is None:
            await result.observed.release()
        handed_over = await self._handed_over(message, requested_handoff.form, parting(), again=finished is not None)
        return requested_handoff.request if handed_over else None

    async def _prepare_for_bot(
        self,
        tracker: DialogueStateTracker | None,
        message: UserMessage,
        arrived: float,
        text_for_bot: TextForBot,
        welcome: bool,
    ) -> bool:
        """Set the message's text, and return whether the bot is to answer it: it has the conversation, or gets it back here."""
        if tracker is None:
            message.text = text_for_bot(())
            return message.text is not None and await self._resume_unless_crossed_without_tracker(message, arrived)
        happened = [event.as_dict() for event in tracker.events]
        message.text = text_for_bot(await self._turn.with_options(self._channel, message.sender_id, happened))
        if not paused_for_handoff(tracker, self._execute):
            return message.text is not None
        if message.text is None:
            if welcome:
                await self._resume_unless_crossed(tracker, message, arrived)  # resumes it, and the bot says nothing
            return False
        if welcome and tracker.active_loop is not None:
            await self._repeat_form_question(message)
            return False
        return await self._resume_unless_crossed(tracker, message, arrived)

    async def _refuse_long(self, message: UserMessage) -> None:
        log.warning("A message of %s has %s characters: refused.", short_id(message.sender_id), len(message.text or ""))
        response = await self._bot.render_safely(names.UTTER_TOO_LONG, message.sender_id, self._channel)
        await message.output_channel.send_response(message.sender_id, response)

    async def note_for_people(self, message: UserMessage, text_for_bot: TextForBot) -> None:
        """Write a message that is for the platform's people to the tracker. Call it within :meth:`turn`."""
        tracker = await self._read(message.sender_id)
        if tracker is None or find_finished_turn(tracker, message) is None:
            message.text = text_for_bot([event.as_dict() for event in tracker.events] if tracker is not None else ())
            if message.text is not None:
                await self._note(message)

    async def _read(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker, with the events that waited for it.

        None if it can't be read now: the customer is served all the same.
        """
        await self.later.written(conversation_id, WRITTEN_SECONDS)
        try:
            return await self._bot.tracker(conversation_id)
        except Unreachable as problem:
            log.warning("The tracker of %s can't be read: %s", short_id(conversation_id), problem)
            return None

    async def _resume_unless_crossed_without_tracker(self, message: UserMessage, arrived: float) -> bool:
        """Do the same as :meth:`_resume_unless_crossed` while the tracker can't be read, by this process's own handoffs."""
        handed_at = self._handed_over_at.get(message.sender_id)
        if handed_at is not None and handed_at + self._crossing > arrived:
            log.info(
                "A message of %s crossed its handoff: it is left to the platform's people.", short_id(message.sender_id)
            )
            await self._note(message)
            return False
        if handed_at is not None:
            await self._resume(message.sender_id)
        return True

    async def shown(self, conversation_id: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return one of Rasa's messages, said outside a call, as it is shown: with the handoff options in place of their
        marker."""
        return await self._turn.shown(self._channel, conversation_id, dict(message))

    async def failure_notice(self, conversation_id: str) -> dict[str, Any]:
        """Return the notice that a message wasn't taken, as one of Rasa's messages."""
        return await self._bot.render_safely(names.UTTER_NOT_TAKEN, conversation_id, self._channel)

    async def leave_to_people(self, conversation_id: str) -> None:
        """Pause a conversation that is handed over outside a turn, unless it is paused."""

        def leave(tracker: DialogueStateTracker) -> None:
            if not paused_for_handoff(tracker, self._execute):
                self._pause(tracker, None)

        await self.later.change(conversation_id, leave)

    async def _repeat_form_question(self, message: UserMessage) -> None:
        """Return the conversation to the bot in an open form, which asks its question again.

        The welcome isn't passed to the bot, since the form would take its intent for an answer.
        """
        async with self._bot.locked(message.sender_id) as tracker:
            responses = await self._return_to_bot(tracker, None)
        for response in responses:
            await message.output_channel.send_response(message.sender_id, response)

    async def _return_to_bot(self, tracker: DialogueStateTracker, note: str | None) -> Messages:
        body = ReturnBody(handoff_id=str(last_handoff(tracker)), outcome=RESOLVED, note=note)
        return await BotReturn(self._bot, self._ended)(tracker, body, self._channel)

    async def _resume_unless_crossed(self, tracker: DialogueStateTracker, message: UserMessage, arrived: float) -> bool:
        """Return whether a message in a paused conversation shows that the bot has it again, and resume it then."""
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
        at = time.time()

        def note(tracker: DialogueStateTracker) -> None:
            titles = button_titles(event.as_dict() for event in tracker.events)
            text = titles.get(
                message.text or "", message.text or ""
            )  # people read the title that the customer has pressed
            said = CustomerSaidBody(handoff_id=last_handoff(tracker), id=message.message_id, text=text, at=at)
            tracker.update(customer_event(said, self._channel), self._bot.domain)

        await self.later.change(message.sender_id, note)

    async def end(self, conversation_id: str, reported_at: float | None, note: str | None, speak: bool) -> Messages:
        """End a handoff that the platform reports as over, and return the messages to send.

        ``reported_at``: the time of the report by the platform's clock; one from before the pause is ignored. With ``speak`` the
        bot speaks, as after any handoff.
        """
        async with self.turn(conversation_id), self._bot.locked(conversation_id) as tracker:
            paused, handoff_id = _last_pause(tracker), last_handoff(tracker)
            if not tracker.is_paused() or _is_older(reported_at, paused):
                return ()
            log.info("Handoff %s of %s has ended: the platform says so.", handoff_id, short_id(conversation_id))
            if speak and handoff_id is not None:
                return await self._return_to_bot(tracker, note)
            tracker.update_with_events(self._return_events(tracker, note), self._bot.domain)
        return ()

    async def _resume(self, conversation_id: str) -> None:
        def resume(tracker: DialogueStateTracker) -> None:
            log.info(
                "Handoff %s of %s has ended: the platform called the bot again.",
                last_handoff(tracker),
                short_id(conversation_id),
            )
            tracker.update_with_events(self._return_events(tracker, None), self._bot.domain)

        self._handed_over_at.pop(conversation_id, None)
        await self.later.change(conversation_id, resume)

    def _return_events(self, tracker: DialogueStateTracker, note: str | None) -> list[Event]:
        metadata = {"handoff_id": last_handoff(tracker), "handoff_entry": "back"}
        known = {slot.name for slot in self._bot.domain.slots}
        slots = {OUTCOME_SLOT: RESOLVED, NOTE_SLOT: note}
        # Rasa's session expires by the customer's last message to the bot; without a new one an open form would be lost.
        awake = UserUttered(f"EXTERNAL: {self._ended}", {"name": None, "confidence": 0.0}, metadata=metadata)
        found = [SlotSet(name, slots[name]) for name in slots if name in known]
        return [ConversationResumed(metadata=metadata), *found, *listen_events(tracker), awake]

    async def _handed_over(self, message: UserMessage, form: str | None, parting: str | None, again: bool) -> bool:
        """Pause a conversation that is handed over, unless it is paused, and say the ``parting`` response.

        A message that comes ``again``, after the customer has written another one, pauses nothing. Whether there is another one
        is only checked for such a copy: a turn that has just run may have removed its own message from the tracker
        (``UserUtteranceReverted``, ``Restarted``).
        """
        response = await self._bot.render(parting, message.sender_id, self._channel, {}) if parting is not None else {}
        now = time.time()

        def hand_over(tracker: DialogueStateTracker) -> bool:
            if self._handed_over_at.get(message.sender_id) == now:  # unless a later handoff has set it
                del self._handed_over_at[message.sender_id]
            if any(_is_pause(event) for event in _since(tracker, message)):
                return bool(tracker.is_paused())
            if again and _has_gone_on(tracker, message):
                return False
            if response:
                tracker.update(_bot_uttered(response, parting), self._bot.domain)
            self._pause(tracker, form)
            return True

        self._handed_over_at[message.sender_id] = now
        if await self.later.change(message.sender_id, hand_over) is False:
            return False
        if response:
            await message.output_channel.send_response(message.sender_id, response)
        return True

    def _pause(self, tracker: DialogueStateTracker, form: str | None) -> None:
        happened = [event.as_dict() for event in tracker.events]
        body = PauseBody(handoff_id=uuid.uuid4().hex, filled_slot=filled_slot_of(happened) if form else None)
        tracker.update_with_events(pause_events(tracker, body), self._bot.domain)
        log.info("Handoff %s of %s: left to the platform's people.", body.handoff_id, short_id(tracker.sender_id))


def _bot_uttered(response: Mapping[str, Any], name: str | None) -> BotUttered:
    """Return the event that Rasa would have for this response of the bot."""
    data = {key: value for key, value in response.items() if key != "text"}
    return BotUttered(response.get("text"), data, {"utter_action": name})


def last_handoff(tracker: DialogueStateTracker) -> str | None:
    """Return the id of the handoff that the conversation was last paused for."""
    paused = _last_pause(tracker)
    return (paused.metadata or {}).get("handoff_id") if paused is not None else None


def _last_pause(tracker: DialogueStateTracker) -> ConversationPaused | None:
    return next((event for event in reversed(tracker.events) if isinstance(event, ConversationPaused)), None)


def _is_older(reported_at: float | None, paused: ConversationPaused | None) -> bool:
    return paused is not None and reported_at is not None and reported_at < paused.timestamp


def _since(tracker: DialogueStateTracker, message: UserMessage) -> list[Any]:
    """Return the events from this message on; none if it isn't in the tracker."""
    events = list(tracker.events)
    own = (
        index
        for index, event in enumerate(events)
        if isinstance(event, UserUttered) and event.message_id == message.message_id
    )
    return events[max(own, default=len(events)) :]


def _has_gone_on(tracker: DialogueStateTracker, message: UserMessage) -> bool:
    """Return whether the customer has written since this message, or the tracker has no message at all.

    All events are read, since the tracker's latest message leaves out what a turn has reverted.
    """
    said = [event for event in tracker.events if isinstance(event, UserUttered)]
    return not said or said[-1].message_id != message.message_id


def _is_pause(event: Any) -> bool:
    return isinstance(event, ConversationPaused) and (event.metadata or {}).get("handoff_id") is not None
