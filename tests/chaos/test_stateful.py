"""Relay and store together, by random steps: whatever fails, waits or crashes, each word arrives once, in order, on one side."""

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rasa_handoff.core.control import Control, IllegalEvent
from rasa_handoff.protocol import events
from rasa_handoff.protocol.values import Agent, Channel, Offer
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import eventually
from tests.chaos.scripted import Stage, new_id

pytestmark = pytest.mark.timeout(120)

WHO = "thabo"
MANNERS = st.sampled_from(["takes", "takes", "fails", "hangs"])


class RelayMachine(RuleBasedStateMachine):
    """One customer; ``to_desk`` and ``to_customer`` are what must have arrived at the end, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.handoffs: list[str] = []
        self.to_desk: list[str] = []
        self.to_customer: list[str] = []
        self.reported: list[events.AgentSaid] = []
        self.count = 0

    # Steps

    # No step depends on the state: how far the relay has come is a matter of the machine's speed, and Hypothesis wants the same
    # choices each time.

    @rule()
    def asks_for_a_person(self) -> None:
        handoff_id = new_id()
        offer = Offer(handoff_id=handoff_id, conversation_id=WHO, bot_id="b", channel=Channel(name="rest"))
        here: dict[str, Any] = {"conversation_id": WHO, "handoff_id": handoff_id}
        request = events.HandoffRequested(**here, offer=offer, leaving_word="disconnect")
        with contextlib.suppress(IllegalEvent):
            self.stage.run(self.stage.relay.requests.offer(request))
            self.handoffs.append(handoff_id)

    @rule()
    def customer_says(self) -> None:
        said = events.CustomerSaid(conversation_id=WHO, id=new_id(), text=self._word("c"), at=1.0)
        if self._apply(said):  # else it is the bot's
            self.to_desk.append(said.text)

    @rule()
    def customer_leaves(self) -> None:
        self._apply(events.CustomerLeaving(conversation_id=WHO, id=new_id(), text="disconnect", at=1.0))

    @rule()
    def agent_joins(self) -> None:
        self._apply(events.AgentJoined(**self._here(), agent=Agent(id="1", name="Thandi")))

    @rule()
    def agent_says(self) -> None:
        said = events.AgentSaid(**self._here(), id=new_id(), text=self._word("a"), at=1.0)
        if self._apply(said) and self.desk_active:
            self.to_customer.append(said.text)
            self.reported.append(said)

    @rule(which=st.integers(0, 99))
    def agent_word_comes_again(self, which: int) -> None:
        if self.reported:
            self._apply(self.reported[which % len(self.reported)])

    @rule()
    def agent_passes_it_on(self) -> None:
        self._apply(events.HandoffTransferred(**self._here(), department=None))

    @rule()
    def agent_resolves(self) -> None:
        self._apply(events.HandoffCompleted(**self._here()))

    @rule()
    def an_older_handoff_ends_late(self) -> None:
        active = self.desk_active
        if len(self.handoffs) < 2:
            return
        self._apply(events.HandoffCompleted(conversation_id=WHO, handoff_id=self.handoffs[0]))
        self.stage.run(self._settle())
        assert self.desk_active or not active

    @rule(desk=MANNERS, customer=st.sampled_from(["takes", "waits", "fails", "hangs"]), tracker=MANNERS)
    def manners_change(self, desk: str, customer: str, tracker: str) -> None:
        stage = self.stage
        stage.desk.manner, stage.customer.manner, stage.tracker.manner = desk, customer, tracker
        stage.crash()  # what hangs is cut off

    @rule()
    def process_is_killed(self) -> None:
        self.stage.crash()

    @rule()
    def a_moment_passes(self) -> None:
        self.stage.run(self._settle())

    # What always holds

    @invariant()
    def memory_is_the_database(self) -> None:
        self.stage.run(eventually(self._remembered, seconds=2, what="a memory that is the database"))

    def teardown(self) -> None:
        try:
            self.stage.drain()
            self._arrived()
            self._numbered()
            self._tracker_in_order()
            assert self.state in (Control.BOT, Control.WAITING, Control.LIVE, Control.LEAVING)
        finally:
            self.stage.close()

    def _arrived(self) -> None:
        desk, customer = self.stage.desk.once(), self.stage.customer.once()
        assert [entry.body["text"] for entry in desk if entry.name == "message"] == self.to_desk
        assert [entry.body["text"] for entry in customer if entry.name == "agent"] == self.to_customer
        assert all(_side_by_side(target.taken) for target in self.stage.targets())

    def _numbered(self) -> None:
        for handoff_id in self.handoffs:
            numbers = [entry.body["number"] for entry in self.stage.desk.once() if _of(entry) == handoff_id]
            assert numbers == sorted(set(numbers))

    def _tracker_in_order(self) -> None:
        entries = self.stage.tracker.once()
        said = [entry.body["text"] for entry in entries if entry.name == "customer"]
        assert said == self.to_desk
        for handoff_id in self.handoffs:
            names = [entry.name for entry in entries if _of(entry) == handoff_id]
            assert "pause" not in names[1:], names
            assert "back" not in names[:-1], names

    # Small things

    async def _remembered(self) -> bool:
        """Return whether memory and database agree.

        The relay goes on by itself while the row is read, and remembers a moment after it commits.
        """
        return (await self.stage.relay.recall(WHO)).state is self.state

    @property
    def state(self) -> Control:
        return self.stage.relay.conversation(WHO).state

    @property
    def desk_active(self) -> bool:
        return self.stage.relay.conversation(WHO).desk_active

    def _here(self) -> dict[str, Any]:
        return {"conversation_id": WHO, "handoff_id": self.handoffs[-1] if self.handoffs else None}

    def _word(self, whose: str) -> str:
        self.count += 1
        return f"{whose}{self.count}"

    def _apply(self, event: events.Event) -> bool:
        before = self.state
        try:
            self.stage.run(self.stage.relay.apply(event))
        except IllegalEvent:
            return False
        return before not in (Control.BOT, Control.REQUESTED)

    async def _settle(self) -> None:
        for target in ("desk", "customer", "tracker"):
            await self.stage.relay.notify(target)


def _of(entry: Entry) -> Any:
    return entry.body.get("handoff_id")


def _side_by_side(taken: list[Entry]) -> bool:
    """Return whether what came again came right after itself: nothing overtakes what is being sent again."""
    keys = [entry.key for entry in taken]
    apart = [key for index, key in enumerate(keys) if index == 0 or keys[index - 1] != key]
    return len(apart) == len(set(apart))


class OtherRelayMachine(RelayMachine):
    """The same with other sequences, since Hypothesis makes them from the name."""


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # a failure waits for its deadline: making it smaller would take minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestRelay = RelayMachine.TestCase
TestRelay.settings = _settings(15)
TestRelayForLong = pytest.mark.slow(OtherRelayMachine.TestCase)
TestRelayForLong.settings = _settings(60)
