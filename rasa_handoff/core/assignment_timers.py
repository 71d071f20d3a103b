"""The desk's timers: in which stages each runs, what starts and stops it, and which event it becomes when it is due.

Every stage has a timed way out. ``tests/core/test_assignment_timers.py`` checks this: from every stage, with any subset of the
optional timers switched off, the conversation ends.
"""

from collections.abc import Iterable
from typing import Final

from rasa_handoff.core import assignment_events
from rasa_handoff.core.assignment import Assignment, Stage
from rasa_handoff.protocol.values import Value


class DeskTimers(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each state may last at the desk, in seconds. None switches a timer off, except ``silence`` and ``message``.

    ``nobody_takes``: until the bot's side is notified that nobody has taken a conversation, each time. ``agent_silent``: until
    the agent is reminded of an unanswered customer, then until other agents may take it over, then until it is queued again.
    ``agent_gone``: how long an agent whose desk is closed keeps their conversations. ``customer_silent``: after delivery of the
    agent's message, until the customer is asked whether they are there; then until the conversation ends. ``silence``: until a
    conversation ends in which neither side writes. ``message``: how long a message that was left is kept.
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


class Timing(Value, frozen=True, kw_only=True):
    """The rules of one kind of timer.

    It runs only in ``stages`` and stops on leaving them, or on an event of ``stops``. An event of ``starts`` starts it, one of
    ``renews`` starts it again from the beginning. ``enters``: it also starts on entering the stages; ``anew``: a change of the
    agent counts as entering.
    """

    stages: frozenset[Stage]
    event: type[assignment_events.AssignmentEvent]
    enters: bool = False
    anew: bool = False
    starts: tuple[type[assignment_events.AssignmentEvent], ...] = ()
    renews: tuple[type[assignment_events.AssignmentEvent], ...] = ()
    stops: tuple[type[assignment_events.AssignmentEvent], ...] = ()


TIMINGS: Final[dict[str, Timing]] = {
    "nobody_takes": Timing(
        stages=frozenset({Stage.QUEUED}),
        event=assignment_events.NobodyTook,
        enters=True,
        renews=(assignment_events.NobodyTook,),
    ),
    "agent_silent": Timing(
        stages=frozenset({Stage.ASSIGNED}),
        event=assignment_events.AgentSilent,
        enters=True,
        anew=True,
        starts=(assignment_events.CustomerWrote,),
        renews=(assignment_events.AgentSilent,),
        stops=(assignment_events.AgentWrote,),
    ),
    "agent_gone": Timing(
        stages=frozenset({Stage.ASSIGNED}),
        event=assignment_events.Released,
        starts=(assignment_events.AgentLeft,),
        stops=(assignment_events.AgentCame, assignment_events.Taken),
    ),
    "customer_silent": Timing(
        stages=frozenset({Stage.ASSIGNED}),
        event=assignment_events.CustomerSilent,
        renews=(assignment_events.Delivered, assignment_events.CustomerSilent),
        stops=(assignment_events.CustomerWrote,),
    ),
    "silence": Timing(
        stages=frozenset({Stage.QUEUED, Stage.ASSIGNED}),
        event=assignment_events.ConversationIdle,
        enters=True,
        renews=(assignment_events.CustomerWrote, assignment_events.AgentWrote, assignment_events.Taken),
    ),
    "message": Timing(
        stages=frozenset({Stage.MESSAGE}),
        event=assignment_events.ConversationIdle,
        enters=True,
        renews=(assignment_events.CustomerWrote, assignment_events.AgentWrote),
    ),
}


def due_event(kind: str, at: float, seconds: float) -> assignment_events.AssignmentEvent:
    """Return the event that a due timer of this kind becomes; ``seconds``: how long it ran."""
    event = TIMINGS[kind].event
    return (
        event(at=at, seconds=seconds)
        if event in (assignment_events.AgentSilent, assignment_events.CustomerSilent)
        else event(at=at)
    )


def timers(
    before: Assignment | None, after: Assignment, event: assignment_events.AssignmentEvent, running: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the kinds of timers to start (or restart) and the kinds to stop because of this event."""
    running = frozenset(running)
    start, stop = set(), set()
    for kind, timing in TIMINGS.items():
        if after.stage not in timing.stages or isinstance(event, timing.stops):
            stop |= {kind} & running
        elif _starts(timing, before, after, event, kind in running):
            start.add(kind)
    return frozenset(start), frozenset(stop)


def _starts(
    timing: Timing, before: Assignment | None, after: Assignment, event: assignment_events.AssignmentEvent, runs: bool
) -> bool:
    if isinstance(event, timing.renews):
        return True
    if isinstance(event, timing.starts):
        return not runs
    return timing.enters and _entered(timing, before, after)


def _entered(timing: Timing, before: Assignment | None, after: Assignment) -> bool:
    if before is None or before.stage not in timing.stages:
        return True
    return timing.anew and before.agent != after.agent
