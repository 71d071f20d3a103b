"""Putting together what is offered to the desk: the transcript, what the bot knows, and where the customer is."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from rasa.core.channels.channel import UserMessage
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.rasa_room.wishing import intent_of, up_to, wished
from rasa_handoff.relay.relay import TRACKER, Relay
from rasa_handoff.thinking.transcript import button_titles, current_session, latest, transcript
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.settings import Settings, unknown_slots
from rasa_handoff.vocabulary.values import BotState, Channel, Contact, Guess, Offer, Priority, Slot

log = get_log(__name__)

LAST_INTENTS = 5
FLUSH_SECONDS = 1.0

log = get_log(__name__)

Happened = Sequence[Mapping[str, Any]]
WithOptions = Callable[[str, str, Happened], Awaitable[list[Mapping[str, Any]]]]


class Offering:
    """Reads the tracker when a handoff starts. ``reaches``: the hosted channels' ways, by name."""

    def __init__(self, bot: Bot, relay: Relay, settings: Settings, reaches: Mapping[str, Reach]) -> None:
        self._bot, self._relay, self._settings, self._reaches = bot, relay, settings, reaches

    async def request(
        self,
        conversation_id: str,
        channel: str,
        wish: HandoffRequest,
        message: UserMessage,
        asked_in_form: str | None,
        with_options: WithOptions,
    ) -> e.HandoffRequested:
        """The event that starts a handoff. ``message``: the one that asked. ``asked_in_form``: the form that was open when it
        was the request itself; what it said to that, the customer hasn't seen. ``with_options``: puts the options where they
        were shown. Without the transcript and what the bot knows while the tracker can't be read, or isn't written yet."""
        output = message.output_channel
        try:
            if not await self.write_unsaved(conversation_id):
                raise Unreachable("What was said isn't in the tracker yet.")
            tracker = await self._bot.tracker(conversation_id)
            happened = await with_options(channel, conversation_id, [event.as_dict() for event in tracker.events])
        except Unreachable as problem:
            log.warning("The transcript of %s can't be read, and follows: %s", short_id(conversation_id), problem)
            return self._without_transcript(conversation_id, channel, wish, message)
        offer = self._offer(tracker, _seen(happened) if asked_in_form else happened, channel, wish)
        return e.HandoffRequested(
            conversation_id=conversation_id,
            handoff_id=offer.handoff_id,
            offer=offer,
            leaving_word=self._settings.leaving_word(offer.language),
            titles=button_titles(current_session(happened)),
            return_data=self._reaches[channel].return_data(output),
            untake=taken_slot(happened) if asked_in_form else None,
            message_id=message.message_id,
        )

    async def write_unsaved(self, conversation_id: str) -> bool:
        """Write a turn of the bot's that couldn't be saved, if that can be done now; whether none is left."""
        if not await self._relay.unsaved(conversation_id):
            return True
        if self._bot.ready and self._bot.store.away:
            return False
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._relay.flush(TRACKER, conversation_id), FLUSH_SECONDS)
        return not await self._relay.unsaved(conversation_id)

    def _without_transcript(
        self, conversation_id: str, channel: str, wish: HandoffRequest, message: UserMessage
    ) -> e.TranscriptAwaited:
        reach = self._reaches[channel]
        offer = Offer(
            handoff_id=uuid.uuid4().hex,
            conversation_id=conversation_id,
            bot_id=self._settings.bot_id,
            channel=Channel(name=channel, push=reach.push),
            department=wish.department,
            agent=wish.agent,
            reason=wish.reason,
            priority=wish.priority or Priority.NORMAL,
            note=wish.note,
            contact=wish.contact,
            language=wish.language,
            bot=BotState(settable=self._settable()),
            transcript_follows=True,
        )
        return e.TranscriptAwaited(
            conversation_id=conversation_id,
            handoff_id=offer.handoff_id,
            offer=offer,
            leaving_word=self._settings.leaving_word(offer.language),
            return_data=reach.return_data(message.output_channel),
            message_id=message.message_id,
        )

    async def follow(
        self, tracker: DialogueStateTracker, offer: Offer, message_id: str | None, with_options: WithOptions
    ) -> e.TranscriptRead:
        """What is missing in an offer that was made without the tracker, now that it can be read."""
        channel, intents = offer.channel.name, self._settings.intents
        happened = await with_options(channel, tracker.sender_id, [event.as_dict() for event in tracker.events])
        before = up_to(message_id, happened)
        form = tracker.active_loop is not None and intent_of(_last_user(before)) == intents.execute
        wish = HandoffRequest(
            department=offer.department,
            agent=offer.agent,
            reason=offer.reason,
            priority=None if offer.priority is Priority.NORMAL else offer.priority,
            note=offer.note,
            contact=offer.contact,
            language=offer.language,
        )
        whole = wished(wish, _last_user(before), before, intents)
        told = self._offer(tracker, _seen(happened) if form else happened, channel, whole)
        return e.TranscriptRead(
            conversation_id=tracker.sender_id,
            handoff_id=offer.handoff_id,
            offer=msgspec.structs.replace(told, handoff_id=offer.handoff_id),
            titles=button_titles(current_session(happened)),
            untake=taken_slot(happened) if form else None,
        )

    def _offer(
        self, tracker: DialogueStateTracker, happened: Sequence[Mapping[str, Any]], channel: str, wish: HandoffRequest
    ) -> Offer:
        slots = tracker.current_slot_values()
        return Offer(
            handoff_id=uuid.uuid4().hex,
            conversation_id=tracker.sender_id,
            bot_id=self._settings.bot_id,
            channel=Channel(name=channel, push=self._reaches[channel].push),
            department=wish.department,
            agent=wish.agent,
            reason=wish.reason,
            priority=wish.priority or Priority.NORMAL,
            note=wish.note,
            contact=_contact(wish.contact, slots),
            language=wish.language or _text(slots.get(self._settings.language_slot)),
            transcript=latest(transcript(happened)),
            bot=BotState(
                slots={name: slots[name] for name in self._settings.slots if slots.get(name) is not None},
                intents=_last_intents(happened),
                form=tracker.active_loop.name if tracker.active_loop is not None else None,
                settable=self._settable(),
            ),
        )

    def _settable(self) -> tuple[Slot, ...]:
        slots = {slot.name: slot for slot in self._bot.domain.slots}
        return tuple(_slot(slots[name]) for name in self._settings.settable_slots if name in slots)


