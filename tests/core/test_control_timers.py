"""No state is without a timed way out: walked exhaustively, with a clock of the test's own."""

from itertools import chain, combinations

import pytest
from msgspec.structs import replace

from rasa_handoff.core.control import TABLE, Control, Conversation, step
from rasa_handoff.core.control_timers import TIMINGS, due_event, timer_changes
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import AFTER_NOBODY, FIXED_TIMERS, TimerSettings
from rasa_handoff.protocol.values import Agent, Status
from tests.core.test_control import HERE, SAID, awaited, message_begun, request

OF = {**HERE, "handoff_id": "h"}
START = [request("h"), events.HandoffAccepted(**OF, position=1)]
JOINED = [*START, events.AgentJoined(**OF, agent=Agent(id="a", name="Thandi"))]
DELIVERED = events.MessageReported(**OF, message_id="m", status=Status.DELIVERED)
WALKS: dict[str, list[events.Event]] = {
    "preparing": [awaited("h")],
    "requested": [request("h")],
    "waiting": START,
    "waiting, asked": [*START, events.NobodyCame(**OF)],
    "live": JOINED,
    "live, agent owes an answer": [*JOINED, events.CustomerSaid(**HERE, **SAID)],
    "live, customer owes an answer": [*JOINED, events.AgentSaid(**OF, **SAID), DELIVERED],
    "live, desk away": [*JOINED, events.DeskLost(**OF)],
    "leaving": [*JOINED, events.CustomerLeaving(**HERE, **SAID)],
    "message": [*START, events.CustomerWantsToWrite(**HERE)],
    "message, nobody there": [message_begun("h")],
    "contact": [*START, events.CustomerWantsToWrite(**HERE), events.CustomerSaid(**HERE, **SAID)],
    "contact, nobody there": [message_begun("h"), events.CustomerSaid(**HERE, **SAID)],
    "forgotten": [*JOINED, events.DeskForgot(**OF, offer=request("h").offer)],
    "returning": [*JOINED, events.HandoffCompleted(**OF)],
}
SWITCHABLE = ("nobody_takes", "message", "agent_silent", "customer_silent", "desk_away")
SUBSETS = list(chain.from_iterable(combinations(SWITCHABLE, count) for count in range(len(SWITCHABLE) + 1)))


class World:
    """A conversation and its timers, with a clock that only the timers move."""

    def __init__(self, on: tuple[str, ...], then: str = "wait") -> None:
        off = {name: None for name in SWITCHABLE if name not in on}
        self.settings, self.then = TimerSettings(**off), then
        self.conversation, self.running, self.now = Conversation(conversation_id="thabo"), dict[str, float](), 0.0

    def happen(self, event: events.Event, rang: str | None = None) -> None:
        before, running = self.conversation, dict(self.running)
        if rang is not None:
            del self.running[rang]
        reported = isinstance(event, events.MessageReported)
        self.conversation = before if reported else step(before, event)[0]
        start, stop = timer_changes(before, self.conversation, event, running)
        for kind in stop:
            self.running.pop(kind, None)
        for kind in start:
            if (seconds := self.settings.seconds(kind)) is not None:
                self.running[kind] = self.now + seconds

    def let_time_pass(self) -> int:
        """Ring what is due, one after the other, until nothing is or the bot is active; returns how often it rang."""
        for count in range(1000):
            if self.conversation.state is Control.BOT or not self.running:
                return count
            kind, self.now = min(self.running.items(), key=lambda item: item[1])
            event = due_event(kind, self.conversation, self.then)
            if (self.conversation.state, type(event)) in TABLE:
                self.happen(event, rang=kind)
            else:
                del self.running[kind]
        raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("then", AFTER_NOBODY)
@pytest.mark.parametrize("on", SUBSETS, ids=lambda on: "+".join(on) or "silence alone")
@pytest.mark.parametrize("walk", WALKS)
def test_it_ends_by_the_clock_alone(walk: str, on: tuple[str, ...], then: str) -> None:
    world = World(on, then)
    for event in WALKS[walk]:
        world.happen(event)
    world.let_time_pass()
    assert world.conversation.state is Control.BOT
    assert world.running == {}
    assert world.now <= 2 * world.settings.silence


