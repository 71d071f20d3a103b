"""The return to the bot: it takes the conversation again, knowing what the handoff settled, and speaks first.

All of it happens under one lock and in one save: the conversation is resumed, the desk's slots are set, and an external
``handoff_ended`` turn renews the session's clock. If a form is open, its rejection follows, so that the form doesn't take this
turn for an answer. Then the bot speaks. If a rule answers ``handoff_ended``, its messages come first and the form's open
question after them; without a rule, only the open question; without a form either, nothing.
"""

from itertools import takewhile
from typing import Any, Protocol

from rasa.core.channels.channel import CollectingOutputChannel
from rasa.core.processor import MessageProcessor
from rasa.shared.core.constants import ACTION_DEFAULT_FALLBACK_NAME, ACTION_LISTEN_NAME, IS_EXTERNAL
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    FollowupAction,
    LoopInterrupted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat.output_observer import without_directives_in
from rasa_handoff.channel.compat.processor import let_bot_speak, predict_next
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.protocol.names import NOTE_SLOT, OUTCOME_SLOT
from rasa_handoff.protocol.outbox_bodies import ReturnBody

Messages = tuple[dict[str, Any], ...]
"""Messages of the bot, as Rasa's message dicts."""


class ReturnToBot(Protocol):
    """Resumes a paused tracker and returns the bot's messages."""

    async def __call__(self, tracker: DialogueStateTracker, back: ReturnBody, channel: str) -> Messages:
        """Let the bot take the conversation again. ``back``: what the handoff settled."""
        ...


class BotReturn:
    """The return to the running bot."""

    def __init__(self, bot: Bot, ended_intent: str) -> None:
        self._bot, self._intent = bot, ended_intent

    async def __call__(self, tracker: DialogueStateTracker, back: ReturnBody, channel: str) -> Messages:
        """Resume, set the slots and let the bot speak. If this was done before, only return its messages again."""
        if not _is_back(tracker, back.handoff_id):
            processor = self._bot.processor
            self._resume(processor, tracker, back)
            if back.speak or tracker.active_loop is not None:
                self._add_ended_turn(processor, tracker, back, channel)
                await self._speak(processor, tracker, back, channel)
        return _messages_since(tracker, back.handoff_id)

    def _resume(self, processor: MessageProcessor, tracker: DialogueStateTracker, back: ReturnBody) -> None:
        metadata = {"handoff_id": back.handoff_id, "handoff_entry": "back"}
        tracker.update(ConversationResumed(metadata=metadata), processor.domain)
        known = {slot.name for slot in processor.domain.slots}
        for name, value in {**back.slots, OUTCOME_SLOT: back.outcome, NOTE_SLOT: back.note}.items():
            if name in known:
                tracker.update(SlotSet(name, value), processor.domain)

    def _add_ended_turn(
        self, processor: MessageProcessor, tracker: DialogueStateTracker, back: ReturnBody, channel: str
    ) -> None:
        intent = {"name": self._intent, "confidence": 1.0}
        metadata = {IS_EXTERNAL: True, "handoff_id": back.handoff_id}
        text = f"EXTERNAL: {self._intent}"
        parse_data: Any = {"intent": intent, "entities": [], "text": text}
        turn = UserUttered(text, intent, [], parse_data, input_channel=channel, metadata=metadata)
        tracker.update(turn, processor.domain)
        if tracker.active_loop is not None:
            tracker.update(ActionExecutionRejected(tracker.active_loop.name), processor.domain)

    async def _speak(
        self, processor: MessageProcessor, tracker: DialogueStateTracker, back: ReturnBody, channel: str
    ) -> None:
        loop = tracker.active_loop.name if tracker.active_loop is not None else None
        if not (back.speak and self._has_rule(processor, tracker, loop)):
            if loop is None:
                # The bot listens again, without a prediction by the policies.
                tracker.update(ActionExecuted(ACTION_LISTEN_NAME), processor.domain)
                return
            tracker.update_with_events([LoopInterrupted(True), FollowupAction(loop)], processor.domain)
        await let_bot_speak(processor, tracker, _silent_output(channel))

    def _has_rule(self, processor: MessageProcessor, tracker: DialogueStateTracker, loop: str | None) -> bool:
        """Return whether a rule answers ``handoff_ended``."""
        action, policy = predict_next(processor, tracker)
        return "RulePolicy" in policy and action not in (ACTION_LISTEN_NAME, ACTION_DEFAULT_FALLBACK_NAME, loop)


def _is_back(tracker: DialogueStateTracker, handoff_id: str) -> bool:
    return any(_is_return_of(event, handoff_id) for event in reversed(tracker.events))


def _is_return_of(event: Any, handoff_id: str) -> bool:
    metadata = event.metadata or {}
    return isinstance(event, ConversationResumed) and metadata.get("handoff_id") == handoff_id


def _messages_since(tracker: DialogueStateTracker, handoff_id: str) -> Messages:
    """Return the bot's messages on the return of this handoff, up to the customer's next message."""
    events = list(tracker.events)
    start = next((index for index, event in enumerate(events) if _is_return_of(event, handoff_id)), len(events))
    of_it = takewhile(lambda event: not _goes_on(event), events[start:])
    said = (_shown(event.message()) for event in of_it if isinstance(event, BotUttered))
    return tuple(message for message in said if _has_content(message))


def _goes_on(event: Any) -> bool:
    """Return whether the conversation went on with this event.

    That happens if the return is made a second time, since the relay has lost its record of the first.
    """
    by_customer = isinstance(event, UserUttered) and not (event.metadata or {}).get(IS_EXTERNAL)
    return by_customer or isinstance(event, ConversationPaused)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    return without_directives_in(message) if isinstance(message.get("custom"), dict) else message


def _has_content(message: dict[str, Any]) -> bool:
    return any(value for key, value in message.items() if key != "timestamp")


def _silent_output(channel: str) -> CollectingOutputChannel:
    """Return an output that sends nothing: the messages are read from the tracker and sent by the outbox, after the save.

    Its name is that of the customer's channel, by which Rasa chooses channel-specific responses.
    """
    named = type("Silent", (CollectingOutputChannel,), {"name": classmethod(lambda cls: channel)})
    output: CollectingOutputChannel = named()
    return output