def _last_user(happened: Happened) -> Mapping[str, Any]:
    """What the NLU made of the customer's last message."""
    last = next((event for event in reversed(happened) if event.get("event") == "user"), {})
    return last.get("parse_data") or {}


def warn_of_unknown_slots(bot: Bot, settings: Settings) -> None:
    """Once at the start: an agent would never see a slot that the domain hasn't got."""
    if bot.ready:
        for sentence in unknown_slots(settings, [slot.name for slot in bot.domain.slots]):
            log.warning(sentence)


def _slot(slot: Any) -> Slot:
    values = tuple(getattr(slot, "values", None) or ())
    return Slot(name=slot.name, type=str(slot.type_name), values=values or None)


def _contact(wish: Contact, slots: Mapping[str, Any]) -> Contact:
    """What the marker says, else what the preset's contact form has asked."""
    name = wish.name or _text(slots.get(names.CONTACT_NAME_SLOT))
    email = wish.email or _text(slots.get(names.CONTACT_EMAIL_SLOT))
    return Contact(name=name, email=email, phone=wish.phone)


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _last_intents(happened: Sequence[Mapping[str, Any]]) -> tuple[Guess, ...]:
    """The last intents that were recognised, oldest first."""
    found = []
    for event in happened:
        intent = ((event.get("parse_data") or {}).get("intent") or {}) if event.get("event") == "user" else {}
        if intent.get("name"):
            found.append(Guess(name=str(intent["name"]), confidence=float(intent.get("confidence") or 0)))
    return tuple(found[-LAST_INTENTS:])


def _seen(happened: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    last = max((index for index, event in enumerate(happened) if event.get("event") == "user"), default=len(happened))
    return [*happened[:last], *(event for event in happened[last:] if event.get("event") != "bot")]


def taken_slot(happened: Sequence[Mapping[str, Any]]) -> str | None:
    """The slot an open form filled with the last message, if it did: it was asked for before and set after it."""
    last = max((index for index, event in enumerate(happened) if event.get("event") == "user"), default=0)
    asked = [event for event in happened[:last] if _sets(event, "requested_slot")]
    slot = asked[-1].get("value") if asked else None
    if slot and any(_sets(event, slot) and event.get("value") is not None for event in happened[last:]):
        return str(slot)
    return None


def _sets(event: Mapping[str, Any], slot: str) -> bool:
    return event.get("event") == "slot" and event.get("name") == slot
