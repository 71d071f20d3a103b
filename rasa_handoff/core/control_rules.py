"""The transitions named in the table of ``control.py``: each returns the changes of a conversation and the effects."""

from collections.abc import Callable
from typing import Any, TypeAlias

from rasa_handoff.core.conversation import Conversation
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.effects import (
    Effect,
    OfferAgain,
    OfferStored,
    TellCustomer,
    TellDesk,
    WithdrawOffer,
    WriteTracker,
)
from rasa_handoff.protocol.values import Speaker, plain

Effects: TypeAlias = tuple[Effect, ...]
Changes: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[Conversation, Any], tuple[Changes, Effects]]


def _notice(response: str, **values: Any) -> TellCustomer:
    return TellCustomer(speaker=Speaker.SYSTEM, response=response, values=values)


def _to_desk(conversation: Conversation, name: str, **body: Any) -> TellDesk:
    return TellDesk(name=name, body={"handoff_id": conversation.handoff_id, **body})


# Start


def requested(conversation: Conversation, event: events.HandoffRequested) -> tuple[Changes, Effects]:
    offer = event.offer
    changes: Changes = {
        "handoff_id": offer.handoff_id,
        "channel": offer.channel.name,
        "language": offer.language,
        "leaving_word": event.leaving_word,
        "department": offer.department,
        "titles": event.titles,
        "settable": tuple(slot.name for slot in offer.bot.settable),
        "return_data": event.return_data,
        "filled_slot": event.filled_slot,
        "agent": None,
        "position": None,
        "ended": None,
        "asked": 0,
        "reminded": False,
        "desk_away": False,
    }
    return changes, (TellDesk(name="handoff.initiate", body=plain(offer)),)


def preparing(conversation: Conversation, event: events.TranscriptAwaited) -> tuple[Changes, Effects]:
    changes, _ = requested(conversation, event)
    here = {"handoff_id": event.offer.handoff_id, "message_id": event.message_id}
    return changes, (_notice(names.UTTER_MOMENT), WriteTracker(kind="transcript", body=here))


def prepared(conversation: Conversation, event: events.TranscriptRead) -> tuple[Changes, Effects]:
    offer = event.offer
    changes: Changes = {"language": offer.language, "titles": event.titles, "filled_slot": event.filled_slot}
    return {**changes, "department": offer.department}, (TellDesk(name="handoff.initiate", body=plain(offer)),)


def offered_without_transcript(conversation: Conversation, event: events.TranscriptTimedOut) -> tuple[Changes, Effects]:
    return {}, (OfferStored(),)


def transcript_follows(conversation: Conversation, event: events.TranscriptRead) -> tuple[Changes, Effects]:
    offer, titles = event.offer, {**event.titles, **conversation.titles}
    body = {"transcript": offer.transcript, "bot": offer.bot, "contact": offer.contact, "language": offer.language}
    return {"titles": titles, "filled_slot": event.filled_slot}, (
        _to_desk(conversation, "handoff.transcript", **plain(body)),
    )


def adopted(conversation: Conversation, event: events.HandoffAdopted) -> tuple[Changes, Effects]:
    changes: Changes = {
        "handoff_id": event.offer.handoff_id,
        "channel": event.channel,
        "language": event.offer.language,
        "leaving_word": event.leaving_word,
        "department": event.offer.department,
        "settable": tuple(slot.name for slot in event.offer.bot.settable),
        "ended": None,
    }
    return changes, ()  # a paused tracker led to this handoff, so there is nothing to pause


def accepted(conversation: Conversation, event: events.HandoffAccepted) -> tuple[Changes, Effects]:
    pause = WriteTracker(
        kind="pause", body={"handoff_id": conversation.handoff_id, "filled_slot": conversation.filled_slot}
    )
    response = names.UTTER_REQUESTED if event.position is None else names.UTTER_QUEUED
    notice = _notice(response, position=event.position, wait=event.wait, word=conversation.leaving_word)
    return {"position": event.position}, (pause, notice)


REFUSALS = {"nobody_available": names.UTTER_NOBODY}
"""Responses for refusals by code; any other code gets ``utter_handoff_refused``."""


