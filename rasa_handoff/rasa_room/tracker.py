"""Writing to Rasa's tracker: an outbox target like any other, in batches and off the live path.

One tracker, three speakers. The customer's live words are ``UserUttered`` without intent, the agent's ``AgentUttered``, the
relay's notices ``BotUttered``; no ``action_listen`` between them, so policies and slots see nothing of the chat. Each carries
the message's id, by which a batch written twice is recognised. The desk's clock stays in the metadata: SQL tracker stores hide
events older than the last session start.
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

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.comeback import ComeBack
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.values import Offer

PATIENCE = 1.0
"""Seconds in which a live chat's words are collected before they are written."""

AT_ONCE = ("pause", "unpause", "back", "transcript", "turn")

ReadTranscript = Callable[[DialogueStateTracker, Offer, str | None], Awaitable[e.TranscriptRead]]
"""Puts what is missing into an offer that was made while the tracker couldn't be read; with the message that asked."""


class TrackerTarget:
    """The outbox's target ``"tracker"``."""

    batch = 40

    def __init__(self, bot: Bot, relay: Relay, come_back: ComeBack, read_transcript: ReadTranscript) -> None:
        self._bot, self._relay, self._come_back, self._read_transcript = bot, relay, come_back, read_transcript

    def patience(self, entries: Sequence[Entry]) -> float:
        """Words can wait a moment for company; a pause or the way back can't."""
        return 0 if any(entry.name in AT_ONCE for entry in entries) else PATIENCE

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Write the entries in one save; with the way back among them, let the bot speak in the same one."""
        conversation = await self._relay.recall(lane)
        channel = conversation.channel or "handoff"
        answers: list[e.Event] = []
        untake = conversation.untake
        async with self._bot.locked(lane) as tracker:
            for entry in entries:
                if entry.name == "back":
                    words = await self._come_back(tracker, entry.body, channel)
                    answers.append(e.Returned(conversation_id=lane, handoff_id=entry.body["handoff_id"], words=words))
                elif entry.name == "transcript":
                    offer = await self._relay.offer_of(entry.body["handoff_id"])
                    read = await self._read_transcript(tracker, offer, entry.body["message_id"])
                    untake = read.untake
                    answers.append(read)
                elif entry.name == "pause" and not _is_written(tracker, entry):
                    body = {**entry.body, "untake": entry.body["untake"] or untake}  # known late, like the transcript
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
    """Recipe A: as if the bot had listened last, then paused, whoever paused or didn't before. ``body``: ``handoff_id``, and
    ``untake``, the slot an open form filled with the request for a person."""
    events: list[Event] = []
    if tracker.is_paused():
        events.append(ConversationResumed())
    events.extend(_untaken_answer(tracker, body))
    return [*events, *listening(tracker), ConversationPaused(metadata=_stamp("pause", body))]


def listening(tracker: DialogueStateTracker) -> list[Event]:
    """What makes it so that the bot has listened last: nothing if it has."""
    last = next((event for event in reversed(tracker.applied_events()) if isinstance(event, ActionExecuted)), None)
    if last is None or last.action_name == ACTION_LISTEN_NAME:
        return []
    return [ActionExecuted(ACTION_LISTEN_NAME, hide_rule_turn=last.hide_rule_turn)]


def _untaken_answer(tracker: DialogueStateTracker, body: dict[str, Any]) -> list[Event]:
    """A form without ``ignored_intents`` took the request for a person as its answer: ask for it again later."""
    slot = body.get("untake")
    if not slot or tracker.active_loop is None:
        return []
    return [SlotSet(slot, None), SlotSet("requested_slot", slot)]


def turn(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """A turn of the bot's that Rasa couldn't save, without what is there already. ``body``: ``events``, as Rasa writes them."""
    there = {(event.type_name, event.timestamp) for event in tracker.events}
    events = [Event.from_parameters(parameters) for parameters in body["events"]]
    return [event for event in events if event is not None and (event.type_name, event.timestamp) not in there]


def _unpause(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    return resumed(tracker)


def resumed(tracker: DialogueStateTracker) -> list[Event]:
    """What gives a paused conversation back to the bot. An action's pause ends its turn before the bot listens again: without
    that the policies would go on with the turn of before, and answer everything with the fallback."""
    return [ConversationResumed(), *listening(tracker)] if tracker.is_paused() else []


def customer(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """Recipe B: words that weren't for the bot. ``body``: ``handoff_id``, ``id``, ``text``, ``at``, maybe ``attachments``."""
    metadata = _stamp("customer", body, speaker="customer", at=body["at"], **_attached(body))
    intent = {"name": None, "confidence": 0.0}
    return [UserUttered(body["text"], intent=intent, input_channel=channel, message_id=body["id"], metadata=metadata)]


def agent(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    """An agent's words. ``body``: as for :func:`customer`, and ``agent``, who said it."""
    metadata = _stamp("agent", body, speaker="agent", agent=body.get("agent"), at=body["at"], **_attached(body))
    return [AgentUttered(body["text"], metadata=metadata)]


def _attached(body: dict[str, Any]) -> dict[str, Any]:
    return {"attachments": body["attachments"]} if body.get("attachments") else {}


def _notice(tracker: DialogueStateTracker, body: dict[str, Any], channel: str) -> list[Event]:
    metadata = _stamp("notice", body, speaker="system", utter_action=body["response"], at=body["at"])
    return [BotUttered(body["text"], metadata=metadata)]


Writer = Callable[[DialogueStateTracker, dict[str, Any], str], list[Event]]

WRITERS: dict[str, Writer] = {
    "turn": turn,
    "pause": pause,
    "unpause": _unpause,
    "customer": customer,
    "agent": agent,
    "notice": _notice,
}
