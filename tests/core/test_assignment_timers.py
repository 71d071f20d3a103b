"""The desk's timers without a clock: from wherever a conversation is, it ends by itself."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasa_handoff.core.assignment import MACHINE, TABLE, Stage, step
from rasa_handoff.core.assignment_events import Arrived, AssignmentEvent
from rasa_handoff.core.assignment_timers import SWITCHABLE, TIMINGS, DeskTimers
from rasa_handoff.protocol.errors import Refused, SettingsError
from rasa_handoff.server.service.scheduler import read_timers
from tests.core.test_assignment import EVENTS
from tests.support.paths import ROOT

SUBSETS = [off for count in range(len(SWITCHABLE) + 1) for off in itertools.combinations(SWITCHABLE, count)]
MOST_TIMERS = 1000


class Walk:
    """A conversation with its timers; ``running``: kind and when it is due."""

    def __init__(self, settings: DeskTimers) -> None:
        self.settings, self.now = settings, 0.0
        self.state, self.running = None, {}
        self.happen(Arrived(at=0.0, department=None))

    def happen(self, event: AssignmentEvent) -> None:
        try:
            after, _ = step(self.state, event)
        except Refused:
            return
        start, stop = MACHINE.timer_changes(TIMINGS, self.state, after, event, self.running)
        self.state = after
        self.running = {kind: due for kind, due in self.running.items() if kind not in stop}
        for kind in start:
            if (seconds := self.settings.seconds(kind)) is not None:
                self.running[kind] = self.now + seconds

    def ring_next(self) -> None:
        kind = min(self.running, key=self.running.get)
        self.now = self.running.pop(kind)
        self.happen(TIMINGS[kind].due_event(at=self.now, seconds=self.settings.seconds(kind)))


@pytest.mark.parametrize("off", SUBSETS, ids=lambda off: " ".join(off) or "all on")
@given(events=st.lists(EVENTS, max_size=15))
def test_from_everywhere_it_ends_by_timers_alone(off, events):
    walk = Walk(DeskTimers(**dict.fromkeys(off)))
    for event in events:
        walk.happen(event)
    for _ in range(MOST_TIMERS):
        if walk.state.stage is Stage.ENDED:
            break
        assert walk.running, f"{walk.state} has no way out"
        walk.ring_next()
    assert walk.state.stage is Stage.ENDED
    assert walk.running == {}


def test_every_stage_is_in_the_table_and_so_is_the_event_of_every_timer():
    assert {stage for stage, _ in TABLE if stage is not None} == set(Stage)
    for kind, timing in TIMINGS.items():
        for stage in timing.states:
            assert (stage, timing.event) in TABLE, f"{kind} rings in {stage} for nothing"


def test_without_the_timer_for_silence_the_walk_would_find_no_way_out(monkeypatch):
    monkeypatch.delitem(TIMINGS, "silence")
    walk = Walk(DeskTimers(**dict.fromkeys(SWITCHABLE)))
    assert walk.running == {}


def test_every_timer_is_explained_with_its_default():
    page = (ROOT / "docs" / "settings.md").read_text()
    for name, seconds in msgspec.structs.asdict(DeskTimers()).items():
        assert f"| `{name}` | {seconds:g} |" in page or f"| `{name}` | {seconds} |" in page, name


def test_timers_are_read_from_the_command_line():
    assert read_timers([]) == DeskTimers()
    read = read_timers(["agent_silent=60", "customer_silent = off", "silence=3600.5"])
    assert (read.agent_silent, read.customer_silent, read.silence) == (60.0, None, 3600.5)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("silence=off", "can be long, but not off"),
        ("message=null", "can be long, but not off"),
        ("agent_silence=5", "did you mean 'agent_silent'"),
        ("tea=5", "it may be one of: nobody_takes"),
        ("agent_silent=soon", "--timer agent_silent=300"),
        ("agent_silent=0", "--timer agent_silent=300"),
        ("agent_silent", "--timer agent_silent=300"),
    ],
)
def test_a_wrong_timer_is_one_sentence(given, sentence):
    with pytest.raises(SettingsError, match=sentence):
        read_timers([given])
