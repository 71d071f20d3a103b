"""Control of a conversation on the relay's side: who is active, the bot or the desk, as one state table without I/O.

The rules:

1. Bot and desk are never both active. Until the desk accepts a handoff it is the bot; from then on the desk, until the handoff
   ends. The bot is active again once the tracker has been written and it has spoken (``RETURNING`` -> ``BOT``). While a customer
   leaves a message with the relay, neither is (:class:`~rasa_handoff.core.conversation.Control`).
2. :func:`step` takes an event and returns the new state and its effects. It does nothing itself.
3. A pair of state and event that isn't in :data:`TABLE` raises :class:`IllegalEvent` and changes nothing.
4. An event of an older handoff is ignored. The exception is an agent's message: it is an error, so that the agent learns that
   nobody receives it.
5. The customer gets a notice of every change; its text is a response of the domain.

:mod:`~rasa_handoff.core.state_machine` explains how table and rules work together.
"""

from typing import Final

from msgspec.structs import replace

from rasa_handoff.core import handoff_start, leave_message
from rasa_handoff.core.conversation import AWAITING_DESK, DESK_ACTIVE, Control, ControlStep, Conversation, IllegalEvent
from rasa_handoff.core.rasa_messages import choices_in
from rasa_handoff.core.state_machine import StateMachine, Transition
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.effects import Effect, TellCustomer, TellDesk, WriteTracker, make_notice
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.message_parts import TextPart, in_words
from rasa_handoff.protocol.outbox_bodies import AgentSaidBody, NoticeBody, UnpauseBody
from rasa_handoff.protocol.payloads import MessageStatusPayload, RatingPayload
from rasa_handoff.protocol.values import Speaker, Status

__all__ = [
    "AWAITING_DESK",
    "DESK_ACTIVE",
    "MACHINE",
    "TABLE",
    "Control",
    "Conversation",
    "IllegalEvent",
    "answer_message_left",
    "step",
]

LONGEST_QUOTED: Final = 100
"""Characters of a customer's message that a notice about it quotes."""
MOST_ASKED: Final = 2
"""How often in a row a customer is asked whether to go on waiting; one who doesn't answer then waits quietly."""
ASKING: Final = frozenset({Control.WAITING, Control.CONTACT})
"""The states in which a question with choices is open."""
MOST_TITLES: Final = 500
"""Titles of buttons that are kept of one handoff."""
SILENT_ENDINGS: Final = frozenset({"silence", "customer_silent"})
"""Endings after which the bot doesn't speak: the customer is no longer there."""


def step(conversation: Conversation, event: events.Event) -> ControlStep:
    """Return the conversation after the event, and its effects.

    An event that concerns a message or a rating rather than the state is legal in every state, so the table doesn't have it.

    Raises:
        IllegalEvent: the table has no such pair, or an agent writes in an older handoff.
    """
    if isinstance(event, events.MessageReported | events.NoticeShown | events.CustomerMessageNotDelivered):
        return _with_choices(conversation, event), (_report(event),)
    if isinstance(event, events.CustomerRated):
        return conversation, _rated(conversation, event)
    if _is_of_an_older_handoff(conversation, event):
        if isinstance(event, events.AgentSaid):
            raise IllegalEvent(f"The handoff {event.handoff_id} of {short_id(conversation.conversation_id)} is over.")
        return conversation, ()
    after, effects = MACHINE.step(_on_channel_of(event, conversation), event)
    said = isinstance(event, events.CustomerSaid) and after.state not in ASKING
    answered = said or isinstance(event, events.CustomerChoseToWait)
    answered = answered or (isinstance(event, events.AgentSaid) and after.state in ASKING)
    answered = answered or after.state is not conversation.state
    return (replace(after, choices=()) if answered and after.choices else after), effects


