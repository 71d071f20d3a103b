"""The offer to the desk: the transcript, the bot's knowledge, and where to reach the customer."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.shared.core.constants import DEFAULT_CATEGORICAL_SLOT_VALUE
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.handoff_request import Happened, complete_request, intent_of, up_to
from rasa_handoff.core.channel_presentation import presentation_of
from rasa_handoff.core.fitting_offer import fitting
from rasa_handoff.core.transcript import button_titles, current_session, latest, transcript
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.channel_settings import Settings, unknown_slots
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest
from rasa_handoff.protocol.values import BotState, Channel, Contact, Guess, Line, Offer, Priority, Slot
from rasa_handoff.relay.kept_turns import has_kept_turn
from rasa_handoff.relay.relay import TRACKER, Relay

log = get_log(__name__)

LAST_INTENTS = 5
"""Recognised intents that an offer lists."""
FLUSH_SECONDS = 1.0
"""How long an offer, or the bot's next turn, waits for an unsaved turn to be written."""

WithOptions = Callable[[str, str, Happened], Awaitable[list[Mapping[str, Any]]]]
"""Inserts the options where they were shown; takes the channel's name, the conversation's id and the events."""


class HandoffOffers:
    """Makes offers from the tracker. ``delivery_methods``: the delivery methods of the hosted channels, by name."""

    def __init__(
        self, bot: Bot, relay: Relay, settings: Settings, delivery_methods: Mapping[str, DeliveryMethod]
    ) -> None:
        self._bot, self._relay, self._settings, self._delivery_methods = bot, relay, settings, delivery_methods

    async def request(
        self,
        conversation_id: str,
        channel: str,
        request: HandoffRequest,
        message: UserMessage,
        form: str | None,
        with_options: WithOptions,
    ) -> events.HandoffRequested:
        """Return the event that starts a handoff.

        ``message``: the message that asked. ``form``: the form that was open when the customer asked; what it answered was held
        back. While the tracker can't be read, or isn't written yet, the event is a ``TranscriptAwaited`` whose offer lacks the
        transcript and the bot's knowledge.
        """
        output = message.output_channel
        its_channel = self._channel(conversation_id, channel, output)
        try:
            if not await self.write_unsaved(conversation_id):
                raise Unreachable("The last turn isn't in the tracker yet.")
            tracker = await self._bot.tracker_after_turn(conversation_id)
            happened = await with_options(channel, conversation_id, [event.as_dict() for event in tracker.events])
        except Unreachable as problem:
            log.warning(
                "The transcript of %s can't be read now, and follows later: %s", short_id(conversation_id), problem
            )
            return self._without_transcript(its_channel, conversation_id, request, message)
        offer = self._offer(tracker, _without_last_answers(happened) if form else happened, its_channel, request)
        return events.HandoffRequested(
            conversation_id=conversation_id,
            handoff_id=offer.handoff_id,
            offer=offer,
            leaving_word=self._settings.leaving_word(offer.language),
            titles=button_titles(current_session(happened)),
            return_data=self._delivery_methods[channel].return_data(output),
            filled_slot=filled_slot_of(happened) if form else None,
            message_id=message.message_id,
        )

    async def message(
        self,
        conversation_id: str,
        channel: str,
        department: str | None,
        message: UserMessage,
        with_options: WithOptions,
        unread: Sequence[Line] = (),
    ) -> events.MessageBegun:
        """Return the event that begins a message to be left; while the tracker can't be read, its offer has no transcript.

        ``unread``: what the customer sent since their last message to the bot.
        """
        wanted = HandoffRequest(department=department)
        asked = await self.request(conversation_id, channel, wanted, message, None, with_options)
        fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
        lines = latest((*asked.offer.transcript, *unread))
        offer = fitting(msgspec.structs.replace(asked.offer, transcript_follows=False, transcript=lines))
        return events.MessageBegun(**{**fields, "offer": offer})

    async def write_unsaved(self, conversation_id: str) -> bool:
        """Write the bot's turns that couldn't be saved, if that is possible now; return whether none is left."""
        if not await has_kept_turn(self._relay, conversation_id):
            return True
        if self._bot.ready and self._bot.store.away:
            return False
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._relay.flush(TRACKER, conversation_id), FLUSH_SECONDS)
        return not await has_kept_turn(self._relay, conversation_id)

    def _without_transcript(
        self, channel: Channel, conversation_id: str, request: HandoffRequest, message: UserMessage
    ) -> events.TranscriptAwaited:
        requested = self._requested(conversation_id, channel, request)
        offer = fitting(msgspec.structs.replace(requested, transcript_follows=True))
        return events.TranscriptAwaited(
            conversation_id=conversation_id,
            handoff_id=offer.handoff_id,
            offer=offer,
            leaving_word=self._settings.leaving_word(offer.language),
            return_data=self._delivery_methods[channel.name].return_data(message.output_channel),
            message_id=message.message_id,
        )

    async def complete(
        self, tracker: DialogueStateTracker, offer: Offer, message_id: str | None, with_options: WithOptions
    ) -> events.TranscriptRead:
        """Complete an offer that was made without the tracker, now that it can be read."""
        intents = self._settings.intents
        happened = await with_options(
            offer.channel.name, tracker.sender_id, [event.as_dict() for event in tracker.events]
        )
        before = up_to(message_id, happened)
        asked_in_form = tracker.active_loop is not None and intent_of(_last_nlu_result(before)) == intents.execute
        request = HandoffRequest(
            department=offer.department,
            agent=offer.agent,
            reason=offer.reason,
            priority=None if offer.priority is Priority.NORMAL else offer.priority,
            note=offer.note,
            contact=offer.contact,
            language=offer.language,
        )
        completed_request = complete_request(request, _last_nlu_result(before), before, intents)
        completed_offer = self._offer(
            tracker, _without_last_answers(happened) if asked_in_form else happened, offer.channel, completed_request
        )
        return events.TranscriptRead(
            conversation_id=tracker.sender_id,
            handoff_id=offer.handoff_id,
            offer=msgspec.structs.replace(completed_offer, handoff_id=offer.handoff_id),
            titles=button_titles(current_session(happened)),
            filled_slot=filled_slot_of(happened) if asked_in_form else None,
        )

    def _offer(
        self,
        tracker: DialogueStateTracker,
        happened: Sequence[Mapping[str, Any]],
        channel: Channel,
        request: HandoffRequest,
    ) -> Offer:
        slots = tracker.current_slot_values()
        requested = self._requested(tracker.sender_id, channel, request)
        return fitting(
            msgspec.structs.replace(
                requested,
                contact=_contact(request.contact, slots),
                language=request.language or _text(slots.get(self._settings.language_slot)),
                transcript=latest(transcript(happened)),
                bot=BotState(
                    slots={name: slots[name] for name in self._settings.slots if slots.get(name) is not None},
                    intents=_last_intents(happened),
                    form=tracker.active_loop.name if tracker.active_loop is not None else None,
                    settable=requested.bot.settable,
                ),
            )
        )

    def _requested(self, conversation_id: str, channel: Channel, request: HandoffRequest) -> Offer:
        """Return an offer with what is known without the tracker: the request and the settings."""
        return Offer(
            handoff_id=uuid.uuid4().hex,
            conversation_id=conversation_id,
            bot_id=self._settings.bot_id,
            channel=channel,
            department=request.department,
            default_department=self._settings.default_department,
            agent=request.agent,
            reason=request.reason,
            priority=request.priority or Priority.NORMAL,
            note=request.note,
            contact=request.contact,
            language=request.language,
            bot=BotState(settable=self._settable()),
        )

    def _channel(self, conversation_id: str, name: str, output: OutputChannel) -> Channel:
        able = self._delivery_methods[name].able_for(conversation_id, output)
        keeps_files = self._relay.media.library is not None
        reached = keeps_files and (self._settings.public_url is not None or able.own_client)
        return Channel(name=name, push=able.push, presentation=presentation_of(able, reached))

    def _settable(self) -> tuple[Slot, ...]:
        slots = {slot.name: slot for slot in self._bot.domain.slots}
        return tuple(_slot(slots[name]) for name in self._settings.settable_slots if name in slots)