def refused(conversation: Conversation, event: events.HandoffRefused) -> tuple[Changes, Effects]:
    notice = _notice(REFUSALS.get(event.code, names.UTTER_REFUSED), reason=event.sentence)
    return {"ended": event.code}, (WriteTracker(kind="unpause"), notice)


def timed_out(conversation: Conversation, event: events.StartTimedOut) -> tuple[Changes, Effects]:
    # The desk may have the offer although its answer didn't arrive, so it is both withdrawn here and cancelled there.
    cancelled = _to_desk(conversation, "handoff.status", status="ended", reason="cancelled")
    notice = _notice(names.UTTER_UNREACHABLE)
    return {"ended": "desk_unreachable"}, (WithdrawOffer(), cancelled, WriteTracker(kind="unpause"), notice)


# Waiting and live chat


def moved(conversation: Conversation, event: events.PositionChanged) -> tuple[Changes, Effects]:
    if event.position is None or event.position == conversation.position:
        return {}, ()
    return {"position": event.position}, (_notice(names.UTTER_POSITION, position=event.position, wait=event.wait),)


def joined(conversation: Conversation, event: events.AgentJoined) -> tuple[Changes, Effects]:
    changes = {"agent": event.agent.name, "position": None}
    return changes, (_notice(names.UTTER_JOINED, agent=event.agent.name),)


def transferred(conversation: Conversation, event: events.HandoffTransferred) -> tuple[Changes, Effects]:
    response = names.UTTER_PASSED_ON if event.department is None else names.UTTER_TRANSFERRED
    notice = _notice(response, department=event.department)
    return {"agent": None, "position": None, "department": event.department}, (notice,)


def customer_said(conversation: Conversation, event: events.CustomerSaid) -> tuple[Changes, Effects]:
    said = {"id": event.id, "text": event.text, "at": event.at}
    changes: Changes = {"reminded": False}
    to_desk = _to_desk(conversation, "message", speaker=Speaker.CUSTOMER.value, **said)
    return changes, (to_desk, WriteTracker(kind="customer", body={"handoff_id": conversation.handoff_id, **said}))


def agent_said(conversation: Conversation, event: events.AgentSaid) -> tuple[Changes, Effects]:
    body = {
        "handoff_id": conversation.handoff_id,
        "id": event.id,
        "text": event.text,
        "at": event.at,
        "agent": event.agent,
    }
    notice = TellCustomer(speaker=Speaker.AGENT, id=event.id, text=event.text)
    return {"asked": 0}, (notice, WriteTracker(kind="agent", body=body))


def standing(conversation: Conversation, event: events.CustomerAskedAgain) -> tuple[Changes, Effects]:
    if conversation.agent is None:
        response = names.UTTER_STANDING_ASKED if conversation.position is None else names.UTTER_STANDING_WAITING
        return {}, (_notice(response, position=conversation.position, word=conversation.leaving_word),)
    return {}, (_notice(names.UTTER_STANDING_LIVE, agent=conversation.agent, word=conversation.leaving_word),)


# End and return


def ask_to_confirm(conversation: Conversation, event: events.CustomerLeaving) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_CONFIRM_LEAVE, word=conversation.leaving_word, agent=conversation.agent),)


def left(conversation: Conversation, event: events.CustomerLeaving) -> tuple[Changes, Effects]:
    ended = _to_desk(conversation, "handoff.status", status="ended", reason="customer_left")
    # The bot doesn't speak first to a customer who left on their own.
    notice = _notice(names.UTTER_LEFT if conversation.agent is not None else names.UTTER_LEFT_QUEUE)
    return {"ended": "customer_left"}, (ended, notice, _back(conversation, "customer_left", speak=False))


def completed(conversation: Conversation, event: events.HandoffCompleted) -> tuple[Changes, Effects]:
    notice = _notice(
        names.UTTER_ENDED if conversation.agent is None else names.UTTER_RESOLVED, agent=conversation.agent
    )
    slots = {name: value for name, value in event.slots.items() if name in conversation.settable}
    return {"ended": "resolved"}, (notice, _back(conversation, event.outcome, note=event.note, slots=slots))


SILENT_ENDINGS = frozenset({"silence", "customer_silent"})
"""Endings after which the bot doesn't speak: the customer is no longer there."""


