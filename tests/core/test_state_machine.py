"""The kit of both state machines, with a small machine of its own: a lamp that goes off by itself."""

import enum

import pytest

from rasa_handoff.core.state_machine import StateMachine, Timing, Transition
from rasa_handoff.protocol.values import Value


class Light(enum.Enum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


class Lamp(Value, frozen=True):
    light: Light = Light.OFF
    owner: str = "Thandi"
    switched: int = 0


class Event(Value, frozen=True):
    at: float = 0.0


class Bought(Event, frozen=True, kw_only=True):
    owner: str


class Switched(Event, frozen=True, kw_only=True):
    pass


class Dropped(Event, frozen=True, kw_only=True):
    pass


class Moved(Event, frozen=True, kw_only=True):
    pass


class Sold(Event, frozen=True, kw_only=True):
    owner: str


class Burnt(Event, frozen=True, kw_only=True):
    seconds: float


def bought(_: None, event: Bought) -> tuple[Lamp, tuple[str, ...]]:
    return Lamp(owner=event.owner), ("unpack",)


def switched(lamp: Lamp, _: Event) -> tuple[Lamp, tuple[str, ...]]:
    return Lamp(light=lamp.light, owner=lamp.owner, switched=lamp.switched + 1), ("click",)


def dropped(lamp: Lamp, _: Dropped) -> tuple[Lamp, tuple[str, ...]]:
    return (Lamp(light=Light.BROKEN), ("crash",)) if lamp.switched > 1 else (lamp, ())


def sold(lamp: Lamp, event: Sold) -> tuple[Lamp, tuple[str, ...]]:
    return Lamp(light=lamp.light, owner=event.owner), ()


def nothing(lamp: Lamp, _: Event) -> tuple[Lamp, tuple[str, ...]]:
    return lamp, ()


TABLE: dict[tuple[Light | None, type[Event]], Transition[Light, Lamp, str]] = {
    (None, Bought): Transition(Light.OFF, bought),
    (Light.OFF, Switched): Transition(Light.ON, switched),
    (Light.ON, Switched): Transition(Light.OFF, switched),
    (Light.ON, Dropped): Transition(Light.ON, dropped, otherwise=Light.BROKEN),
    (Light.ON, Moved): Transition(Light.ON, nothing),
    (Light.ON, Sold): Transition(Light.ON, sold),
    (Light.ON, Burnt): Transition(Light.OFF, nothing),
}


def illegal(lamp: Lamp | None, event: Event) -> Exception:
    return LookupError(f"{type(event).__name__} {lamp and lamp.light.value}")


MACHINE = StateMachine(TABLE, state_field="light", illegal=illegal)
ON, OFF, BROKEN = Lamp(light=Light.ON, switched=1), Lamp(), Lamp(light=Light.BROKEN)


def test_the_table_says_the_state_afterwards() -> None:
    assert MACHINE.step(None, Bought(owner="Sipho")) == (Lamp(owner="Sipho"), ("unpack",))
    assert MACHINE.step(OFF, Switched()) == (ON, ("click",))
    assert Lamp() == OFF, "what was given isn't changed"


def test_a_rule_may_lead_to_the_other_state_that_the_table_names() -> None:
    assert MACHINE.step(ON, Dropped()) == (ON, ())
    assert MACHINE.step(Lamp(light=Light.ON, switched=2), Dropped()) == (BROKEN, ("crash",))


@pytest.mark.parametrize(("lamp", "said"), [(BROKEN, "Switched broken"), (None, "Switched None")])
def test_an_event_without_a_key_is_the_machines_own_error(lamp: Lamp | None, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        MACHINE.step(lamp, Switched())


def changes(timing: Timing[Light, Lamp, Event], before: Lamp, event: Event, runs: bool) -> str:
    """Return what an event does to a timer, which ``runs`` or doesn't: "start", "stop" or nothing."""
    after, _ = MACHINE.step(before, event)
    start, stop = MACHINE.timer_changes({"t": timing}, before, after, event, {"t"} if runs else ())
    assert not start & stop
    return "start" if start else "stop" if stop else ""


def timing(
    on_entering: bool = False,
    starts: tuple[type[Event], ...] = (),
    restarts: tuple[type[Event], ...] = (),
    prolongs: tuple[type[Event], ...] = (),
    stops: tuple[type[Event], ...] = (),
    with_owner: bool = False,
) -> Timing[Light, Lamp, Event]:
    return Timing(
        states=frozenset({Light.ON}),
        event=Burnt,
        on_entering=on_entering,
        concerns=(lambda lamp: lamp.owner) if with_owner else None,
        starts=starts,
        restarts=restarts,
        prolongs=prolongs,
        stops=stops,
    )


@pytest.mark.parametrize(
    ("rules", "before", "event", "if_stopped", "if_running"),
    [
        (timing(), OFF, Switched(), "", ""),
        (timing(on_entering=True), OFF, Switched(), "start", "start"),
        (timing(on_entering=True), ON, Moved(), "", ""),
        (timing(on_entering=True), ON, Switched(), "", "stop"),
        (timing(on_entering=True), ON, Sold(owner="Sipho"), "", ""),
        (timing(on_entering=True, with_owner=True), ON, Sold(owner="Sipho"), "start", "start"),
        (timing(on_entering=True, with_owner=True), ON, Sold(owner="Thandi"), "", ""),
        (timing(starts=(Moved,)), ON, Moved(), "start", ""),
        (timing(restarts=(Moved,)), ON, Moved(), "start", "start"),
        (timing(prolongs=(Moved,)), ON, Moved(), "", "start"),
        (timing(restarts=(Moved,), stops=(Moved,)), ON, Moved(), "", "stop"),
    ],
)
def test_what_starts_and_stops_a_timer(
    rules: Timing[Light, Lamp, Event], before: Lamp, event: Event, if_stopped: str, if_running: str
) -> None:
    assert changes(rules, before, event, runs=False) == if_stopped
    assert changes(rules, before, event, runs=True) == if_running


def test_a_due_timers_event_gets_what_it_has_fields_for() -> None:
    assert timing().due_event(at=3.0, seconds=60.0) == Burnt(at=3.0, seconds=60.0)
    moved: Timing[Light, Lamp, Event] = Timing(states=frozenset({Light.ON}), event=Moved)
    assert moved.due_event(at=3.0, seconds=60.0) == Moved(at=3.0)


def test_the_drawing_has_an_arrow_for_each_pair_of_states() -> None:
    assert MACHINE.drawing().splitlines() == [
        "stateDiagram-v2",
        "  [*] --> off: bought",
        "  off --> on: switched",
        "  on --> off: switched, burnt",
        "  on --> on: dropped, moved, sold",
        "  on --> broken: dropped",
    ]
    assert MACHINE.drawing(Light.OFF).splitlines()[1] == "  [*] --> off"
