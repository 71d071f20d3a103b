"""The outbox's target ``"tracker"``: writes to Rasa's tracker in batches, outside the bot's turns.

A tracker has three speakers during a handoff. The customer's messages are ``UserUttered`` without an intent, the agent's are
``AgentUttered``, the relay's notices ``BotUttered``. There is no ``action_listen`` between them, so policies and slots see
nothing of the chat. Each event carries the id of its message, by which a batch written twice is recognised. The desk's
timestamps stay in the metadata: SQL tracker stores hide events older than the last session start.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

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
from rasa_handoff.protocol.names import PARTS_KEY
from rasa_handoff.protocol.outbox_bodies import (
    AgentSaidBody,
    CustomerSaidBody,
    NoticeBody,
    PauseBody,
    ReturnBody,
    TrackerBody,
    TranscriptBody,
    TurnBody,
    UnpauseBody,
)
from rasa_handoff.protocol.values import Offer, plain
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.outbox import Entry

AT_ONCE = ("pause", "unpause", "back", "transcript", "turn")
"""Names of the entries that are written at once; others wait ``delay`` seconds for more to share their save."""

MARK: Final = '"handoff_entry": '
"""A part of the JSON of each event that is written here: the key of its metadata that only these events have."""

Stamped = PauseBody | CustomerSaidBody | AgentSaidBody | NoticeBody
"""Bodies whose events name their handoff and message in the metadata."""

ReadTranscript = Callable[[DialogueStateTracker, Offer, str | None], Awaitable[relay_events.TranscriptRead]]
"""Completes an offer that was made while the tracker couldn't be read; takes the id of the message that asked, too."""

BODIES: Final[Mapping[str, type[TrackerBody]]] = {
    kind.kind: kind
    for kind in (
        TurnBody,
        PauseBody,
        UnpauseBody,
        CustomerSaidBody,
        AgentSaidBody,
        NoticeBody,
        ReturnBody,
        TranscriptBody,
    )
}
"""The type of an entry's body, by the entry's name."""


class TrackerTarget:
    """The outbox's target ``"tracker"``. ``delay``: seconds in which the messages of a live chat are collected.

    Rasa's tracker stores load the whole tracker for each save, which costs more the longer the conversation is. To Rasa's SQL
    store what was said is added without loading it.
    """

    batch = 100
    recognises = True

    def __init__(
        self, bot: Bot, relay: Relay, return_to_bot: ReturnToBot, read_transcript: ReadTranscript, delay: float
    ) -> None:
        self._bot, self._relay, self._delay = bot, relay, delay
        self._return_to_bot, self._read_transcript = return_to_bot, read_transcript

    def patience(self, entries: Sequence[Entry]) -> float:
        """Return how long to wait for more entries: messages are collected, a pause or a return is written at once."""
        return 0 if any(entry.name in AT_ONCE for entry in entries) else self._delay

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[relay_events.Event]:
        """Write the entries in one save; if a return to the bot is among them, let the bot speak in the same save."""
        conversation = await self._relay.recall(lane)
        channel = conversation.channel or "handoff"
        if await self._append(lane, entries, channel):
            return []
        answers: list[relay_events.Event] = []
        filled_slot = conversation.filled_slot
        async with self._bot.locked(lane) as tracker:
            for entry in entries:
                body = entry.read(BODIES[entry.name])
                if isinstance(body, ReturnBody):
                    said = await self._return_to_bot(tracker, body, channel)
                    answers.append(relay_events.Returned(conversation_id=lane, handoff_id=body.handoff_id, words=said))
                elif isinstance(body, TranscriptBody):
                    offer = await self._relay.offer_of(body.handoff_id)
                    read = await self._read_transcript(tracker, offer, body.message_id)
                    filled_slot = read.filled_slot
                    answers.append(read)
                elif not _is_written(tracker, entry):
                    if isinstance(body, PauseBody):
                        # With a transcript that followed, the slot is known only after the pause was requested.
                        body = PauseBody(handoff_id=body.handoff_id, filled_slot=body.filled_slot or filled_slot)
                    for event in _events_of(tracker, body, channel):
                        tracker.update(event, self._bot.domain)
        return answers

    async def _append(self, lane: str, entries: Sequence[Entry], channel: str) -> bool:
        """Write entries whose events don't depend on the tracker without reading it; return False if it must be read.

        An earlier attempt has written all of them or none, so it is enough to look for the first.
        """
        bodies = [entry.read(BODIES[entry.name]) for entry in entries]
        events = [said for body in bodies if (said := _said_event(body, channel)) is not None]
        if len(events) < len(entries):
            return False
        first = f'"handoff_message_id": {json.dumps(entries[0].id)}'
        return await self._bot.append(lane, events, MARK, first)


