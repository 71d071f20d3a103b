"""The figure ``churn``: round trips while many conversations go on, some begin and some end.

A half of the customers is busy and writes once in ten seconds; the others are idle. Each second some conversations begin, and as
many end. When a message is sent doesn't depend on the answers to others. The reference: as many customers of the plain hops,
who connect and disconnect.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from tools.bench.bench import Bench, both
from tools.bench.measure import LEAST_TURNS, Row, Samples, at_most, compared, in_turns, told_in_time
from tools.bench.measuring_people import Customer
from tools.bench.plain import PlainHops
from tools.bench.stack import Scene, Setup

EVERY: Final = 10.0
"""Seconds between two messages of a busy customer."""
CHURN: Final = 5.0
"""Conversations that begin, and that end, in a second."""
SLICE: Final = 15.0
"""Seconds of one side's turn, at most."""
CONVERSATIONS_PER_AGENT: Final = 50
"""Conversations of one agent."""


@dataclass
class Population:
    """The customers of one side."""

    system: Scene | PlainHops
    idle: deque[Customer] = field(default_factory=deque)
    busy: deque[Customer] = field(default_factory=deque)
    trips: Samples = field(default_factory=Samples)
    _names: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _under_way: "dict[asyncio.Future[None], Customer | None]" = field(default_factory=dict)

    async def fill(self, idle: int, busy: int) -> None:
        """Have so many customers come, and talk once."""
        names = [self._name() for _ in range(idle + busy)]
        customers = await self.system.all(self.system.talks, names)
        self.idle.extend(customers[:idle])
        self.busy.extend(customers[idle:])
        for customer in customers:
            await customer.round_trip()

    async def go_on(self, seconds: float) -> None:
        """Have all go on for so long, and wait until everybody has been told everything."""
        await asyncio.gather(
            self._repeat(EVERY / len(self.busy), seconds, self._write), self._repeat(1 / CHURN, seconds, self._change)
        )
        await told_in_time(0, list(self._under_way))
        self._under_way.clear()

    async def _repeat(self, pause: float, seconds: float, begin: Callable[[int], None]) -> None:
        """Begin something again and again, at times that don't depend on what began before."""
        began = time.monotonic()
        for number in range(max(1, int(seconds / pause))):
            await asyncio.sleep(max(0.0, began + number * pause - time.monotonic()))
            begin(number)

    def _write(self, _: int) -> None:
        """Have the next busy customer write."""
        customer = self.busy[0]
        self.busy.rotate(-1)
        self._begin(self._trip(customer), customer)

    def _change(self, number: int) -> None:
        """Have a conversation begin and another end, in turns of the idle ones and of the busy ones."""
        group = self.busy if number % 2 else self.idle
        waiting = set(self._under_way.values())
        leaving = next((customer for customer in group if customer not in waiting), None)
        if leaving is not None:
            group.remove(leaving)
            self._begin(self.system.ends(leaving))
        self._begin(self._come(group))

    async def _come(self, group: deque[Customer]) -> None:
        group.append(await self.system.talks(self._name()))

    async def _trip(self, customer: Customer) -> None:
        self.trips.add(await customer.round_trip())

    def _begin(self, action: Coroutine[Any, Any, None], customer: Customer | None = None) -> None:
        task = asyncio.ensure_future(action)
        self._under_way[task] = customer

    def _name(self) -> str:
        return f"c{next(self._names)}"


async def churn(bench: Bench) -> list[Row]:
    """Measure the round trips of those who write."""
    idle, busy = bench.sizes.idle, bench.sizes.busy
    agents = -(-(idle + busy) // CONVERSATIONS_PER_AGENT)
    async with both(bench.scene("churn", Setup(agents)), PlainHops(bench.folder)) as (scene, plain):
        ours, theirs = Population(scene), Population(plain)
        for side in (ours, theirs):
            await side.fill(idle, busy)
        part = min(SLICE, bench.seconds / LEAST_TURNS / 2)
        await in_turns(bench.seconds, [lambda: ours.go_on(part), lambda: theirs.go_on(part)])
        what = f"{idle} idle and {busy} busy conversations, {CHURN:g} begin and end a second: round trip"
        return [
            compared(f"{what}, p{share * 100:g}", "ms", ours.trips, theirs.trips, share, at_most(3))
            for share in (0.5, 0.95, 0.99)
        ]
