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
from rasa.shared.core.events import ConversationPaused, Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.bot_return import BotReturn, Messages
from rasa_handoff.channel.turn.bot_turn import BotTurn, find_finished_turn
from rasa_handoff.channel.turn.orphaned_pauses import paused_for_handoff
from rasa_handoff.core.rating import is_rating
from rasa_handoff.platforms.later_writer import LaterWriter
from rasa_handoff.platforms.memory import Memory, OpenTurn
from rasa_handoff.platforms.tracker_changes import (
    RESOLVED,
    HandOver,
    KeepTurn,
    LeaveToPeople,
    Note,
    Resume,
    TrackerChanges,
    last_handoff,
    last_pause,
)
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest
from rasa_handoff.protocol.outbox_bodies import ReturnBody

log = get_log(__name__)

WRITTEN_SECONDS: Final = 1.0
"""How long a call waits for events that are still to be written to the tracker."""

TextForBot = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Returns the text for the bot, given the conversation's events so far; None: the message isn't for the bot."""
Parting = Callable[[], str | None]
"""Called when the conversation is handed over: returns the name of the response to say; None: nothing more."""


class Conversations:
    """Lets the bot answer messages, and writes those that are for people to the tracker.

    ``channel``: the platform's name in Rasa; ``crossing``: seconds after a handoff in which a message counts as written before
    it. ``memory``: what the channel remembers; ``later`` makes changes to trackers.
    """

    def __init__(
        self, bot: Bot, turn: BotTurn, channel: str, intents: IntentSettings, crossing: float, memory: Memory
    ) -> None:
        self._bot, self._turn, self._channel, self._crossing = bot, turn, channel, crossing
        self._ended, self._execute = intents.ended, intents.execute
        self._changes = TrackerChanges(bot, channel, intents)
        self.memory, self.later = memory, LaterWriter(bot, memory, self._changes)

    @asynccontextmanager
    async def turn(self, conversation_id: str, key: str | None = None) -> AsyncIterator[OpenTurn]:
        """Wait for this conversation's turn, in whichever process others have theirs; first come, first served.

        ``key``: the platform's id of the message, by which a repeated call is known (:meth:`Memory.turn`).
        """
        async with self.memory.turn(conversation_id, key) as open_turn:
            self.later.adopt(open_turn.changes)
            yield open_turn

    def has_turn(self, conversation_id: str) -> bool:
        """Return whether a turn of this conversation is under way in this process."""
        return self.memory.has_turn(conversation_id)

    async def keep_turn(self, conversation_id: str, events: Sequence[Event]) -> None:
        """Keep the events of a turn of the bot's that Rasa couldn't save.

        Raises:
            StoreError: too many changes wait.
        """
        await self.later.keep(conversation_id, KeepTurn(events=[event.as_dict() for event in events]))

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
        text_for_bot = _without_ratings(text_for_bot)
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
                await self._hand_over(message, None, None, again=finished is not None)
            return None
        if requested_handoff.form is None:
            await result.observed.release()
        handed_over = await self._hand_over(message, requested_handoff.form, parting(), again=finished is not None)
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
        text_for_bot = _without_ratings(text_for_bot)
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
        """Do the same as :meth:`_resume_unless_crossed` while the tracker can't be read, by the pause that is to be written."""
        handed_over = self._handed_over(message.sender_id)
        if handed_over is None:
            return True
        if handed_over.at + self._crossing > arrived:
            log.info(
                "A message of %s crossed its handoff: it is left to the platform's people.", short_id(message.sender_id)
            )
            await self._note(message)
            return False
        await self._resume(message.sender_id, handed_over.handoff_id)
        return True

    def _handed_over(self, conversation_id: str) -> HandOver | LeaveToPeople | None:
        """Return the handoff whose pause is still to be written to the tracker, unless it has ended."""
        found: HandOver | LeaveToPeople | None = None
        for change in self.later.waiting(conversation_id):
            if isinstance(change, HandOver | LeaveToPeople):
                found = change
            elif isinstance(change, Resume):
                found = None
        return found

    async def shown(self, conversation_id: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return one of Rasa's messages, said outside a call, as it is shown: with the handoff options in place of their
        marker."""
        return await self._turn.shown(self._channel, conversation_id, dict(message))

    async def failure_notice(self, conversation_id: str) -> dict[str, Any]:
        """Return the notice that a message wasn't taken, as one of Rasa's messages."""
        return await self._bot.render_safely(names.UTTER_NOT_TAKEN, conversation_id, self._channel)

    async def leave_to_people(self, conversation_id: str) -> None:
        """Pause a conversation that is handed over outside a turn, unless it is paused."""
        change = LeaveToPeople(handoff_id=uuid.uuid4().hex, at=time.time())
        await self.later.change(conversation_id, change)

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
        paused = last_pause(tracker)
        if paused is not None and paused.timestamp + self._crossing > arrived:
            log.info(
                "A message of %s crossed its handoff: it is left to the platform's people.", short_id(message.sender_id)
            )
            if message.text is not None:
                await self._note(message)
            return False
        await self._resume(message.sender_id, last_handoff(tracker))
        return True

    async def _note(self, message: UserMessage) -> None:
        note = Note(message_id=str(message.message_id), text=message.text or "", at=time.time())
        await self.later.change(message.sender_id, note)

    async def end(self, conversation_id: str, reported_at: float | None, note: str | None, speak: bool) -> Messages:
        """End a handoff that the platform reports as over, and return the messages to send.

        ``reported_at``: the time of the report by the platform's clock; one from before the pause is ignored. With ``speak`` the
        bot speaks, as after any handoff.
        """
        async with self.turn(conversation_id), self._bot.locked(conversation_id) as tracker:
            paused, handoff_id = last_pause(tracker), last_handoff(tracker)
            if not tracker.is_paused() or _is_older(reported_at, paused):
                return ()
            log.info("Handoff %s of %s has ended: the platform says so.", handoff_id, short_id(conversation_id))
            if speak and handoff_id is not None:
                return await self._return_to_bot(tracker, note)
            tracker.update_with_events(self._changes.return_events(tracker, note), self._bot.domain)
        return ()

    async def _resume(self, conversation_id: str, handoff_id: str | None) -> None:
        await self.later.change(conversation_id, Resume(handoff_id=handoff_id))

    async def _hand_over(self, message: UserMessage, form: str | None, parting: str | None, again: bool) -> bool:
        """Pause a conversation that is handed over, unless it is paused, and say the ``parting`` response.

        Returns False if it isn't paused, since the message comes ``again`` after another one.
        """
        response = await self._bot.render(parting, message.sender_id, self._channel, {}) if parting is not None else {}
        change = HandOver(
            handoff_id=uuid.uuid4().hex,
            message_id=message.message_id,
            at=time.time(),
            form=form,
            parting=parting,
            response=response,
            again=again,
        )
        if await self.later.change(message.sender_id, change) is False:
            return False
        if response:
            await message.output_channel.send_response(message.sender_id, response)
        return True


def _is_older(reported_at: float | None, paused: ConversationPaused | None) -> bool:
    return paused is not None and reported_at is not None and reported_at < paused.timestamp


def _without_ratings(text_for_bot: TextForBot) -> TextForBot:
    """Return the function, except that a rating isn't for the bot: the platform's people have one of their own."""

    def text(happened: Sequence[Mapping[str, Any]]) -> str | None:
        found = text_for_bot(happened)
        return None if is_rating(found) else found

    return text
