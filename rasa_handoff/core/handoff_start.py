"""The start of a handoff: the rules of control from the request to the desk's answer, and for a desk that has lost it since.

``control.py`` has the table that names them. What each is for is said by the docstring of its event (``protocol/events.py``).
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from rasa_handoff.core.conversation import ControlStep, Conversation
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.effects import (
    OfferAgain,
    OfferWithoutTranscript,
    TellDesk,
    WithdrawOffer,
    WriteTracker,
    make_notice,
)
from rasa_handoff.protocol.outbox_bodies import PauseBody, TranscriptBody, UnpauseBody
from rasa_handoff.protocol.payloads import OfferPayload, TranscriptPayload
from rasa_handoff.protocol.values import Contact

REFUSALS: Final = {"nobody_available": names.UTTER_NOBODY}
"""Responses for refusals by code; any other code gets ``utter_handoff_refused``."""
ABOUT_DEPARTMENTS: Final = ("unknown_department", "nobody_available")
"""Codes of refusals after which the other departments are offered, if a department was asked for."""
OF_A_NEW_HANDOFF: Final[Mapping[str, Any]] = {
    "agent": None,
    "position": None,
    "wait": None,
    "ended": None,
    "asked": 0,
    "reminded": False,
    "desk_away": False,
}
"""The fields of a conversation that begin anew with each handoff."""


def requested(conversation: Conversation, event: events.HandoffRequested) -> ControlStep:
    offer = event.offer
    after = replace(
        conversation,
        handoff_id=offer.handoff_id,
        channel=offer.channel.name,
        language=offer.language,
        leaving_word=event.leaving_word,
        department=offer.department,
        titles=event.titles,
        settable=tuple(slot.name for slot in offer.bot.settable),
        return_data=event.return_data,
        filled_slot=event.filled_slot,
        has_contact=_is_known(offer.contact),
        **OF_A_NEW_HANDOFF,
    )
    return after, (TellDesk(payload=OfferPayload.of(offer)),)


def _is_known(contact: Contact) -> bool:
    return bool(contact.email or contact.phone)


def preparing(conversation: Conversation, event: events.TranscriptAwaited) -> ControlStep:
    after, _ = requested(conversation, event)
    reading = TranscriptBody(handoff_id=event.offer.handoff_id, message_id=event.message_id)
    return after, (make_notice(names.UTTER_MOMENT), WriteTracker(body=reading))


def prepared(conversation: Conversation, event: events.TranscriptRead) -> ControlStep:
    offer, filled_slot = event.offer, event.filled_slot
    after = replace(conversation, language=offer.language, department=offer.department, filled_slot=filled_slot)
    return replace(after, titles=event.titles, has_contact=_is_known(offer.contact)), (
        TellDesk(payload=OfferPayload.of(offer)),
    )


def offered_without_transcript(conversation: Conversation, event: events.TranscriptTimedOut) -> ControlStep:
    return conversation, (OfferWithoutTranscript(),)


def late_transcript(conversation: Conversation, event: events.TranscriptRead) -> ControlStep:
    offer, titles = event.offer, {**event.titles, **conversation.titles}
    payload = TranscriptPayload(
        handoff_id=str(conversation.handoff_id),
        transcript=offer.transcript,
        bot=offer.bot,
        contact=offer.contact,
        language=offer.language,
    )
    after = replace(conversation, titles=titles, filled_slot=event.filled_slot, has_contact=_is_known(offer.contact))
    return after, (TellDesk(payload=payload),)


def adopted(conversation: Conversation, event: events.HandoffAdopted) -> ControlStep:
    after = replace(
        conversation,
        handoff_id=event.offer.handoff_id,
        channel=event.channel,
        language=event.offer.language,
        leaving_word=event.leaving_word,
        department=event.offer.department,
        settable=tuple(slot.name for slot in event.offer.bot.settable),
        has_contact=_is_known(event.offer.contact),
        **OF_A_NEW_HANDOFF,
    )
    return after, ()  # the tracker was paused when this handoff began


def accepted(conversation: Conversation, event: events.HandoffAccepted) -> ControlStep:
    pause = WriteTracker(body=PauseBody(handoff_id=conversation.handoff_id, filled_slot=conversation.filled_slot))
    response = names.UTTER_REQUESTED if event.position is None else names.UTTER_QUEUED
    notice = make_notice(response, position=event.position, wait=event.wait, word=conversation.leaving_word)
    if event.elsewhere is None:
        return replace(conversation, position=event.position, wait=event.wait), (pause, notice)
    after = replace(conversation, position=event.position, wait=event.wait, department=event.elsewhere.name)
    return after, (pause, make_notice(names.UTTER_ELSEWHERE, department=event.elsewhere.label), notice)


def refused(conversation: Conversation, event: events.HandoffRefused) -> ControlStep:
    if conversation.department is not None and event.code in ABOUT_DEPARTMENTS:
        notice = make_notice(names.UTTER_INSTEAD, department=conversation.department)
    else:
        notice = make_notice(REFUSALS.get(event.code, names.UTTER_REFUSED), reason=event.sentence)
    return replace(conversation, ended=event.code), (WriteTracker(body=UnpauseBody()), notice)


def timed_out(conversation: Conversation, event: events.StartTimedOut) -> ControlStep:
    # The desk may have the offer although its answer didn't arrive, so it is both withdrawn here and cancelled there.
    cancelled = conversation.end_at_desk("cancelled")
    effects = (WithdrawOffer(), cancelled, WriteTracker(body=UnpauseBody()), make_notice(names.UTTER_UNREACHABLE))
    return replace(conversation, ended="desk_unreachable"), effects


# A desk that has lost the handoff


def offered_again(conversation: Conversation, event: events.DeskForgot) -> ControlStep:
    again = OfferAgain(offer=OfferPayload.of(event.offer, resumed=True))
    notice = () if conversation.agent is None else (make_notice(names.UTTER_PASSED_ON),)
    return replace(conversation, agent=None, position=None, desk_away=False), (again, *notice)


def accepted_again(conversation: Conversation, event: events.HandoffAccepted) -> ControlStep:
    return replace(conversation, position=event.position, wait=event.wait), ()


def refused_again(conversation: Conversation, event: events.HandoffRefused) -> ControlStep:
    notice = make_notice(names.UTTER_FAILED, reason=event.sentence)
    return replace(conversation, ended=event.code), (notice, conversation.give_back(event.code))
