"""Which timers of the desk run in which stage, what starts and stops them, and what they are when they ring.

No stage is without a timed way out. ``tests/server/test_desk_timing.py`` walks it: from every stage, with every subset of the
timers that can be switched off, the conversation ends.
"""

from collections.abc import Iterable
from typing import Final

from rasa_handoff.thinking import desk_events as d
from rasa_handoff.thinking.assignment import Assignment, Stage
from rasa_handoff.vocabulary.values import Value


class DeskTimers(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each state may last at the desk, in seconds; None switches a timer off, ``silence`` and ``message`` can't be.

    ``nobody_takes``: until the bot's side hears that nobody has taken a conversation, and again each time. ``agent_silent``:
    until the agent is reminded of the customer's words, then the others, then it is queued again. ``agent_gone``: how long a
    closed desk keeps its conversations. ``customer_silent``: since what the agent said was delivered, until the customer is
    asked whether they are there, then until it ends. ``silence``: of both sides. ``message``: how long one that was left is kept.
    """

    nobody_takes: float | None = 300
    agent_silent: float | None = 180
    agent_gone: float | None = 300
    customer_silent: float | None = 600
    silence: float = 86400
    message: float = 30 * 86400

    def seconds(self, kind: str) -> float | None:
        """How long the timer of this kind runs; None if it is off."""
        value: float | None = getattr(self, kind)
        return value


SWITCHABLE: Final = ("nobody_takes", "agent_silent", "agent_gone", "customer_silent")


class Timing(Value, frozen=True, kw_only=True):
    """One kind of timer. It runs in ``stages``, starts by ``starts``, begins anew by ``renews``, and stops by ``stops`` or on
    leaving the stages. ``enters``: it starts on entering them; ``anew``: another agent counts as entering."""

    stages: frozenset[Stage]
    rings: type[d.Event]
    enters: bool = False
    anew: bool = False
    starts: tuple[type[d.Event], ...] = ()
    renews: tuple[type[d.Event], ...] = ()
    stops: tuple[type[d.Event], ...] = ()


TIMINGS: Final[dict[str, Timing]] = {
    "nobody_takes": Timing(stages=frozenset({Stage.QUEUED}), rings=d.NobodyTook, enters=True, renews=(d.NobodyTook,)),
    "agent_silent": Timing(
        stages=frozenset({Stage.ASSIGNED}),
        rings=d.AgentSilent,
        enters=True,
        anew=True,
        starts=(d.CustomerSaid,),
        renews=(d.AgentSilent,),
        stops=(d.AgentSaid,),
    ),
    "agent_gone": Timing(
        stages=frozenset({Stage.ASSIGNED}), rings=d.Released, starts=(d.AgentLeft,), stops=(d.AgentCame, d.Taken)
    ),
    "customer_silent": Timing(
        stages=frozenset({Stage.ASSIGNED}),
        rings=d.CustomerSilent,
        renews=(d.Delivered, d.CustomerSilent),
        stops=(d.CustomerSaid,),
    ),
    "silence": Timing(
        stages=frozenset({Stage.QUEUED, Stage.ASSIGNED}),
        rings=d.SilenceTooLong,
        enters=True,
        renews=(d.CustomerSaid, d.AgentSaid, d.Taken),
    ),
    "message": Timing(
        stages=frozenset({Stage.MESSAGE}), rings=d.SilenceTooLong, enters=True, renews=(d.CustomerSaid, d.AgentSaid)
    ),
}


def rung(kind: str, at: float, seconds: float) -> d.Event:
    """The event a timer of this kind is; ``seconds`` is how long it ran."""
    rings = TIMINGS[kind].rings
    return rings(at=at, seconds=seconds) if rings in (d.AgentSilent, d.CustomerSilent) else rings(at=at)


def timers(
    before: Assignment | None, after: Assignment, event: d.Event, running: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The kinds to start (or start anew) and the kinds to stop because of this event."""
    running = frozenset(running)
    start, stop = set(), set()
    for kind, timing in TIMINGS.items():
        if after.stage not in timing.stages or isinstance(event, timing.stops):
            stop |= {kind} & running
        elif _starts(timing, before, after, event, kind in running):
            start.add(kind)
    return frozenset(start), frozenset(stop)


def _starts(timing: Timing, before: Assignment | None, after: Assignment, event: d.Event, runs: bool) -> bool:
    if isinstance(event, timing.renews):
        return True
    if isinstance(event, timing.starts):
        return not runs
    return timing.enters and _entered(timing, before, after)


def _entered(timing: Timing, before: Assignment | None, after: Assignment) -> bool:
    if before is None or before.stage not in timing.stages:
        return True
    return timing.anew and before.agent != after.agent
