"""The figure ``kill``: the live-agent server is killed while many talk to agents, and starts again.

As soon as it listens again, all customers write at once, and each is answered by their agent. The reference is the same before
the kill.
The relay and the desks connect again by themselves meanwhile.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from tools.bench.bench import Bench
from tools.bench.measure import Row, Samples, at_most
from tools.bench.measuring_people import Customer
from tools.bench.stack import Setup

CONVERSATIONS_PER_AGENT: Final = 50
"""Conversations of one agent: with ten each, a hundred desks would get every summary."""
ANSWERED_WITHIN: Final = 60.0
"""Seconds after which a customer without an answer makes the figure fail."""


async def kill(bench: Bench) -> list[Row]:
    """Measure until all have been answered, before and after."""
    count = bench.sizes.live
    async with bench.scene("kill", Setup(agents=-(-count // CONVERSATIONS_PER_AGENT))) as scene:
        customers = await scene.all(scene.talks, [f"c{number}" for number in range(1, count + 1)])
        await _all_write(customers)
        await scene.at_rest(ANSWERED_WITHIN)
        before = await _all_write(customers)
        await scene.at_rest(ANSWERED_WITHIN)
        print("kill: the server is killed, and starts again ...", file=sys.stderr, flush=True)
        await scene.stack.server.kill()
        await scene.stack.server.start()
        after = await _all_write(customers)
    what = f"{count:,} live conversations, server killed, beside before"
    samples = (len(after.values), len(before.values))
    last, median = ((after.quantile(share), before.quantile(share)) for share in (1, 0.5))
    return [
        Row(f"{what}: all write when it listens, the last answer", "s", *last, samples, (at_most(5, "s"),)),
        Row(f"{what}: all write when it listens, answers, p50", "s", *median, samples),
    ]


async def _all_write(customers: Sequence[Customer]) -> Samples:
    """Have all write at once; return the seconds until each was answered."""
    for customer in customers:
        customer.patience = ANSWERED_WITHIN
    return Samples(list(await asyncio.gather(*(customer.round_trip() for customer in customers))))