def _with_choices(conversation: Conversation, event: events.Event) -> Conversation:
    """Return the conversation with the choices of the question that the customer was shown, if that is still to be answered.

    An agent's question is open until something else is said: "2" may then be an answer to that.
    """
    here = event.handoff_id == conversation.handoff_id
    if isinstance(event, events.MessageReported) and event.status is Status.DELIVERED:
        is_open = here and conversation.desk_active and conversation.state not in ASKING
        is_new = event.choices != conversation.choices
        return replace(conversation, choices=event.choices) if is_open and is_new else conversation
    if not isinstance(event, events.NoticeShown) or not event.choices:
        return conversation
    is_open = here and conversation.state in ASKING
    return replace(conversation, choices=event.choices) if is_open else conversation


def _is_of_an_older_handoff(conversation: Conversation, event: events.Event) -> bool:
    if isinstance(event, events.HandoffRequested | events.HandoffAdopted) or event.handoff_id is None:
        return False
    return event.handoff_id != conversation.handoff_id


def _on_channel_of(event: events.Event, conversation: Conversation) -> Conversation:
    """Return the conversation on the channel that the customer used last, with what is needed to reach them there."""
    if not isinstance(event, events.CustomerEvent) or event.channel is None:
        return conversation
    known = conversation.return_data if event.channel == conversation.channel else {}
    return replace(conversation, channel=event.channel, return_data=event.return_data or known)


def _illegal(conversation: Conversation | None, event: events.Event) -> IllegalEvent:
    assert conversation is not None
    return IllegalEvent(
        f"{type(event).__name__} can't happen to conversation {short_id(conversation.conversation_id)} while it is "
        f"'{conversation.state.value}'."
    )


# Messages, whoever is active


def _report(event: events.MessageReported | events.NoticeShown | events.CustomerMessageNotDelivered) -> Effect:
    if isinstance(event, events.NoticeShown):
        notice = NoticeBody(
            handoff_id=event.handoff_id, id=event.id, text=event.text, at=event.at, response=event.response
        )
        return WriteTracker(body=notice)
    if isinstance(event, events.CustomerMessageNotDelivered):
        quoted = event.text if len(event.text) <= LONGEST_QUOTED else f"{event.text[:LONGEST_QUOTED]}..."
        return make_notice(names.UTTER_NOT_DELIVERED, text=quoted)
    status = MessageStatusPayload(
        handoff_id=str(event.handoff_id),
        message_id=event.message_id,
        status=event.status,
        reason=event.reason,
        customer_is_away=event.customer_is_away,
    )
    return TellDesk(payload=status)


def _rated(conversation: Conversation, event: events.CustomerRated) -> tuple[Effect, ...]:
    """Return the effect of a rating: the desk is told, if there was a handoff at all."""
    if conversation.handoff_id is None:
        return ()
    rating = event.rating
    report = RatingPayload(handoff_id=conversation.handoff_id, score=rating.score, at=event.at, comment=rating.comment)
    return (TellDesk(payload=report),)


def answer_message_left(event: events.AgentSaid) -> tuple[Effect, ...]:
    """Return the effects of an agent's answer to a message that was left: it is sent with the agent's name."""
    said = AgentSaidBody(
        handoff_id=event.handoff_id, id=event.id, text=event.text, at=event.at, agent=event.agent, parts=event.parts
    )
    beside = tuple(part for part in event.parts if not isinstance(part, TextPart))
    text = in_words(part for part in event.parts if isinstance(part, TextPart)) if beside else event.text
    answer = TellCustomer(
        speaker=Speaker.AGENT,
        id=event.id,
        response=names.UTTER_REPLY,
        values={"agent": event.agent, "text": text},
        agent=event.agent,
        parts=beside,
    )
    return answer, WriteTracker(body=said)


# Waiting and live chat


def _position_changed(conversation: Conversation, event: events.PositionChanged) -> ControlStep:
    if event.position is None:
        return conversation, ()
    if event.position == conversation.position:
        return replace(conversation, wait=event.wait), ()
    notice = make_notice(names.UTTER_POSITION, position=event.position, wait=event.wait)
    return replace(conversation, position=event.position, wait=event.wait), (notice,)


def _joined(conversation: Conversation, event: events.AgentJoined) -> ControlStep:
    notice = make_notice(names.UTTER_JOINED, agent=event.agent.name)
    return replace(conversation, agent=event.agent.name, position=None), (notice,)


