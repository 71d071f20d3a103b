"""The figures ``round-trip`` and ``throughput``: one conversation, and many at once, beside three chained plain hops."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tools.bench.bench import Bench, both
from tools.bench.measure import LEAST_TURNS, Row, Samples, at_least, at_most, compared, in_turns, told_in_time, used
from tools.bench.measuring_people import Customer
from tools.bench.plain import PlainHops
from tools.bench.stack import CONVERSATIONS_PER_AGENT, Scene, Setup

WARM_UP = 5
"""Round trips that don't count, for each customer on each side."""
IDLE_SLICE, BUSY_SLICE = 1.0, 5.0
"""Seconds of one side's turn; what began within them is brought to its end."""
IDLE_PACE = 0.05
"""Seconds from one round trip's beginning to the next one's, where nothing else goes on. One right after the other would be
measured with what the one before has left to do, and meet the limit of 50 events a second that a socket may send."""


@dataclass
class Side:
    """One side of the comparison: its customers, their round trips, and the processor time of its servers."""

    system: Scene | PlainHops
    customers: list[Customer] = field(default_factory=list)
    trips: Samples = field(default_factory=Samples)
    lasted: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    counted: int = 0

    async def chat(self, seconds: float, pace: float = 0.0) -> None:
        """Let all customers chat at once; none begins a round trip after ``seconds``, and all that began are counted.

        ``pace``: seconds from the beginning of one to that of the next, at least.
        """
        processor = self.system.processor()
        began, before = time.perf_counter(), len(self.trips.values)
        await told_in_time(seconds, [self._chat(customer, began + seconds, pace) for customer in self.customers])
        self.lasted += time.perf_counter() - began
        self.counted += len(self.trips.values) - before
        for name, more in used(processor, self.system.processor()).items():
            self.spent[name] = self.spent.get(name, 0.0) + more

    async def warm_up(self) -> None:
        """Make some round trips that don't count: the first messages of a conversation cost more."""
        for _ in range(WARM_UP):
            await asyncio.gather(*(customer.round_trip() for customer in self.customers))

    async def _chat(self, customer: Customer, deadline: float, pace: float) -> None:
        while (began := time.perf_counter()) < deadline:
            self.trips.add(await customer.round_trip())
            await asyncio.sleep(max(0.0, began + pace - time.perf_counter()))

    def per_trip(self, process: str) -> Samples:
        """Return the processor seconds of one process per round trip."""
        return Samples([self.spent[process] / self.counted] * self.counted if self.counted else [])


async def round_trip(bench: Bench) -> list[Row]:
    """Measure the way from a customer by Rasa and the server to an agent, and back, with nothing else going on."""
    async with _sides(bench, 1) as (ours, plain):
        await _in_turns(bench, ours, plain, IDLE_SLICE, IDLE_PACE)
        return [
            compared("round trip, one conversation, p50", "ms", ours.trips, plain.trips, 0.5, at_most(2.5)),
            compared("round trip, one conversation, p99", "ms", ours.trips, plain.trips, 0.99, at_most(4)),
        ]


async def throughput(bench: Bench) -> list[Row]:
    """Measure round trips of many customers at once, each of whom writes again when the last message was answered."""
    return [row for many in bench.sizes.customers for row in await _throughput(bench, many)]


async def _throughput(bench: Bench, many: int) -> list[Row]:
    async with _sides(bench, many) as (ours, plain):
        await _in_turns(bench, ours, plain, BUSY_SLICE)
        rates = (ours.counted / ours.lasted, plain.counted / plain.lasted)
        counts, targets = (ours.counted, plain.counted), (at_least(0.25),)
        what = f"{many} customers at once"
        return [
            Row(f"round trips, {what}", "per second", *rates, counts, targets),
            compared(f"one of them, {what}, p50", "ms", ours.trips, plain.trips, 0.5),
            compared(f"one of them, {what}, p99", "ms", ours.trips, plain.trips, 0.99),
            compared(
                f"{what}: processor of Rasa, per round trip", "ms", ours.per_trip("Rasa"), plain.per_trip("A"), None
            ),
            compared(
                f"{what}: processor of the server, per round trip",
                "ms",
                ours.per_trip("server"),
                plain.per_trip("B"),
                None,
            ),
        ]


async def _in_turns(bench: Bench, ours: Side, plain: Side, most: float, pace: float = 0.0) -> None:
    """Let both sides chat in turns of ``most`` seconds at most."""
    part = min(most, bench.seconds / LEAST_TURNS / 2)
    await in_turns(bench.seconds, [lambda: ours.chat(part, pace), lambda: plain.chat(part, pace)])


@contextlib.asynccontextmanager
async def _sides(bench: Bench, customers: int) -> AsyncIterator[tuple[Side, Side]]:
    names = [f"c{number}" for number in range(1, customers + 1)]
    agents = -(-customers // CONVERSATIONS_PER_AGENT)
    async with both(bench.scene("live", Setup(agents)), PlainHops(bench.folder)) as (scene, plain):
        ours, theirs = Side(scene), Side(plain)
        ours.customers = await scene.all(scene.talks, names)
        theirs.customers = [await plain.customer(name) for name in names]
        for side in (ours, theirs):
            await side.warm_up()
        yield ours, theirs
