"""The outbox's target ``"tracker"``: writes to Rasa's tracker in batches, outside the bot's turns.

A tracker has three speakers during a handoff. The customer's messages are ``UserUttered`` without an intent, the agent's are
``AgentUttered``, the relay's notices ``BotUttered``. There is no ``action_listen`` between them, so policies and slots see
nothing of the chat. Each event carries the id of its message, by which a batch written twice is recognised. The desk's
timestamps stay in the metadata: SQL tracker stores hide events older than the last session start.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import (
    ActionExecuted,
    AgentUttered,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    Event,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.bot_return import ReturnToBot
from rasa_handoff.protocol import events as relay_events
from rasa_handoff.protocol.values import Offer
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.outbox import Entry

PATIENCE = 1.0
"""Seconds in which the messages of a live chat are collected before they are written."""
AT_ONCE = ("pause", "unpause", "back", "transcript", "turn")
"""Entries that are written without that wait."""

ReadTranscript = Callable[[DialogueStateTracker, Offer, str | None], Awaitable[relay_events.TranscriptRead]]
"""Completes an offer that was made while the tracker couldn't be read; takes the id of the message that asked, too."""

Writer = Callable[[DialogueStateTracker, dict[str, Any], str], list[Event]]
"""Makes the tracker's events from an outbox entry's body, with the customer's channel."""


class TrackerTarget:
    """The outbox's target ``"tracker"``."""

    batch = 40

    def __init__(self, bot: Bot, relay: Relay, return_to_bot: ReturnToBot, read_transcript: ReadTranscript) -> None:
        self._bot, self._relay = bot, relay
        self._return_to_bot, self._read_transcript = return_to_bot, read_transcript

    def patience(self, entries: Sequence[Entry]) -> float:
        """Return how long to wait for more entries: messages are collected, a pause or a return is written at once."""
        return 0 if any(entry.name in AT_ONCE for entry in entries) else PATIENCE

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[relay_events.Event]:
        """Write the entries in one save; if a return to the bot is among them, let the bot speak in the same save."""
        conversation = await self._relay.recall(lane)
        channel = conversation.channel or "handoff"
        answers: list[relay_events.Event] = []
        filled_slot = conversation.filled_slot
        async with self._bot.locked(lane) as tracker:
            for entry in entries:
                if entry.name == "back":
                    said = await self._return_to_bot(tracker, entry.body, channel)
                    answers.append(
                        relay_events.Returned(conversation_id=lane, handoff_id=entry.body["handoff_id"], words=said)
                    )
                elif entry.name == "transcript":
                    offer = await self._relay.offer_of(entry.body["handoff_id"])
                    read = await self._read_transcript(tracker, offer, entry.body["message_id"])
                    filled_slot = read.filled_slot
                    answers.append(read)
                elif entry.name == "pause" and not _is_written(tracker, entry):
                    # With a transcript that followed, the slot is known only after the pause was requested.
                    body = {**entry.body, "filled_slot": entry.body["filled_slot"] or filled_slot}
                    tracker.update_with_events(pause(tracker, body, channel), self._bot.domain)
                elif not _is_written(tracker, entry):
                    for event in WRITERS[entry.name](tracker, entry.body, channel):
                        tracker.update(event, self._bot.domain)
        return answers


def _is_written(tracker: DialogueStateTracker, entry: Entry) -> bool:
    wanted = (entry.body.get("handoff_id"), entry.body.get("id"), entry.name)
    return any(_stamp_of(event) == wanted for event in reversed(tracker.events))


def _stamp_of(event: Event) -> tuple[Any, Any, Any]:
    metadata = event.metadata or {}
    return metadata.get("handoff_id"), metadata.get("handoff_message_id"), metadata.get("handoff_entry")


def _stamp(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"handoff_id": body["handoff_id"], "handoff_message_id": body.get("id"), "handoff_entry": kind, **more}


def pause(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """Return the events that pause the bot for a handoff, after it has listened, whether or not it was paused before.

    ``body``: ``handoff_id``, and ``filled_slot``, the slot that an open form filled with the request for a person.
    """
    events: list[Event] = []
    if tracker.is_paused():
        events.append(ConversationResumed())
    events.extend(_cleared_slot(tracker, body))
    return [*events, *listening(tracker), ConversationPaused(metadata=_stamp("pause", body))]


def listening(tracker: DialogueStateTracker) -> list[Event]:
    """Return the event after which the bot has listened last; none if it already has."""
    last = next((event for event in reversed(tracker.applied_events()) if isinstance(event, ActionExecuted)), None)
    if last is None or last.action_name == ACTION_LISTEN_NAME:
        return []
    return [ActionExecuted(ACTION_LISTEN_NAME, hide_rule_turn=last.hide_rule_turn)]


def _cleared_slot(tracker: DialogueStateTracker, body: dict[str, Any]) -> list[Event]:
    """Return the events that clear the slot which an open form filled with the request for a person, to be asked again later.

    A form without ``ignored_intents`` takes such a request for the answer to its question.
    """
    slot = body.get("filled_slot")
    if not slot or tracker.active_loop is None:
        return []
    return [SlotSet(slot, None), SlotSet("requested_slot", slot)]


def turn(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """Return the events of a bot's turn that Rasa couldn't save, without those already in the tracker.

    ``body``: ``events``, as Rasa serialises them.
    """
    there = {(event.type_name, event.timestamp) for event in tracker.events}
    events = [Event.from_parameters(parameters) for parameters in body["events"]]
    return [event for event in events if event is not None and (event.type_name, event.timestamp) not in there]


def _unpause(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    return resumed(tracker)


def resumed(tracker: DialogueStateTracker) -> list[Event]:
    """Return the events that resume a paused conversation.

    A pause made by an action ends its turn before the bot listens. Without ``action_listen`` the policies would continue that
    turn, and answer every message with the fallback.
    """
    return [ConversationResumed(), *listening(tracker)] if tracker.is_paused() else []


def customer(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """Return the event of a customer's message to an agent.

    ``body``: ``handoff_id``, ``id``, ``text``, ``at``, optionally ``attachments``.
    """
    metadata = _stamp("customer", body, speaker="customer", at=body["at"], **_attached(body))
    intent = {"name": None, "confidence": 0.0}
    return [UserUttered(body["text"], intent=intent, input_channel=channel, message_id=body["id"], metadata=metadata)]


def agent(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """Return the event of an agent's message. ``body``: as for :func:`customer`, and ``agent``, its author."""
    metadata = _stamp("agent", body, speaker="agent", agent=body.get("agent"), at=body["at"], **_attached(body))
    return [AgentUttered(body["text"], metadata=metadata)]


def _attached(body: dict[str, Any]) -> dict[str, Any]:
    return {"attachments": body["attachments"]} if body.get("attachments") else {}


def _notice(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    metadata = _stamp("notice", body, speaker="system", utter_action=body["response"], at=body["at"])
    return [BotUttered(body["text"], metadata=metadata)]


WRITERS: dict[str, Writer] = {
    "turn": turn,
    "pause": pause,
    "unpause": _unpause,
    "customer": customer,
    "agent": agent,
    "notice": _notice,
}
