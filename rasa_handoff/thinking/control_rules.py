"""What each event does to a conversation: the rules that ``control.py``'s table names. No I/O; data in, data out."""

from collections.abc import Callable
from typing import Any, TypeAlias

from rasa_handoff.thinking.conversation import Conversation
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.effects import (
    Effect,
    OfferAgain,
    OfferStored,
    Record,
    TellCustomer,
    TellDesk,
    WithdrawOffer,
)
from rasa_handoff.vocabulary.values import Speaker, plain

Effects: TypeAlias = tuple[Effect, ...]
Changes: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[Conversation, Any], tuple[Changes, Effects]]


def _notice(response: str, **values: Any) -> TellCustomer:
    return TellCustomer(speaker=Speaker.SYSTEM, response=response, values=values)


def _to_desk(conversation: Conversation, name: str, **body: Any) -> TellDesk:
    return TellDesk(name=name, body={"handoff_id": conversation.handoff_id, **body})


# Starting


def requested(c: Conversation, event: e.HandoffRequested) -> tuple[Changes, Effects]:
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
        "untake": event.untake,
        "agent": None,
        "position": None,
        "ended": None,
        "asked": 0,
        "reminded": False,
        "desk_away": False,
    }
    return changes, (TellDesk(name="handoff.initiate", body=plain(offer)),)


def preparing(c: Conversation, event: e.TranscriptAwaited) -> tuple[Changes, Effects]:
    changes, _ = requested(c, event)
    here = {"handoff_id": event.offer.handoff_id, "message_id": event.message_id}
    return changes, (_notice(names.UTTER_MOMENT), Record(kind="transcript", body=here))


def prepared(c: Conversation, event: e.TranscriptRead) -> tuple[Changes, Effects]:
    offer = event.offer
    changes: Changes = {"language": offer.language, "titles": event.titles, "untake": event.untake}
    return {**changes, "department": offer.department}, (TellDesk(name="handoff.initiate", body=plain(offer)),)


def offered_without_transcript(c: Conversation, event: e.TranscriptTimedOut) -> tuple[Changes, Effects]:
    return {}, (OfferStored(),)


def transcript_follows(c: Conversation, event: e.TranscriptRead) -> tuple[Changes, Effects]:
    offer, titles = event.offer, {**event.titles, **c.titles}
    body = {"transcript": offer.transcript, "bot": offer.bot, "contact": offer.contact, "language": offer.language}
    return {"titles": titles, "untake": event.untake}, (_to_desk(c, "handoff.transcript", **plain(body)),)


def adopted(c: Conversation, event: e.HandoffAdopted) -> tuple[Changes, Effects]:
    changes: Changes = {
        "handoff_id": event.offer.handoff_id,
        "channel": event.channel,
        "language": event.offer.language,
        "leaving_word": event.leaving_word,
        "department": event.offer.department,
        "settable": tuple(slot.name for slot in event.offer.bot.settable),
        "ended": None,
    }
    return changes, ()  # the tracker is paused, that is how it was found


def accepted(c: Conversation, event: e.HandoffAccepted) -> tuple[Changes, Effects]:
    pause = Record(kind="pause", body={"handoff_id": c.handoff_id, "untake": c.untake})
    response = names.UTTER_REQUESTED if event.position is None else names.UTTER_QUEUED
    told = _notice(response, position=event.position, wait=event.wait, word=c.leaving_word)
    return {"position": event.position}, (pause, told)


REFUSALS = {"nobody_available": names.UTTER_NOBODY}
"""Which refusals have words of their own; any other is told by ``utter_handoff_refused``."""


def refused(c: Conversation, event: e.HandoffRefused) -> tuple[Changes, Effects]:
    told = _notice(REFUSALS.get(event.code, names.UTTER_REFUSED), reason=event.sentence)
    return {"ended": event.code}, (Record(kind="unpause"), told)


def timed_out(c: Conversation, event: e.StartTimedOut) -> tuple[Changes, Effects]:
    # The desk may have the offer although its answer didn't come: it is withdrawn, and called off.
    called_off = _to_desk(c, "handoff.status", status="ended", reason="cancelled")
    told = _notice(names.UTTER_UNREACHABLE)
    return {"ended": "desk_unreachable"}, (WithdrawOffer(), called_off, Record(kind="unpause"), told)


# Waiting and talking


def moved(c: Conversation, event: e.PositionChanged) -> tuple[Changes, Effects]:
    if event.position is None or event.position == c.position:
        return {}, ()
    return {"position": event.position}, (_notice(names.UTTER_POSITION, position=event.position, wait=event.wait),)


def joined(c: Conversation, event: e.AgentJoined) -> tuple[Changes, Effects]:
    changes = {"agent": event.agent.name, "position": None}
    return changes, (_notice(names.UTTER_JOINED, agent=event.agent.name),)


def transferred(c: Conversation, event: e.HandoffTransferred) -> tuple[Changes, Effects]:
    response = names.UTTER_PASSED_ON if event.department is None else names.UTTER_TRANSFERRED
    told = _notice(response, department=event.department)
    return {"agent": None, "position": None, "department": event.department}, (told,)


def customer_said(c: Conversation, event: e.CustomerSaid) -> tuple[Changes, Effects]:
    said = {"id": event.id, "text": event.text, "at": event.at}
    changes: Changes = {"reminded": False}
    to_desk = _to_desk(c, "message", speaker=Speaker.CUSTOMER.value, **said)
    return changes, (to_desk, Record(kind="customer", body={"handoff_id": c.handoff_id, **said}))


def agent_said(c: Conversation, event: e.AgentSaid) -> tuple[Changes, Effects]:
    body = {"handoff_id": c.handoff_id, "id": event.id, "text": event.text, "at": event.at, "agent": event.agent}
    told = TellCustomer(speaker=Speaker.AGENT, id=event.id, text=event.text)
    return {"asked": 0}, (told, Record(kind="agent", body=body))