def _transferred(conversation: Conversation, event: events.HandoffTransferred) -> ControlStep:
    response = names.UTTER_PASSED_ON if event.department is None else names.UTTER_TRANSFERRED
    after = replace(conversation, agent=None, position=None, department=event.department)
    return after, (make_notice(response, department=event.department),)


def _customer_said(conversation: Conversation, event: events.CustomerSaid) -> ControlStep:
    return replace(conversation, reminded=False), conversation.pass_on(event)


def _agent_said(conversation: Conversation, event: events.AgentSaid) -> ControlStep:
    said = AgentSaidBody(
        handoff_id=conversation.handoff_id,
        id=event.id,
        text=event.text,
        at=event.at,
        agent=event.agent,
        parts=event.parts,
    )
    name = event.agent or conversation.agent
    to_customer = TellCustomer(speaker=Speaker.AGENT, id=event.id, text=event.text, agent=name, parts=event.parts)
    return replace(conversation, asked=0, titles=_titles(conversation, event)), (to_customer, WriteTracker(body=said))


def _titles(conversation: Conversation, event: events.AgentSaid) -> dict[str, str]:
    """Return the titles of the buttons that the customer was shown, with those of an agent's message."""
    room = MOST_TITLES - len(conversation.titles)
    shown = choices_in(event.parts)[: max(room, 0)]
    return {**conversation.titles, **{one.payload: one.title for one in shown}} if shown else conversation.titles


def _answer_where_it_stands(conversation: Conversation, event: events.CustomerAskedAgain) -> ControlStep:
    """Tell a customer who asks for a person again where their handoff stands."""
    if conversation.agent is not None:
        response = names.UTTER_ALREADY_LIVE
        return conversation, (make_notice(response, agent=conversation.agent, word=conversation.leaving_word),)
    response = names.UTTER_ALREADY_ASKED if conversation.position is None else names.UTTER_ALREADY_WAITING
    return conversation, (make_notice(response, position=conversation.position, word=conversation.leaving_word),)


# While nobody comes or answers


def _nobody_came(conversation: Conversation, event: events.NobodyCame) -> ControlStep:
    if conversation.asked >= MOST_ASKED:
        return conversation, ()
    notice = make_notice(names.UTTER_NOBODY_YET, word=conversation.leaving_word)
    return replace(conversation, asked=conversation.asked + 1), (notice,)


def _goes_on_waiting(conversation: Conversation, event: events.CustomerChoseToWait) -> ControlStep:
    notice = make_notice(names.UTTER_WAITING_ON, position=conversation.position, word=conversation.leaving_word)
    return replace(conversation, asked=0), (notice,)


def _are_you_there(conversation: Conversation, event: events.CustomerFellSilent) -> ControlStep:
    notice = make_notice(names.UTTER_STILL_THERE, agent=conversation.agent, word=conversation.leaving_word)
    return replace(conversation, reminded=True), (notice,)


# The end, and the return to the bot


def _ask_to_confirm(conversation: Conversation, event: events.CustomerLeaving) -> ControlStep:
    if event.confirmed:
        after, effects = _left(conversation, event)
        return replace(after, state=Control.RETURNING), effects
    notice = make_notice(names.UTTER_CONFIRM_LEAVE, word=conversation.leaving_word, agent=conversation.agent)
    return conversation, (notice,)


def _left(conversation: Conversation, event: events.CustomerLeaving) -> ControlStep:
    to_desk = conversation.end_at_desk("customer_left")
    notice = make_notice(names.UTTER_LEFT_QUEUE if conversation.agent is None else names.UTTER_LEFT)
    back = conversation.give_back("customer_left", speak=False)  # the customer left on their own
    return replace(conversation, ended="customer_left"), (to_desk, notice, back)


def _completed(conversation: Conversation, event: events.HandoffCompleted) -> ControlStep:
    response = names.UTTER_ENDED if conversation.agent is None else names.UTTER_RESOLVED
    slots = {name: value for name, value in event.slots.items() if name in conversation.settable}
    back = conversation.give_back(event.outcome, note=event.note, slots=slots)
    return replace(conversation, ended="resolved"), (make_notice(response, agent=conversation.agent), back)