def _said_event(body: TrackerBody, channel: str) -> Event | None:
    """Return the event of what somebody said, with the customer's channel; None for a body of another kind."""
    match body:
        case CustomerSaidBody():
            return customer_event(body, channel)
        case AgentSaidBody():
            return agent_event(body)
        case NoticeBody():
            return _notice_event(body)
    return None


def _events_of(tracker: DialogueStateTracker, body: TrackerBody, channel: str) -> list[Event]:
    """Return the tracker's events of an entry, with the customer's channel."""
    if (said := _said_event(body, channel)) is not None:
        return [said]
    match body:
        case TurnBody():
            return turn_events(tracker, body)
        case PauseBody():
            return pause_events(tracker, body)
        case UnpauseBody():
            return resume_events(tracker)
    raise TypeError(f"Nothing is written for {type(body).__name__}.")


def _is_written(tracker: DialogueStateTracker, entry: Entry) -> bool:
    wanted = (entry.handoff_id, entry.id, entry.name)
    return any(_stamp_of(event) == wanted for event in reversed(tracker.events))


def _stamp_of(event: Event) -> tuple[Any, Any, Any]:
    metadata = event.metadata or {}
    return metadata.get("handoff_id"), metadata.get("handoff_message_id"), metadata.get("handoff_entry")


def _stamp(body: Stamped, **more: Any) -> dict[str, Any]:
    id = None if isinstance(body, PauseBody) else body.id
    return {"handoff_id": body.handoff_id, "handoff_message_id": id, "handoff_entry": body.kind, **more}


def pause_events(tracker: DialogueStateTracker, body: PauseBody) -> list[Event]:
    """Return the events that pause the bot for a handoff, after those that let it listen.

    A paused bot is resumed first, so that the last pause in the tracker is that of this handoff.
    """
    events: list[Event] = []
    if tracker.is_paused():
        events.append(ConversationResumed())
    events.extend(_cleared_slot(tracker, body.filled_slot))
    return [*events, *listen_events(tracker), ConversationPaused(metadata=_stamp(body))]


def listen_events(tracker: DialogueStateTracker) -> list[Event]:
    """Return ``action_listen``, which ends the bot's turn; nothing if that is its last action already."""
    last = next((event for event in reversed(tracker.applied_events()) if isinstance(event, ActionExecuted)), None)
    if last is None or last.action_name == ACTION_LISTEN_NAME:
        return []
    return [ActionExecuted(ACTION_LISTEN_NAME, hide_rule_turn=last.hide_rule_turn)]


def _cleared_slot(tracker: DialogueStateTracker, slot: str | None) -> list[Event]:
    """Return the events that empty this slot and let the open form ask for it again.

    A form without ``ignored_intents`` takes the request for a person for the answer to its question, and fills the slot with it.
    """
    if not slot or tracker.active_loop is None:
        return []
    return [SlotSet(slot, None), SlotSet("requested_slot", slot)]


def turn_events(tracker: DialogueStateTracker, body: TurnBody) -> list[Event]:
    """Return the events of a bot's turn that Rasa couldn't save, without those already in the tracker."""
    there = {(event.type_name, event.timestamp) for event in tracker.events}
    events = [Event.from_parameters(parameters) for parameters in body.events]
    return [event for event in events if event is not None and (event.type_name, event.timestamp) not in there]


def resume_events(tracker: DialogueStateTracker) -> list[Event]:
    """Return the events that resume a paused conversation.

    A pause made by an action ends its turn before the bot listens. Without ``action_listen`` the policies would continue that
    turn, and answer every message with the fallback.
    """
    return [ConversationResumed(), *listen_events(tracker)] if tracker.is_paused() else []


def customer_event(body: CustomerSaidBody, channel: str) -> Event:
    """Return the event of a customer's message to an agent."""
    metadata = _stamp(body, speaker="customer", at=body.at, **_attached(body))
    intent = {"name": None, "confidence": 0.0}
    return UserUttered(body.text, intent=intent, input_channel=channel, message_id=body.id, metadata=metadata)


def agent_event(body: AgentSaidBody) -> Event:
    """Return the event of an agent's message."""
    metadata = _stamp(body, speaker="agent", agent=body.agent, at=body.at, **_attached(body))
    return AgentUttered(body.text, metadata=metadata)


def _attached(body: CustomerSaidBody | AgentSaidBody) -> dict[str, Any]:
    """Return what the message has beside text, in the event's metadata; its text says the same in words."""
    parts = {PARTS_KEY: plain(body.parts)} if body.parts else {}
    return {"attachments": body.attachments, **parts} if body.attachments else parts


def _notice_event(body: NoticeBody) -> Event:
    return BotUttered(body.text, metadata=_stamp(body, speaker="system", utter_action=body.response, at=body.at))
