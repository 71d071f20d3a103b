"""The assignment of a conversation at the desk, as one state table without I/O.

The rules:

- A conversation is queued, assigned to exactly one agent, a message left to be answered, or ended. An ended one never reopens:
  a new handoff has a new id.
- :data:`TABLE` says what an event does in a stage, as explained in :mod:`~rasa_handoff.core.state_machine`. A missing key is an
  illegal event and raises :class:`Refused`.
- An illegal event changes nothing. A repeated event (a lost answer, both sides ending at once) does nothing.
- :func:`step` runs in the transaction that also writes its result, so only one of two agents who take the same conversation
  gets it.
- Events carry the time. The timers are defined in :mod:`~rasa_handoff.core.assignment_timers`.
"""

import enum
from typing import Final

from msgspec.structs import replace

from rasa_handoff.core.assignment_events import (
    AgentCame,
    AgentLeft,
    AgentSilent,
    AgentWrote,
    Arrived,
    AssignmentEffect,
    AssignmentEvent,
    ConversationIdle,
    CustomerEnded,
    CustomerSilent,
    CustomerWrote,
    Delivered,
    KeepMessage,
    MessageLeft,
    NobodyTook,
    RelayLost,
    Released,
    RemindAgent,
    Resolved,
    SendStatus,
    Taken,
    Transferred,
    Undelivered,
)
from rasa_handoff.core.state_machine import StateMachine, Transition
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Agent, Speaker, Value


class Stage(str, enum.Enum):
    """The stages of a conversation at the desk."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    MESSAGE = "message"
    ENDED = "ended"


class Ending(Value, frozen=True):
    """The end of a conversation. ``outcome``: as chosen by the agent, or the reason why the customer's side ended it."""

    outcome: str
    note: str | None
    at: float


class Assignment(Value, frozen=True):
    """A conversation at the desk: its stage, the current or last agent, and since when.

    ``ahead``: queued before others of the same priority. ``reminders``: how many times in a row the agent was reminded of an
    unanswered customer; after :data:`HELP_AFTER` any agent may take it over. ``asked``: the customer was asked whether they are
    still there. ``answered``: the agent has written since they took it; in the stage ``MESSAGE``, any agent has
    written since the message was left.
    """

    stage: Stage
    department: str | None
    queued_at: float
    agent: Agent | None = None
    assigned_at: float | None = None
    ahead: bool = False
    reminders: int = 0
    asked: bool = False
    answered: bool = False
    ended: Ending | None = None


AssignmentStep = tuple[Assignment, tuple[AssignmentEffect, ...]]

ENDED_SENTENCE: Final = "This conversation has ended."
HELP_AFTER: Final = 2
"""Unanswered reminders after which any agent may take a conversation over; after one more it is queued again."""


def step(assignment: Assignment | None, event: AssignmentEvent) -> AssignmentStep:
    """Return the assignment after the event, and the effects. ``assignment`` is None for a conversation that isn't known yet.

    Raises:
        Refused: the event is illegal in this stage; its code is ``unknown_handoff``, ``ended``, ``taken``, ``not_yours`` or
            ``invalid``.
    """
    return MACHINE.step(assignment, event)


def _arrive(_: None, event: Arrived) -> AssignmentStep:
    assignment = Assignment(stage=Stage.QUEUED, department=event.department, queued_at=event.at, ahead=event.ahead)
    return assignment, ()


def _take(assignment: Assignment, event: Taken) -> AssignmentStep:
    notice = SendStatus(status="accepted", details={"agent": {"id": event.agent.id, "name": event.agent.name}})
    fresh = {"ahead": False, "reminders": 0, "asked": False, "answered": False}
    return replace(assignment, agent=event.agent, assigned_at=event.at, **fresh), (notice,)


def _take_again(assignment: Assignment, event: Taken) -> AssignmentStep:
    assert assignment.agent is not None
    if assignment.agent.id == event.agent.id:
        return assignment, ()
    if assignment.reminders < HELP_AFTER:
        raise Refused("taken", f"{assignment.agent.name} took this conversation a moment ago.")
    return _take(assignment, event)


def _keep_customer_message(assignment: Assignment, event: CustomerWrote) -> AssignmentStep:
    return replace(assignment, asked=False), (
        KeepMessage(speaker=Speaker.CUSTOMER, id=event.id, text=event.text, at=event.at, parts=event.parts),
    )


def _keep_agent_message(assignment: Assignment, event: AgentWrote) -> AssignmentStep:
    _must_have(assignment, event.agent)
    return replace(assignment, reminders=0, answered=True), (
        KeepMessage(
            speaker=Speaker.AGENT, id=event.id, text=event.text, at=event.at, agent=event.agent, parts=event.parts
        ),
    )