def standing(c: Conversation, event: e.CustomerAskedAgain) -> tuple[Changes, Effects]:
    if c.agent is None:
        response = names.UTTER_STANDING_ASKED if c.position is None else names.UTTER_STANDING_WAITING
        return {}, (_notice(response, position=c.position, word=c.leaving_word),)
    return {}, (_notice(names.UTTER_STANDING_LIVE, agent=c.agent, word=c.leaving_word),)


# Ending and coming back


def ask_to_confirm(c: Conversation, event: e.CustomerLeaving) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_CONFIRM_LEAVE, word=c.leaving_word, agent=c.agent),)


def left(c: Conversation, event: e.CustomerLeaving) -> tuple[Changes, Effects]:
    ended = _to_desk(c, "handoff.status", status="ended", reason="customer_left")
    # Who left by themselves is not spoken to again (design, promise 6).
    told = _notice(names.UTTER_LEFT if c.agent is not None else names.UTTER_LEFT_QUEUE)
    return {"ended": "customer_left"}, (ended, told, _back(c, "customer_left", speak=False))


def completed(c: Conversation, event: e.HandoffCompleted) -> tuple[Changes, Effects]:
    told = _notice(names.UTTER_ENDED if c.agent is None else names.UTTER_RESOLVED, agent=c.agent)
    slots = {name: value for name, value in event.slots.items() if name in c.settable}
    return {"ended": "resolved"}, (told, _back(c, event.outcome, note=event.note, slots=slots))


SILENT_ENDINGS = frozenset({"silence", "customer_silent"})
"""Endings after which nobody is there to be spoken to."""


def failed(c: Conversation, event: e.HandoffFailed) -> tuple[Changes, Effects]:
    silent = event.reason in SILENT_ENDINGS
    told = _notice(names.UTTER_FELL_SILENT) if silent else _notice(names.UTTER_FAILED, reason=event.reason)
    return {"ended": event.reason}, (told, _back(c, event.reason, speak=not silent))


def _back(c: Conversation, outcome: str, speak: bool = True, **more: Any) -> Record:
    return Record(kind="back", body={"handoff_id": c.handoff_id, "outcome": outcome, "speak": speak, **more})


# While nobody comes


def nobody_came(c: Conversation, event: e.NobodyCame) -> tuple[Changes, Effects]:
    told = _notice(names.UTTER_NOBODY_YET, word=c.leaving_word)
    return {"asked": c.asked + 1}, (told,)


def goes_on_waiting(c: Conversation, event: e.CustomerChose) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_WAITING_ON, position=c.position, word=c.leaving_word),)


def wants_to_write(c: Conversation, event: e.CustomerWantsToWrite) -> tuple[Changes, Effects]:
    return {}, (_notice(names.UTTER_WRITE_MESSAGE, word=c.leaving_word),)


def message_left(c: Conversation, event: e.CustomerSaid) -> tuple[Changes, Effects]:
    changes, effects = customer_said(c, event)
    left = _to_desk(c, "handoff.status", status="message_left", reason="message_left")
    told = _notice(names.UTTER_MESSAGE_LEFT)
    return {**changes, "ended": "message_left"}, (*effects, left, told, _back(c, "message_left"))


def given_up(reason: str, response: str, speak: bool) -> Rule:
    """The relay ends it by itself: the desk is told, now or when it can be."""

    def rule(c: Conversation, event: e.Event) -> tuple[Changes, Effects]:
        ended = _to_desk(c, "handoff.status", status="ended", reason=reason)
        return {"ended": reason}, (ended, _notice(response, reason=reason), _back(c, reason, speak=speak))

    return rule


def are_you_there(c: Conversation, event: e.CustomerFellSilent) -> tuple[Changes, Effects]:
    return {"reminded": True}, (_notice(names.UTTER_STILL_THERE, agent=c.agent, word=c.leaving_word),)


# The desk itself


def desk_lost(c: Conversation, event: e.DeskLost) -> tuple[Changes, Effects]:
    return {"desk_away": True}, (() if c.desk_away else (_notice(names.UTTER_DESK_AWAY, word=c.leaving_word),))


def desk_back(c: Conversation, event: e.DeskBack) -> tuple[Changes, Effects]:
    return {"desk_away": False}, ((_notice(names.UTTER_DESK_BACK),) if c.desk_away else ())


def accepted_again(c: Conversation, event: e.HandoffAccepted) -> tuple[Changes, Effects]:
    return {"position": event.position}, ()


def refused_again(c: Conversation, event: e.HandoffRefused) -> tuple[Changes, Effects]:
    return {"ended": event.code}, (_notice(names.UTTER_FAILED, reason=event.sentence), _back(c, event.code))


def offered_again(c: Conversation, event: e.DeskForgot) -> tuple[Changes, Effects]:
    again = OfferAgain(body={**plain(event.offer), "resumed": True})
    told = (_notice(names.UTTER_PASSED_ON),) if c.agent is not None else ()
    return {"agent": None, "position": None, "desk_away": False}, (again, *told)


def returned(c: Conversation, event: e.Returned) -> tuple[Changes, Effects]:
    words = (TellCustomer(speaker=Speaker.BOT, message=message) for message in event.words)
    return {"agent": None, "position": None, "titles": {}}, tuple(words)


def returned_without(c: Conversation, event: e.Event) -> tuple[Changes, Effects]:
    """The bot has it, though what was to be written before can't be: at least the tracker's pause is to end."""
    return {}, (Record(kind="unpause"),)


def nothing(c: Conversation, event: e.Event) -> tuple[Changes, Effects]:
    return {}, ()
