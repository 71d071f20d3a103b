"""Figure 3: a take among many who wait, beside a take among few."""

from dataclasses import dataclass, field

from tools.bench.bench import Bench
from tools.bench.measure import Row, Samples, at_most, compared, in_turns, quiet, used
from tools.bench.measuring_people import Customer
from tools.bench.stack import Scene

SETTLES_WITHIN = 60.0
"""Seconds until all whom a take concerns have been told."""


@dataclass
class Queue:
    """Customers who wait, in the desk's order, and what a take of the first of them costs."""

    scene: Scene
    waiting: list[tuple[Customer, str]] = field(default_factory=list)
    costs: dict[str, Samples] = field(default_factory=dict)

    async def fill(self, count: int) -> None:
        """Have so many wait."""
        self.waiting = await self.scene.all(self.scene.waits, [f"c{number}" for number in range(1, count + 1)])
        await self._quiet()

    async def take(self) -> None:
        """Take the first, and count until everything that follows has been done; then they wait again, as the last."""
        customer, handoff_id = self.waiting.pop(0)
        processor, summaries, notices = self.scene.processor(), self._summaries(), self._notices()
        self._add("taken", await self.scene.agent.timed("take", handoff_id=handoff_id))
        await self._quiet()
        for name, spent in used(processor, self.scene.processor()).items():
            self._add(name, spent)
        self._add("summaries", self._summaries() - summaries)
        self._add("notices", self._notices() - notices)
        await self.scene.agent.must("resolve", handoff_id=handoff_id, outcome="resolved")
        await customer.back_with_bot()
        await customer.ask_for_person()
        self.waiting.append((customer, (await self.scene.agent.arrival(customer.name))[0]))
        await self._quiet()

    async def _quiet(self) -> None:
        await quiet(self.scene, lambda: self._summaries() + self._notices(), SETTLES_WITHIN)

    def _summaries(self) -> int:
        counts = self.scene.agent.counts
        return counts["conversation"] + counts["arrival"]

    def _notices(self) -> int:
        return sum(customer.notices for customer in self.scene.customers)

    def _add(self, name: str, value: float) -> None:
        self.costs.setdefault(name, Samples()).add(value)


async def take(bench: Bench) -> list[Row]:
    """Measure, per take, the processor time of both servers until all that follows is done, and the messages that it causes."""
    few, many = bench.sizes.few, bench.sizes.many
    async with bench.scene("few") as one, bench.scene("many") as other:
        small, large = Queue(one), Queue(other)
        await small.fill(few)
        await large.fill(many)
        await in_turns(bench.seconds, [large.take, small.take])
        what = f"a take among {many}, beside among {few}"
        return [
            compared(f"{what}: {label}", unit, large.costs[name], small.costs[name], share, *targets)
            for name, label, unit, share, targets in (
                ("taken", "until it is answered, p50", "ms", 0.5, (at_most(20, "ms"),)),
                ("Rasa", "processor of Rasa", "ms", None, (at_most(2),)),
                ("server", "processor of the server", "ms", None, (at_most(2),)),
                ("summaries", "summaries sent to the desk", "each", None, ()),
                ("notices", "messages to customers", "each", None, ()),
            )
        ]
