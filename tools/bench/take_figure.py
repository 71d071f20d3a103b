"""The figure ``take``: a take among many who wait, beside a take among few."""

import asyncio
import sys
import time
from dataclasses import dataclass, field

from tools.bench.bench import Bench, both
from tools.bench.measure import FigureError, Row, Samples, at_most, compared, in_turns, used
from tools.bench.measuring_people import Customer
from tools.bench.stack import Scene, Setup

IDLE_FOR = 0.5
"""Seconds before each take in which nothing happens."""
CALM = 40.0
"""Seconds of rest before the first take, at most: what the customers' arrival causes is in the tracker after thirty."""
SETTLES_WITHIN = 120.0
"""Seconds until all whom a take concerns have been told."""


@dataclass
class Queue:
    """Customers who wait, in the desk's order, and what a take of the first of them costs."""

    scene: Scene
    waiting: list[tuple[Customer, str]] = field(default_factory=list)
    costs: dict[str, Samples] = field(default_factory=dict)
    lasted: Samples = field(default_factory=Samples)

    async def fill(self, count: int) -> None:
        """Have so many wait."""
        self.waiting = await self.scene.all(self.scene.waits, [f"c{number}" for number in range(1, count + 1)])
        await self.scene.at_rest(SETTLES_WITHIN)

    async def take(self) -> None:
        """Take the first customer, and count until everything that follows is done.

        Then the customer waits again, as the last.
        """
        customer, handoff_id = self.waiting.pop(0)
        began, processor = time.monotonic(), self.scene.processor()
        await asyncio.sleep(IDLE_FOR)
        for name, spent in used(processor, self.scene.processor()).items():
            self._add(f"{name} idle", spent / (time.monotonic() - began))
        summaries, notices = self.scene.summaries, self.scene.notices
        transactions, received = self.scene.transactions(), self.scene.received_bytes()
        processor, began = self.scene.processor(), time.monotonic()
        self._add("taken", await self.scene.agent.timed("take", handoff_id=handoff_id))
        await self.scene.at_rest(SETTLES_WITHIN)
        after, lasted = self.scene.processor(), time.monotonic() - began
        for name, spent in used(processor, after).items():
            self._add(name, spent)
        self.lasted.add(lasted)
        self._add("transactions", self.scene.transactions() - transactions)
        self._add("bytes", self.scene.received_bytes() - received)
        self._add("summaries", self.scene.summaries - summaries)
        self._add("notices", self.scene.notices - notices)
        await self.scene.agent.must("resolve", handoff_id=handoff_id, outcome="resolved")
        await customer.back_with_bot()
        await customer.ask_for_person()
        self.waiting.append((customer, (await self.scene.agent.arrival(customer.name))[0]))
        await self.scene.at_rest(SETTLES_WITHIN)

    def processor(self, name: str) -> Samples:
        """Return the processor time of a process for each take, without what it uses while nothing happens."""
        idle = self.costs[f"{name} idle"].quantile(0.5)
        each = zip(self.costs[name].values, self.lasted.values, strict=True)
        return Samples([spent - lasted * idle for spent, lasted in each])

    def _add(self, name: str, value: float) -> None:
        self.costs.setdefault(name, Samples()).add(value)


async def take(bench: Bench) -> list[Row]:
    """Measure, per take, what both servers do until all that follows is done, and the messages that it causes."""
    few, many, counted = bench.sizes.few, bench.sizes.many, Setup(counted=True)
    async with both(bench.scene("few", counted), bench.scene("many", counted)) as (one, other):
        small, large = Queue(one), Queue(other)
        for queue, count in ((small, few), (large, many)):
            await queue.fill(count)
        calm = min(CALM, bench.seconds / 2)
        try:
            await other.at_rest(2 * calm, calm)
        except FigureError as problem:
            # With enough takes most of them meet nothing else all the same, and the medians are of those.
            print(f"  take: measured without a rest before. {problem}", file=sys.stderr, flush=True)
        await in_turns(bench.seconds, [large.take, small.take])
        for queue in (large, small):
            queue.costs.update({name: queue.processor(name) for name in ("Rasa", "server")})
        what = f"a take among {many:,}, beside among {few}"
        return [
            compared(f"{what}: {label}", unit, large.costs[name], small.costs[name], share, *targets)
            for name, label, unit, share, targets in (
                ("taken", "until it is answered, p50", "ms", 0.5, (at_most(20, "ms"),)),
                ("Rasa", "processor of Rasa, p50", "ms", 0.5, (at_most(2),)),
                ("server", "processor of the server, p50", "ms", 0.5, (at_most(2),)),
                ("transactions", "transactions of both, p50", "each", 0.5, (at_most(2),)),
                ("bytes", "bytes to desk and customers, p50", "bytes", 0.5, (at_most(2),)),
                ("Rasa", "processor of Rasa, mean", "ms", None, ()),
                ("server", "processor of the server, mean", "ms", None, ()),
                ("summaries", "summaries sent to the desk, mean", "each", None, ()),
                ("notices", "messages to customers, mean", "each", None, ()),
            )
        ]
