"""The figure ``rush``: many customers ask for a person at once, and one agent takes one after the other.

There is nothing to compare it with: the seconds are what a customer waits, and the notices what they get to read meanwhile.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from tools.bench.bench import Bench
from tools.bench.measure import Row, Samples, at_most, in_turns
from tools.bench.measuring_people import Customer, promised
from tools.bench.stack import Scene

GREETING: Final = "Good day, {name}."
"""What the agent says to each customer."""
SERVED_WITHIN: Final = 120.0
"""Seconds after which a customer who wasn't answered makes the figure fail."""


@dataclass
class Rush:
    """The customers, and what each has waited and read in every rush."""

    scene: Scene
    customers: list[Customer] = field(default_factory=list)
    waited: Samples = field(default_factory=Samples)
    notices: Samples = field(default_factory=Samples)

    async def once(self) -> None:
        """Let all ask at once, until the agent has spoken to each; then all go back to the bot."""
        began, before = time.perf_counter(), [customer.notices for customer in self.customers]
        serving = asyncio.ensure_future(self._serve())
        asking = [asyncio.ensure_future(customer.ask_for_person()) for customer in self.customers]
        spoken_to = [customer.hears(GREETING.format(name=customer.name)) for customer in self.customers]
        everyone = asyncio.gather(*spoken_to)
        heard_at = await promised(everyone, "The agent's words to all who asked", SERVED_WITHIN)
        for at, customer, read in zip(heard_at, self.customers, before, strict=True):
            self.waited.add(at - began)
            self.notices.add(customer.notices - read)
        await asyncio.gather(*asking)
        for handoff_id in await serving:
            await self.scene.agent.must("resolve", handoff_id=handoff_id, outcome="resolved")
        for customer in self.customers:
            await customer.back_with_bot()
            await customer.spoken_to_by_bot()  # else its words would count as notices of the next rush

    async def _serve(self) -> list[str]:
        """Take whoever is the first of those who wait, and greet them; return the handoffs."""
        agent, handoffs = self.scene.agent, []
        arrivals = [asyncio.ensure_future(agent.arrival(customer.name)) for customer in self.customers]
        names = dict(zip(arrivals, (customer.name for customer in self.customers), strict=True))
        waiting = set(arrivals)
        while waiting:
            shown, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for arrival in sorted(shown, key=lambda one: one.result()[1]):
                handoff_id, _ = arrival.result()
                handoffs.append(handoff_id)
                await agent.take(handoff_id)
                await agent.say(handoff_id, GREETING.format(name=names[arrival]))
        return handoffs


async def rush(bench: Bench) -> list[Row]:
    """Measure until the agent has spoken to each, and the notices that customers get."""
    count = bench.sizes.rush
    async with bench.scene("rush") as scene:
        rushing = Rush(scene)
        rushing.customers = await scene.all(scene.arrives, [f"c{number}" for number in range(1, count + 1)])
        await in_turns(bench.seconds, [rushing.once])
        what, waited = f"{count} customers ask at once, one agent", rushing.waited
        samples = (len(waited.values), 0)
        within, most = (at_most(15, "s"),), (at_most(3, "each"),)
        return [
            Row(f"{what}: until the agent's first words, the last", "s", waited.quantile(1), None, samples, within),
            Row(f"{what}: until the agent's first words, p50", "s", waited.quantile(0.5), None, samples),
            Row(f"{what}: notices to one customer, most", "each", rushing.notices.quantile(1), None, samples, most),
        ]