def _failed(conversation: Conversation, event: events.HandoffFailed) -> ControlStep:
    silent = event.reason in SILENT_ENDINGS
    notice = make_notice(names.UTTER_FELL_SILENT) if silent else make_notice(names.UTTER_FAILED, reason=event.reason)
    return replace(conversation, ended=event.reason), (notice, conversation.give_back(event.reason, speak=not silent))


def _ended_by_relay(reason: str, response: str) -> Transition[Control, Conversation, Effect]:
    """Return the transition of a handoff that the relay ends itself; the desk is notified as soon as it is reachable."""

    def rule(conversation: Conversation, event: events.Event) -> ControlStep:
        to_desk = conversation.end_at_desk(reason)
        back = conversation.give_back(reason, speak=reason not in SILENT_ENDINGS)
        return replace(conversation, ended=reason), (to_desk, make_notice(response, reason=reason), back)

    return Transition(Control.RETURNING, rule)


def _returned(conversation: Conversation, event: events.Returned) -> ControlStep:
    messages = (TellCustomer(speaker=Speaker.BOT, message=message) for message in event.words)
    return replace(conversation, agent=None, position=None, titles={}), tuple(messages)


def _returned_without_tracker(conversation: Conversation, event: events.Event) -> ControlStep:
    """Give the bot the conversation although the tracker couldn't be written: at least end the tracker's pause."""
    return conversation, (WriteTracker(body=UnpauseBody()),)


# The connection to the desk


def _desk_lost(conversation: Conversation, event: events.DeskLost) -> ControlStep:
    notice = make_notice(names.UTTER_DESK_AWAY, word=conversation.leaving_word)
    return replace(conversation, desk_away=True), (() if conversation.desk_away else (notice,))


def _desk_back(conversation: Conversation, event: events.DeskBack) -> ControlStep:
    return replace(conversation, desk_away=False), (
        (make_notice(names.UTTER_DESK_BACK),) if conversation.desk_away else ()
    )


def _nothing(conversation: Conversation, event: events.Event) -> ControlStep:
    return conversation, ()