def _transfer(assignment: Assignment, event: Transferred) -> AssignmentStep:
    _must_have(assignment, event.agent)
    return _queued_again(assignment, event.department, event.at)


def _release(assignment: Assignment, event: Released) -> AssignmentStep:
    return _queued_again(assignment, assignment.department, assignment.queued_at, ahead=True)


def _queued_again(assignment: Assignment, department: str | None, since: float, ahead: bool = False) -> AssignmentStep:
    notice = SendStatus(status="transferred", details={"department": department})
    queued = Assignment(stage=Stage.QUEUED, department=department, queued_at=since, ahead=ahead)
    return queued, (notice,)


def _resolve(assignment: Assignment, event: Resolved) -> AssignmentStep:
    _must_have(assignment, event.agent)
    details = {"outcome": event.outcome, "note": event.note, "slots": event.slots}
    return _ended(assignment, event.outcome, event.note, event.at), (SendStatus(status="completed", details=details),)


def _resolve_again(assignment: Assignment, event: Resolved) -> AssignmentStep:
    _must_have(assignment, event.agent)
    assert assignment.ended is not None
    if (assignment.ended.outcome, assignment.ended.note) != (event.outcome, event.note):
        raise Refused("ended", ENDED_SENTENCE)
    return assignment, ()


def _end_by_customer(assignment: Assignment, event: CustomerEnded) -> AssignmentStep:
    return _ended(assignment, event.reason, None, event.at), ()


def _nothing(assignment: Assignment, _: AssignmentEvent) -> AssignmentStep:
    return assignment, ()


# Messages left by customers: every agent who can see one may answer it


def _leave_message(assignment: Assignment, _: MessageLeft) -> AssignmentStep:
    return replace(assignment, ahead=False, reminders=0, asked=False, answered=False), ()


def _answer_message(assignment: Assignment, event: AgentWrote) -> AssignmentStep:
    return _keep_agent_message(replace(assignment, agent=event.agent), event)


def _resolve_message(assignment: Assignment, event: Resolved) -> AssignmentStep:
    # The conversation is back with the bot, so the customer's side gets no status.
    return _ended(replace(assignment, agent=event.agent), event.outcome, event.note, event.at), ()


# Timers


def _report_unanswered(assignment: Assignment, event: NobodyTook) -> AssignmentStep:
    return assignment, (SendStatus(status="unanswered", details={"seconds": event.at - assignment.queued_at}),)


def _remind_agent(assignment: Assignment, event: AgentSilent) -> AssignmentStep:
    assert assignment.agent is not None
    if assignment.reminders >= HELP_AFTER:
        return _release(assignment, Released(at=event.at))
    reminders = assignment.reminders + 1
    return replace(assignment, reminders=reminders), (
        RemindAgent(agent=assignment.agent, seconds=reminders * event.seconds),
    )


def _ask_customer(assignment: Assignment, event: CustomerSilent) -> AssignmentStep:
    if assignment.asked:
        return _end_failed(assignment, "customer_silent", event.at)
    return replace(assignment, asked=True), (SendStatus(status="customer_silent", details={"seconds": event.seconds}),)


def _expect_answer(assignment: Assignment, _: Delivered | Undelivered) -> AssignmentStep:
    return replace(assignment, asked=False), ()


def _end_silent(assignment: Assignment, event: ConversationIdle) -> AssignmentStep:
    return _end_failed(assignment, "silence", event.at)


def _end_message(assignment: Assignment, event: ConversationIdle) -> AssignmentStep:
    return _ended(assignment, "silence", None, event.at), ()


def _end_lost(assignment: Assignment, event: RelayLost) -> AssignmentStep:
    return _ended(assignment, "relay_lost_it", None, event.at), ()


def _end_failed(assignment: Assignment, reason: str, at: float) -> AssignmentStep:
    return _ended(assignment, reason, None, at), (SendStatus(status="failed", details={"reason": reason}),)