def _last_nlu_result(happened: Happened) -> Mapping[str, Any]:
    """Return the NLU result of the customer's last message."""
    last = next((event for event in reversed(happened) if event.get("event") == "user"), {})
    return last.get("parse_data") or {}


def warn_of_unknown_slots(bot: Bot, settings: Settings) -> None:
    """Log a warning for each slot in the settings that the domain lacks: an agent would never see it."""
    if bot.ready:
        for sentence in unknown_slots(settings, [slot.name for slot in bot.domain.slots]):
            log.warning(sentence)


def _slot(slot: Any) -> Slot:
    # Rasa adds a value that stands for any that isn't allowed; an agent can't mean it.
    values = tuple(value for value in getattr(slot, "values", None) or () if value != DEFAULT_CATEGORICAL_SLOT_VALUE)
    return Slot(name=slot.name, type=str(slot.type_name), values=values or None)


def _contact(given: Contact, slots: Mapping[str, Any]) -> Contact:
    """Return the contact from the marker, completed by the slots of the preset's contact form."""
    name = given.name or _text(slots.get(names.CONTACT_NAME_SLOT))
    email = given.email or _text(slots.get(names.CONTACT_EMAIL_SLOT))
    return Contact(name=name, email=email, phone=given.phone)


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _last_intents(happened: Sequence[Mapping[str, Any]]) -> tuple[Guess, ...]:
    """Return the last recognised intents, oldest first."""
    found = []
    for event in happened:
        intent = ((event.get("parse_data") or {}).get("intent") or {}) if event.get("event") == "user" else {}
        if intent.get("name"):
            found.append(Guess(name=str(intent["name"]), confidence=float(intent.get("confidence") or 0)))
    return tuple(found[-LAST_INTENTS:])


def _without_last_answers(happened: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events without the bot's answers to the last message, which were held back."""
    last = max((index for index, event in enumerate(happened) if event.get("event") == "user"), default=len(happened))
    return [*happened[:last], *(event for event in happened[last:] if event.get("event") != "bot")]


def filled_slot_of(happened: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the slot that an open form filled with the customer's last message: asked for before it and set after it."""
    last = max((index for index, event in enumerate(happened) if event.get("event") == "user"), default=0)
    asked = [event for event in happened[:last] if _sets(event, "requested_slot")]
    slot = asked[-1].get("value") if asked else None
    if slot and any(_sets(event, slot) and event.get("value") is not None for event in happened[last:]):
        return str(slot)
    return None


def _sets(event: Mapping[str, Any], slot: str) -> bool:
    return event.get("event") == "slot" and event.get("name") == slot