TABLE: Final[dict[tuple[Control | None, type[events.Event]], Transition[Control, Conversation, Effect]]] = {
    (Control.BOT, events.HandoffRequested): Transition(Control.REQUESTED, handoff_start.requested),
    (Control.BOT, events.TranscriptAwaited): Transition(Control.PREPARING, handoff_start.preparing),
    (Control.PREPARING, events.TranscriptRead): Transition(Control.REQUESTED, handoff_start.prepared),
    (Control.PREPARING, events.TranscriptTimedOut): Transition(
        Control.REQUESTED, handoff_start.offered_without_transcript
    ),
    (Control.BOT, events.HandoffAdopted): Transition(Control.WAITING, handoff_start.adopted),
    (Control.REQUESTED, events.HandoffAccepted): Transition(Control.WAITING, handoff_start.accepted),
    (Control.REQUESTED, events.HandoffRefused): Transition(Control.BOT, handoff_start.refused),
    (Control.REQUESTED, events.StartTimedOut): Transition(Control.BOT, handoff_start.timed_out),
    (Control.WAITING, events.PositionChanged): Transition(Control.WAITING, _position_changed),
    (Control.WAITING, events.CustomerSaid): Transition(Control.WAITING, _customer_said),
    (Control.WAITING, events.CustomerAskedAgain): Transition(Control.WAITING, _answer_where_it_stands),
    (Control.WAITING, events.CustomerLeaving): Transition(Control.RETURNING, _left),
    (Control.WAITING, events.AgentSaid): Transition(Control.WAITING, _agent_said),  # a foreign desk's automatic replies
    (Control.WAITING, events.AgentJoined): Transition(Control.LIVE, _joined),
    (Control.WAITING, events.HandoffTransferred): Transition(Control.WAITING, _transferred),
    (Control.WAITING, events.HandoffCompleted): Transition(Control.RETURNING, _completed),
    (Control.WAITING, events.HandoffFailed): Transition(Control.RETURNING, _failed),
    (Control.LIVE, events.CustomerSaid): Transition(Control.LIVE, _customer_said),
    (Control.LIVE, events.CustomerAskedAgain): Transition(Control.LIVE, _answer_where_it_stands),
    (Control.LIVE, events.CustomerLeaving): Transition(Control.LEAVING, _ask_to_confirm, Control.RETURNING),
    (Control.LIVE, events.AgentSaid): Transition(Control.LIVE, _agent_said),
    (Control.LIVE, events.AgentJoined): Transition(Control.LIVE, _joined),
    (Control.LIVE, events.HandoffTransferred): Transition(Control.WAITING, _transferred),
    (Control.LIVE, events.HandoffCompleted): Transition(Control.RETURNING, _completed),
    (Control.LIVE, events.HandoffFailed): Transition(Control.RETURNING, _failed),
    (Control.LEAVING, events.CustomerSaid): Transition(Control.LIVE, _customer_said),
    (Control.LEAVING, events.CustomerAskedAgain): Transition(Control.LIVE, _answer_where_it_stands),
    (Control.LEAVING, events.CustomerLeaving): Transition(Control.RETURNING, _left),
    (Control.LEAVING, events.AgentSaid): Transition(Control.LEAVING, _agent_said),
    (Control.LEAVING, events.AgentJoined): Transition(Control.LIVE, _joined),
    (Control.LEAVING, events.HandoffTransferred): Transition(Control.WAITING, _transferred),
    (Control.LEAVING, events.HandoffCompleted): Transition(Control.RETURNING, _completed),
    (Control.LEAVING, events.HandoffFailed): Transition(Control.RETURNING, _failed),
    (Control.MESSAGE, events.CustomerSaid): Transition(Control.CONTACT, leave_message.written, Control.RETURNING),
    (Control.MESSAGE, events.CustomerLeaving): Transition(Control.RETURNING, _left),
    (Control.MESSAGE, events.CustomerAskedAgain): Transition(Control.WAITING, _answer_where_it_stands),
    (Control.MESSAGE, events.CustomerChoseToWait): Transition(Control.WAITING, _goes_on_waiting),
    (Control.MESSAGE, events.CustomerWantsToWrite): Transition(Control.MESSAGE, _nothing),
    (Control.MESSAGE, events.PositionChanged): Transition(Control.MESSAGE, _nothing),
    (Control.MESSAGE, events.AgentJoined): Transition(Control.LIVE, _joined),
    (Control.MESSAGE, events.AgentSaid): Transition(Control.WAITING, _agent_said),
    (Control.MESSAGE, events.HandoffTransferred): Transition(Control.WAITING, _transferred),
    (Control.MESSAGE, events.HandoffCompleted): Transition(Control.RETURNING, _completed),
    (Control.MESSAGE, events.HandoffFailed): Transition(Control.RETURNING, _failed),
    (Control.BOT, events.MessageBegun): Transition(Control.OFFLINE_MESSAGE, leave_message.begun),
    (Control.OFFLINE_MESSAGE, events.CustomerSaid): Transition(
        Control.CONTACT, leave_message.written_offline, Control.RETURNING
    ),
    (Control.OFFLINE_MESSAGE, events.CustomerLeaving): Transition(Control.RETURNING, leave_message.given_up),
    (Control.OFFLINE_MESSAGE, events.CustomerAskedAgain): Transition(
        Control.OFFLINE_MESSAGE, leave_message.asked_again
    ),
    (Control.CONTACT, events.CustomerSaid): Transition(
        Control.CONTACT, leave_message.contact_answered, Control.RETURNING
    ),
    (Control.CONTACT, events.CustomerLeaving): Transition(Control.RETURNING, leave_message.without_contact),
    (Control.CONTACT, events.CustomerAskedAgain): Transition(Control.CONTACT, leave_message.asked_again),
    (Control.RETURNING, events.Returned): Transition(Control.BOT, _returned),
    (Control.BOT, events.TranscriptRead): Transition(Control.BOT, _nothing),  # the handoff is over
    # Offered again to a desk that lost its database.
    (Control.WAITING, events.HandoffAccepted): Transition(Control.WAITING, handoff_start.accepted_again),
    (Control.WAITING, events.HandoffRefused): Transition(Control.RETURNING, handoff_start.refused_again),
    # Timers.
    (Control.WAITING, events.NobodyCame): Transition(Control.WAITING, _nobody_came),
    (Control.MESSAGE, events.MessageTimedOut): _ended_by_relay("customer_left", names.UTTER_LEFT),
    (Control.OFFLINE_MESSAGE, events.MessageTimedOut): Transition(Control.RETURNING, leave_message.given_up),
    (Control.OFFLINE_MESSAGE, events.SilenceTooLong): Transition(Control.RETURNING, leave_message.given_up),
    (Control.CONTACT, events.MessageTimedOut): Transition(Control.RETURNING, leave_message.without_contact),
    (Control.CONTACT, events.SilenceTooLong): Transition(Control.RETURNING, leave_message.without_contact),
    (Control.LIVE, events.AgentFellSilent): _ended_by_relay("agent_gone", names.UTTER_FAILED),
    (Control.LEAVING, events.AgentFellSilent): _ended_by_relay("agent_gone", names.UTTER_FAILED),
    (Control.LIVE, events.CustomerFellSilent): Transition(Control.LIVE, _are_you_there),
    (Control.LEAVING, events.CustomerFellSilent): Transition(Control.LIVE, _are_you_there),
    (Control.LIVE, events.CustomerIsGone): _ended_by_relay("customer_silent", names.UTTER_FELL_SILENT),
    (Control.LEAVING, events.CustomerIsGone): _ended_by_relay("customer_silent", names.UTTER_FELL_SILENT),
    (Control.WAITING, events.CustomerChoseToWait): Transition(Control.WAITING, _goes_on_waiting),
    (Control.WAITING, events.CustomerWantsToWrite): Transition(Control.MESSAGE, leave_message.wants_to_write),
    (Control.WAITING, events.NobodyWillCome): _ended_by_relay("nobody_available", names.UTTER_NOBODY),
    (Control.RETURNING, events.ReturnTimedOut): Transition(Control.BOT, _returned_without_tracker),
    # The tracker could be written only after ReturnTimedOut, and the bot has spoken.
    (Control.BOT, events.Returned): Transition(Control.BOT, _returned),
    # The desk's events may cross with a change of state. Those that are legal in every active state follow.
    (Control.LIVE, events.PositionChanged): Transition(Control.LIVE, _nothing),
    (Control.LEAVING, events.PositionChanged): Transition(Control.LEAVING, _nothing),
}