TABLE: Final[dict[tuple[Stage | None, type[AssignmentEvent]], Transition[Stage, Assignment, AssignmentEffect]]] = {
    (None, Arrived): Transition(Stage.QUEUED, _arrive),
    (Stage.QUEUED, Arrived): Transition(Stage.QUEUED, _nothing),
    (Stage.QUEUED, Taken): Transition(Stage.ASSIGNED, _take),
    (Stage.QUEUED, CustomerWrote): Transition(Stage.QUEUED, _keep_customer_message),
    (Stage.QUEUED, CustomerEnded): Transition(Stage.ENDED, _end_by_customer),
    (Stage.ASSIGNED, Arrived): Transition(Stage.ASSIGNED, _nothing),
    (Stage.ASSIGNED, Taken): Transition(Stage.ASSIGNED, _take_again),
    (Stage.ASSIGNED, CustomerWrote): Transition(Stage.ASSIGNED, _keep_customer_message),
    (Stage.ASSIGNED, AgentWrote): Transition(Stage.ASSIGNED, _keep_agent_message),
    (Stage.ASSIGNED, Transferred): Transition(Stage.QUEUED, _transfer),
    (Stage.ASSIGNED, Released): Transition(Stage.QUEUED, _release),
    (Stage.ASSIGNED, Resolved): Transition(Stage.ENDED, _resolve),
    (Stage.ASSIGNED, CustomerEnded): Transition(Stage.ENDED, _end_by_customer),
    (Stage.MESSAGE, Arrived): Transition(Stage.MESSAGE, _nothing),
    (Stage.MESSAGE, Taken): Transition(Stage.MESSAGE, _nothing),
    (Stage.MESSAGE, CustomerWrote): Transition(Stage.MESSAGE, _keep_customer_message),
    (Stage.MESSAGE, AgentWrote): Transition(Stage.MESSAGE, _answer_message),
    (Stage.MESSAGE, Resolved): Transition(Stage.ENDED, _resolve_message),
    (Stage.MESSAGE, CustomerEnded): Transition(Stage.ENDED, _end_by_customer),
    (Stage.QUEUED, MessageLeft): Transition(Stage.MESSAGE, _leave_message),
    # An agent took it while the customer was writing.
    (Stage.ASSIGNED, MessageLeft): Transition(Stage.MESSAGE, _leave_message),
    (Stage.MESSAGE, MessageLeft): Transition(Stage.MESSAGE, _nothing),
    (Stage.ENDED, Arrived): Transition(Stage.ENDED, _nothing),
    (Stage.ENDED, CustomerWrote): Transition(Stage.ENDED, _keep_customer_message),  # it crossed with the end
    (Stage.ENDED, MessageLeft): Transition(Stage.ENDED, _nothing),
    (Stage.ENDED, Resolved): Transition(Stage.ENDED, _resolve_again),
    (Stage.ENDED, CustomerEnded): Transition(Stage.ENDED, _nothing),
    (Stage.QUEUED, RelayLost): Transition(Stage.ENDED, _end_lost),
    (Stage.ASSIGNED, RelayLost): Transition(Stage.ENDED, _end_lost),
    (Stage.MESSAGE, RelayLost): Transition(Stage.ENDED, _end_lost),
    (Stage.ENDED, RelayLost): Transition(Stage.ENDED, _nothing),
    (Stage.ASSIGNED, Delivered): Transition(Stage.ASSIGNED, _expect_answer),
    (Stage.ASSIGNED, Undelivered): Transition(Stage.ASSIGNED, _expect_answer),
    (Stage.ASSIGNED, AgentLeft): Transition(Stage.ASSIGNED, _nothing),
    (Stage.ASSIGNED, AgentCame): Transition(Stage.ASSIGNED, _nothing),
    (Stage.QUEUED, NobodyTook): Transition(Stage.QUEUED, _report_unanswered),
    (Stage.ASSIGNED, AgentSilent): Transition(Stage.ASSIGNED, _remind_agent, otherwise=Stage.QUEUED),
    (Stage.ASSIGNED, CustomerSilent): Transition(Stage.ASSIGNED, _ask_customer, otherwise=Stage.ENDED),
    (Stage.QUEUED, ConversationIdle): Transition(Stage.ENDED, _end_silent),
    (Stage.ASSIGNED, ConversationIdle): Transition(Stage.ENDED, _end_silent),
    (Stage.MESSAGE, ConversationIdle): Transition(Stage.ENDED, _end_message),
}
"""(stage, event) -> the stage afterwards and the rule. The stage None is a conversation that isn't known yet."""


def _illegal(assignment: Assignment | None, event: AssignmentEvent) -> Refused:
    if assignment is None:
        return Refused("unknown_handoff", "This conversation isn't known here.")
    if assignment.stage is Stage.ENDED:
        return Refused("ended", ENDED_SENTENCE)
    if assignment.stage is Stage.MESSAGE:
        return Refused("invalid", "The customer left a message. It can be answered and resolved.")
    return Refused("not_yours", "Nobody has taken this conversation yet. Take it first.")


def _must_have(assignment: Assignment, agent: Agent) -> None:
    if assignment.agent is None:
        raise Refused("ended", ENDED_SENTENCE)
    if assignment.agent.id != agent.id:
        raise Refused("not_yours", f"{assignment.agent.name} has this conversation.")


def _ended(assignment: Assignment, outcome: str, note: str | None, at: float) -> Assignment:
    ending = Ending(outcome=outcome, note=note, at=at)
    return replace(assignment, stage=Stage.ENDED, ended=ending, ahead=False, reminders=0, asked=False)


MACHINE: Final = StateMachine(TABLE, state_field="stage", illegal=_illegal)
