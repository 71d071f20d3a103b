"""State machines as tables, without I/O: what an event changes, and which timers it starts and stops.

There are two: who is active in a conversation (``control.py``, in the relay), and who has it at the desk (``assignment.py``, in
the live-agent server). Each has

- a table of transitions. Its keys are pairs of a state and a type of event; an event without a key is illegal in this state;
- rules. A rule is a function that takes the subject (what has the state) and the event, and returns the changed subject and the
  effects. The table sets the state afterwards, so the rule doesn't;
- timings: for each kind of timer, in which states it runs, what starts and stops it, and which event it becomes when it is due.

Nothing is carried out here. The caller stores the subject, the effects and the timers in one transaction.
"""

import enum
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

StateT = TypeVar("StateT", bound=enum.Enum)
SubjectT = TypeVar("SubjectT", bound=msgspec.Struct)
EventT = TypeVar("EventT", bound=msgspec.Struct)
EffectT = TypeVar("EffectT")


@dataclass(frozen=True)
class Transition(Generic[StateT, SubjectT, EffectT]):
    """The change that an event makes in one state.

    ``state``: the state afterwards. ``rule`` takes the subject (None where there isn't one yet) and the event. ``otherwise``:
    the other state that this rule may lead to, by setting it in the subject that it returns.
    """

    state: StateT
    rule: Callable[[Any, Any], tuple[SubjectT, tuple[EffectT, ...]]]
    otherwise: StateT | None = None


@dataclass(frozen=True, kw_only=True)
class Timing(Generic[StateT, SubjectT, EventT]):
    """The rules of one kind of timer.

    It runs only in ``states`` and stops on leaving them. ``event``: what it becomes when it is due. ``on_entering``: entering the
    states starts it. ``concerns``: returns whom the timer is about. If that changes, for example to another agent, the
    states count as entered again.

    Events of ``starts`` start it unless it runs, those of ``restarts`` start it from the beginning whether it runs or not, those
    of ``prolongs`` only if it runs, and those of ``stops`` stop it.
    """

    states: frozenset[StateT]
    event: type[EventT]
    on_entering: bool = False
    concerns: Callable[[SubjectT], object] | None = None
    starts: tuple[type[EventT], ...] = ()
    restarts: tuple[type[EventT], ...] = ()
    prolongs: tuple[type[EventT], ...] = ()
    stops: tuple[type[EventT], ...] = ()

    def due_event(self, **details: Any) -> EventT:
        """Return the event that this timer becomes when it is due, with those of the details that the event has fields for."""
        fields = self.event.__struct_fields__
        return self.event(**{name: value for name, value in details.items() if name in fields})


class StateMachine(Generic[StateT, SubjectT, EventT, EffectT]):
    """A table of transitions, and what can be done with it.

    ``state_field``: the field of the subject that holds its state. ``illegal`` makes the error for an event that has no key; it
    gets the subject (None where there isn't one yet) and the event.
    """

    def __init__(
        self,
        table: Mapping[tuple[StateT | None, type[EventT]], Transition[StateT, SubjectT, EffectT]],
        state_field: str,
        illegal: Callable[[SubjectT | None, EventT], Exception],
    ) -> None:
        self._table, self._state_field, self._illegal = table, state_field, illegal

    def step(self, subject: SubjectT | None, event: EventT) -> tuple[SubjectT, tuple[EffectT, ...]]:
        """Return the subject after the event, and the effects. The subject that was given isn't changed.

        Raises:
            Exception: the one made by ``illegal``, if the table has no such pair of state and event.
        """
        transition = self._table.get((self._state_of(subject), type(event)))
        if transition is None:
            raise self._illegal(subject, event)
        after, effects = transition.rule(subject, event)
        if self._state_of(after) not in (transition.state, transition.otherwise):
            after = msgspec.structs.replace(after, **{self._state_field: transition.state})
        return after, effects

    def timer_changes(
        self,
        timings: Mapping[str, Timing[StateT, SubjectT, EventT]],
        before: SubjectT | None,
        after: SubjectT,
        event: EventT,
        running: Collection[str],
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return the kinds of timers to start, and the kinds to stop, after an event.

        A running timer that is started again runs from the beginning.

        ``timings``: by kind. ``before`` and ``after``: the subject. ``running``: the kinds that run already.
        """
        start, stop = set(), set()
        for kind, timing in timings.items():
            runs = kind in running
            if self._state_of(after) not in timing.states or isinstance(event, timing.stops):
                stop |= {kind} if runs else set()
            elif self._starts(timing, before, after, event, runs):
                start.add(kind)
        return frozenset(start), frozenset(stop)

    def _starts(
        self,
        timing: Timing[StateT, SubjectT, EventT],
        before: SubjectT | None,
        after: SubjectT,
        event: EventT,
        runs: bool,
    ) -> bool:
        if isinstance(event, timing.restarts):
            return True
        if isinstance(event, timing.prolongs):
            return runs
        if isinstance(event, timing.starts):
            return not runs
        return timing.on_entering and self._enters(timing, before, after)

    def _enters(self, timing: Timing[StateT, SubjectT, EventT], before: SubjectT | None, after: SubjectT) -> bool:
        if before is None or self._state_of(before) not in timing.states:
            return True
        return timing.concerns is not None and timing.concerns(before) != timing.concerns(after)

    def drawing(self, first: StateT | None = None) -> str:
        """Return the table as a Mermaid state diagram: one arrow for each pair of states, labelled with its events.

        ``first``: the state that every subject begins in. None: an event makes the subject, by a key with the state None.
        """
        arrows: dict[tuple[StateT | None, StateT], list[str]] = {}
        for (state, event), transition in self._table.items():
            for following in (transition.state, transition.otherwise):
                if following is not None:
                    arrows.setdefault((state, following), []).append(_words(event.__name__))
        lines = [f"  {_point(start)} --> {end.value}: {', '.join(events)}" for (start, end), events in arrows.items()]
        return "\n".join(["stateDiagram-v2", *([f"  [*] --> {first.value}"] if first else []), *lines])

    def _state_of(self, subject: SubjectT | None) -> StateT | None:
        state: StateT | None = None if subject is None else getattr(subject, self._state_field)
        return state


def _words(name: str) -> str:
    """Return the name of an event as in a sentence: ``HandoffRequested`` as ``handoff requested``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _point(state: enum.Enum | None) -> str:
    return "[*]" if state is None else str(state.value)