for _state in Control:
    if _state in DESK_ACTIVE:
        TABLE[_state, events.DeskLost] = Transition(_state, _desk_lost)
        TABLE[_state, events.DeskBack] = Transition(_state, _desk_back)
        TABLE[_state, events.DeskForgot] = Transition(Control.WAITING, handoff_start.offered_again)
        TABLE[_state, events.DeskStayedAway] = _ended_by_relay("desk_unreachable", names.UTTER_UNREACHABLE)
        TABLE[_state, events.SilenceTooLong] = _ended_by_relay("silence", names.UTTER_FELL_SILENT)
# While a conversation returns, or a message was left and the contact is asked for, the desk's events, its absence and the
# customer's silence change nothing, except where the table has a rule above.
for _event in (
    events.PositionChanged,
    events.AgentJoined,
    events.HandoffTransferred,
    events.HandoffCompleted,
    events.HandoffFailed,
    events.DeskLost,
    events.DeskBack,
    events.DeskForgot,
    events.DeskStayedAway,
    events.SilenceTooLong,
):
    TABLE[Control.RETURNING, _event] = Transition(Control.RETURNING, _nothing)
    TABLE.setdefault((Control.CONTACT, _event), Transition(Control.CONTACT, _nothing))

# A transcript that couldn't be read in time is sent later, in every state that has no rule for it above.
for _state in Control:
    TABLE.setdefault((_state, events.TranscriptRead), Transition(_state, handoff_start.late_transcript))

MACHINE: Final = StateMachine(TABLE, state_field="state", illegal=_illegal)
