"""Changes that a platform channel makes to trackers, as values: one that can't be made now is stored as JSON, and made later.

A change that was made already changes nothing: after the end of a process nobody knows whether it still made it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rasa.shared.core.events import (
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    Event,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.tracker_writer import customer_event, listen_events, pause_events, turn_events
from rasa_handoff.channel.turn.handoff_offer import filled_slot_of
from rasa_handoff.channel.turn.orphaned_pauses import paused_for_handoff
from rasa_handoff.core.transcript import button_titles
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.names import NOTE_SLOT, OUTCOME_SLOT
from rasa_handoff.protocol.outbox_bodies import CustomerSaidBody, PauseBody, TurnBody
from rasa_handoff.protocol.values import Value

log = get_log(__name__)

RESOLVED = "resolved"
"""The outcome slot's value after each handoff: platforms only tell that the bot has the conversation again."""


class KeepTurn(Value, frozen=True, tag="turn"):
    """Add the events of a turn of the bot's that Rasa couldn't save, as Rasa serialises them."""

    events: list[dict[str, Any]]


class Note(Value, frozen=True, tag="note"):
    """Add a customer's message that is for the platform's people."""

    message_id: str
    text: str
    at: float


class HandOver(Value, frozen=True, tag="hand_over"):
    """Pause a conversation that a turn has handed over, unless it is paused.

    ``message_id``: of the message that was answered by it. One that comes ``again``, after the customer has written another one,
    pauses nothing. ``form``: the form that is open; ``parting``, ``response``: the response that is said, by its name and as
    Rasa's message; an empty one isn't.
    """

    handoff_id: str
    message_id: str | None
    at: float
    form: str | None = None
    parting: str | None = None
    response: dict[str, Any] = {}
    again: bool = False


class LeaveToPeople(Value, frozen=True, tag="leave"):
    """Pause a conversation that was handed over outside a turn, unless it is paused."""

    handoff_id: str
    at: float


class Resume(Value, frozen=True, tag="resume"):
    """Resume a conversation that is paused for this handoff; ``handoff_id``: None for a pause that names none."""

    handoff_id: str | None


TrackerChange = KeepTurn | Note | HandOver | LeaveToPeople | Resume