def failed(conversation: Conversation, event: events.HandoffFailed) -> tuple[Changes, Effects]:
    silent = event.reason in SILENT_ENDINGS
    notice = _notice(names.UTTER_FELL_SILENT) if silent else _notice(names.UTTER_FAILED, reason=event.reason)
    return {"ended": event.reason}, (notice, _back(conversation, event.reason, speak=not silent))


def _back(conversation: Conversation, outcome: str, speak: bool = True, **more: Any) -> WriteTracker:
    return WriteTracker(
        kind="back", body={"handoff_id": conversation.handoff_id, "outcome": outcome, "speak": speak, **more}
    )


# While nobody comes


def nobody_came(conversation: Conversation, event: events.NobodyCame) -> tuple[Changes, Effects]:
    notice = _notice(names.UTTER_NOBODY_YET, word=conversation.leaving_word)
    return {"asked": conversation.asked + 1}, (notice,)


def goes_on_waiting(conversation: Conversation, event: events.CustomerChose) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_WAITING_ON, position=conversation.position, word=conversation.leaving_word),)


def wants_to_write(conversation: Conversation, event: events.CustomerWantsToWrite) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_WRITE_MESSAGE, word=conversation.leaving_word),)


def message_left(conversation: Conversation, event: events.CustomerSaid) -> tuple[Changes, Effects]:
    changes, effects = customer_said(conversation, event)
    left = _to_desk(conversation, "handoff.status", status="message_left", reason="message_left")
    notice = _notice(names.UTTER_MESSAGE_LEFT)
    return {**changes, "ended": "message_left"}, (*effects, left, notice, _back(conversation, "message_left"))


def given_up(reason: str, response: str, speak: bool) -> Rule:
    """Return the transition for a handoff that the relay ends itself; the desk is notified as soon as it is reachable."""

    def rule(conversation: Conversation, event: events.Event) -> tuple[Changes, Effects]:
        ended = _to_desk(conversation, "handoff.status", status="ended", reason=reason)
        return {"ended": reason}, (ended, _notice(response, reason=reason), _back(conversation, reason, speak=speak))

    return rule


def are_you_there(conversation: Conversation, event: events.CustomerFellSilent) -> tuple[Changes, Effects]:
    return {"reminded": True}, (
        _notice(names.UTTER_STILL_THERE, agent=conversation.agent, word=conversation.leaving_word),
    )


# Connection to the desk


def desk_lost(conversation: Conversation, event: events.DeskLost) -> tuple[Changes, Effects]:
    notice = _notice(names.UTTER_DESK_AWAY, word=conversation.leaving_word)
    return {"desk_away": True}, (() if conversation.desk_away else (notice,))


def desk_back(conversation: Conversation, event: events.DeskBack) -> tuple[Changes, Effects]:
    return {"desk_away": False}, ((_notice(names.UTTER_DESK_BACK),) if conversation.desk_away else ())


def accepted_again(conversation: Conversation, event: events.HandoffAccepted) -> tuple[Changes, Effects]:
    return {"position": event.position}, ()


def refused_again(conversation: Conversation, event: events.HandoffRefused) -> tuple[Changes, Effects]:
    return {"ended": event.code}, (_notice(names.UTTER_FAILED, reason=event.sentence), _back(conversation, event.code))


def offered_again(conversation: Conversation, event: events.DeskForgot) -> tuple[Changes, Effects]:
    again = OfferAgain(body={**plain(event.offer), "resumed": True})
    notice = (_notice(names.UTTER_PASSED_ON),) if conversation.agent is not None else ()
    return {"agent": None, "position": None, "desk_away": False}, (again, *notice)


def returned(conversation: Conversation, event: events.Returned) -> tuple[Changes, Effects]:
    messages = (TellCustomer(speaker=Speaker.BOT, message=message) for message in event.words)
    return {"agent": None, "position": None, "titles": {}}, tuple(messages)


def returned_without(conversation: Conversation, event: events.Event) -> tuple[Changes, Effects]:
    """Give the bot the conversation although the tracker couldn't be written: at least end the tracker's pause."""
    return {}, (WriteTracker(kind="unpause"),)


def nothing(conversation: Conversation, event: events.Event) -> tuple[Changes, Effects]:
    return {}, ()
