"""The desk's timers: in which stages each runs, what starts and stops it, and which event it becomes when it is due.

Every stage has a timed way out. ``tests/core/test_assignment_timers.py`` checks this: from every stage, with any subset of the
optional timers switched off, the conversation ends.
"""

from typing import Final

from rasa_handoff.core.assignment import Assignment, Stage
from rasa_handoff.core.assignment_events import (
    AgentCame,
    AgentLeft,
    AgentSilent,
    AgentWrote,
    AssignmentEvent,
    ConversationIdle,
    CustomerSilent,
    CustomerWrote,
    Delivered,
    NobodyTook,
    Released,
    Taken,
    Undelivered,
)
from rasa_handoff.core.state_machine import Timing
from rasa_handoff.protocol.values import Value


class DeskTimers(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each of the desk's timers runs, in seconds. None switches a timer off, except ``silence`` and ``message``.

    ``nobody_takes``: until the bot's side is notified that nobody has taken a conversation, and then between two notifications.
    ``agent_silent``: until the agent is reminded of an unanswered customer, then until other agents may take it over, then until
    it is queued again. ``agent_gone``: how long an agent whose desk is closed keeps their conversations. ``customer_silent``:
    after the agent's message was delivered, or has begun to wait for a customer who is away, until the customer is asked whether
    they are there; then until the conversation ends. ``silence``: until a conversation ends in which neither side writes.
    ``message``: how long a message that was left is kept.
    """

    nobody_takes: float | None = 300
    agent_silent: float | None = 180
    agent_gone: float | None = 300
    customer_silent: float | None = 600
    silence: float = 86400
    message: float = 30 * 86400

    def seconds(self, kind: str) -> float | None:
        """Return how long a timer of this kind runs; None if it is switched off."""
        value: float | None = getattr(self, kind)
        return value


SWITCHABLE: Final = ("nobody_takes", "agent_silent", "agent_gone", "customer_silent")
"""The timers that can be switched off."""


TIMINGS: Final[dict[str, Timing[Stage, Assignment, AssignmentEvent]]] = {
    "nobody_takes": Timing(
        states=frozenset({Stage.QUEUED}),
        event=NobodyTook,
        on_entering=True,
        restarts=(NobodyTook,),
    ),
    "agent_silent": Timing(
        states=frozenset({Stage.ASSIGNED}),
        event=AgentSilent,
        on_entering=True,
        concerns=lambda assignment: assignment.agent,
        starts=(CustomerWrote,),
        restarts=(AgentSilent,),
        stops=(AgentWrote,),
    ),
    "agent_gone": Timing(
        states=frozenset({Stage.ASSIGNED}),
        event=Released,
        starts=(AgentLeft,),
        stops=(AgentCame, Taken),
    ),
    "customer_silent": Timing(
        states=frozenset({Stage.ASSIGNED}),
        event=CustomerSilent,
        restarts=(Delivered, Undelivered, CustomerSilent),
        stops=(CustomerWrote,),
    ),
    "silence": Timing(
        states=frozenset({Stage.QUEUED, Stage.ASSIGNED}),
        event=ConversationIdle,
        on_entering=True,
        restarts=(CustomerWrote, AgentWrote, Taken),
    ),
    "message": Timing(
        states=frozenset({Stage.MESSAGE}),
        event=ConversationIdle,
        on_entering=True,
        restarts=(CustomerWrote, AgentWrote),
    ),
}