class TrackerChanges:
    """Makes changes to trackers. ``channel``: the platform's name in Rasa."""

    def __init__(self, bot: Bot, channel: str, intents: IntentSettings) -> None:
        self._bot, self._channel = bot, channel
        self._ended, self._execute = intents.ended, intents.execute

    def make(self, tracker: DialogueStateTracker, change: TrackerChange) -> bool:
        """Make a change, and return whether the conversation is paused by it."""
        match change:
            case KeepTurn():
                body = TurnBody(events=change.events)
                for event in turn_events(tracker, body):  # with their own times, by which they are known
                    tracker.update(event, self._bot.domain)
            case Note():
                self._note(tracker, change)
            case HandOver():
                return self._hand_over(tracker, change)
            case LeaveToPeople():
                if not paused_for_handoff(tracker, self._execute) and not _had_handoff(tracker, change.handoff_id):
                    self._pause(tracker, change.handoff_id, None)
                return True
            case Resume():
                self._resume(tracker, change)
        return False

    def return_events(self, tracker: DialogueStateTracker, note: str | None) -> list[Event]:
        """Return the events that give a paused conversation back to the bot, which says nothing."""
        metadata = {"handoff_id": last_handoff(tracker), "handoff_entry": "back"}
        known = {slot.name for slot in self._bot.domain.slots}
        slots = {OUTCOME_SLOT: RESOLVED, NOTE_SLOT: note}
        # Rasa's session expires by the customer's last message to the bot; without a new one an open form would be lost.
        awake = UserUttered(f"EXTERNAL: {self._ended}", {"name": None, "confidence": 0.0}, metadata=metadata)
        found = [SlotSet(name, slots[name]) for name in slots if name in known]
        return [ConversationResumed(metadata=metadata), *found, *listen_events(tracker), awake]

    def _note(self, tracker: DialogueStateTracker, change: Note) -> None:
        if any(_is_note(event, change.message_id) for event in tracker.events):
            return
        titles = button_titles(event.as_dict() for event in tracker.events)
        text = titles.get(change.text, change.text)  # people read the title that the customer has pressed
        said = CustomerSaidBody(handoff_id=last_handoff(tracker), id=change.message_id, text=text, at=change.at)
        tracker.update(customer_event(said, self._channel), self._bot.domain)

    def _hand_over(self, tracker: DialogueStateTracker, change: HandOver) -> bool:
        """Pause the conversation.

        Whether the customer has written since is only checked for a copy: a turn that has just run may have removed its own
        message from the tracker (``UserUtteranceReverted``, ``Restarted``).
        """
        since = _since(tracker, change.message_id)
        if any(_is_pause(event) for event in since) or _had_handoff(tracker, change.handoff_id):
            return bool(tracker.is_paused())
        if change.again and _has_gone_on(tracker, change.message_id):
            return False
        if change.response:
            tracker.update(_bot_uttered(change.response, change.parting), self._bot.domain)
        self._pause(tracker, change.handoff_id, change.form)
        return True

    def _pause(self, tracker: DialogueStateTracker, handoff_id: str, form: str | None) -> None:
        happened = [event.as_dict() for event in tracker.events]
        body = PauseBody(handoff_id=handoff_id, filled_slot=filled_slot_of(happened) if form else None)
        tracker.update_with_events(pause_events(tracker, body), self._bot.domain)
        log.info("Handoff %s of %s: left to the platform's people.", handoff_id, short_id(tracker.sender_id))

    def _resume(self, tracker: DialogueStateTracker, change: Resume) -> None:
        if tracker.is_paused() and last_handoff(tracker) == change.handoff_id:
            log.info(
                "Handoff %s of %s has ended: the platform called the bot again.",
                change.handoff_id,
                short_id(tracker.sender_id),
            )
            tracker.update_with_events(self.return_events(tracker, None), self._bot.domain)


def last_pause(tracker: DialogueStateTracker) -> ConversationPaused | None:
    """Return the last pause of the conversation."""
    return next((event for event in reversed(tracker.events) if isinstance(event, ConversationPaused)), None)


def last_handoff(tracker: DialogueStateTracker) -> str | None:
    """Return the id of the handoff that the conversation was last paused for."""
    paused = last_pause(tracker)
    return (paused.metadata or {}).get("handoff_id") if paused is not None else None


def _had_handoff(tracker: DialogueStateTracker, handoff_id: str) -> bool:
    return any(_is_pause(event) and event.metadata["handoff_id"] == handoff_id for event in tracker.events)


def _bot_uttered(response: Mapping[str, Any], name: str | None) -> BotUttered:
    """Return the event that Rasa would have for this response of the bot."""
    data = {key: value for key, value in response.items() if key != "text"}
    return BotUttered(response.get("text"), data, {"utter_action": name})


def _since(tracker: DialogueStateTracker, message_id: str | None) -> Sequence[Any]:
    """Return the events from this message on; none if it isn't in the tracker."""
    events = list(tracker.events)
    own = (
        index for index, event in enumerate(events) if isinstance(event, UserUttered) and event.message_id == message_id
    )
    return events[max(own, default=len(events)) :]


def _has_gone_on(tracker: DialogueStateTracker, message_id: str | None) -> bool:
    """Return whether the customer has written since this message, or the tracker has no message at all.

    All events are read, since the tracker's latest message leaves out what a turn has reverted.
    """
    said = [event for event in tracker.events if isinstance(event, UserUttered)]
    return not said or said[-1].message_id != message_id


def _is_pause(event: Any) -> bool:
    return isinstance(event, ConversationPaused) and (event.metadata or {}).get("handoff_id") is not None


def _is_note(event: Any, message_id: str) -> bool:
    """Return whether this is a customer's message to people with this id."""
    metadata = event.metadata or {}
    return metadata.get("handoff_entry") == CustomerSaidBody.kind and metadata.get("handoff_message_id") == message_id