def test_every_state_but_the_bots_has_a_timer_that_cant_be_switched_off() -> None:
    always = [timing for kind, timing in TIMINGS.items() if kind not in SWITCHABLE]
    for state in Control:
        assert state is Control.BOT or any(state in timing.states for timing in always)


def test_without_the_timer_for_silence_it_doesnt_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TIMINGS, "silence")
    world = World(())
    for event in WALKS["live"]:
        world.happen(event)
    world.let_time_pass()
    assert world.conversation.state is Control.LIVE


@pytest.mark.parametrize(
    ("walk", "ended", "seconds"),
    [
        ("live, agent owes an answer", "agent_gone", 3600),
        ("live, customer owes an answer", "customer_silent", 3600),  # asked after half an hour, closed after another
        ("live, desk away", "desk_unreachable", 600),
        ("message", "customer_left", 600),
        ("message, nobody there", "customer_left", 600),
        ("contact", "message_left", 600),
        ("contact, nobody there", "message_left", 600),
    ],
)
def test_the_first_timer_decides(walk: str, ended: str, seconds: float) -> None:
    world = World(SWITCHABLE)
    for event in WALKS[walk]:
        world.happen(event)
    world.let_time_pass()
    assert world.conversation.ended == ended
    # Nobody writes to the tracker here, so the return itself ends by its timer.
    assert world.now == pytest.approx(seconds + FIXED_TIMERS["returning"])


@pytest.mark.parametrize(
    ("then", "ended"), [("wait", "silence"), ("message", "customer_left"), ("bot", "nobody_available")]
)
def test_who_doesnt_choose_goes_where_the_setting_says(then: str, ended: str) -> None:
    world = World(SWITCHABLE, then)
    for event in WALKS["waiting"]:
        world.happen(event)
    world.let_time_pass()
    assert world.conversation.ended == ended


def test_who_doesnt_answer_is_asked_twice_and_then_waits_quietly() -> None:
    world, asked = World(SWITCHABLE), []
    for event in WALKS["waiting"]:
        world.happen(event)
    for _ in range(5):
        asked.append(bool(step(world.conversation, events.NobodyCame(**OF))[1]))
        world.happen(events.NobodyCame(**OF))
    assert asked == [True, True, False, False, False]
    world.happen(events.CustomerChoseToWait(**HERE))
    assert step(world.conversation, events.NobodyCame(**OF))[1], "who answered is asked again"


def test_a_message_stops_its_senders_timer_and_starts_the_other_sides() -> None:
    world = World(SWITCHABLE)
    for event in WALKS["live"]:
        world.happen(event)
    world.happen(events.CustomerSaid(**HERE, **SAID))
    assert "agent_silent" in world.running
    world.happen(events.AgentSaid(**OF, **SAID))
    assert "agent_silent" not in world.running
    assert "customer_silent" not in world.running  # not before it has reached them
    waiting = events.MessageReported(**OF, message_id="m", status=Status.WAITING)
    world.happen(waiting)
    assert "customer_silent" not in world.running
    for reached in (DELIVERED, replace(waiting, customer_is_away=True)):
        world.happen(reached)
        assert "customer_silent" in world.running
        world.happen(events.CustomerSaid(**HERE, **SAID))
        assert "customer_silent" not in world.running


def test_a_further_word_of_the_customers_gives_the_agent_no_more_time() -> None:
    world = World(SWITCHABLE)
    for event in WALKS["live, agent owes an answer"]:
        world.happen(event)
    due = world.running["agent_silent"]
    world.now = 100.0
    world.happen(events.CustomerSaid(**HERE, **SAID))
    assert world.running["agent_silent"] == due
    assert world.running["silence"] == 100.0 + world.settings.silence
