"""The figures ``turn`` and ``long-handoff``: what HandoffChannel adds to a turn of the bot's, and to one that asks for a person.

The reference is plain Rasa with the same bot; customers of both are on ``rest`` and take turns, message by message.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rasa_handoff.testing.waiting import eventually
from tools.bench.bench import Bench, both
from tools.bench.measure import FigureError, Row, Samples, at_most, compared, in_turns, used
from tools.bench.plain_rasa import PlainRasa, RestCustomers, Trackers, repeated
from tools.bench.stack import Scene

SAYS: Final = "hello"
"""Ordinary words, which the bot's NLU has to recognise."""
TURNS: Final = 10
"""Turns of one conversation; the next begin with an empty tracker."""


@dataclass
class Side:
    """One side of the comparison, and how long its turns take."""

    system: Scene | PlainRasa
    customers: RestCustomers
    turns: Samples = field(default_factory=Samples)

    async def turn(self, name: str) -> None:
        """Let this customer say something, and wait for the response."""
        self.turns.add(await self.customers.say(name, SAYS))


async def turn(bench: Bench) -> list[Row]:
    """Measure a turn of the bot's, and the processor time of Rasa for it."""
    async with (
        both(bench.scene("turn"), bench.plain_rasa("plain-turn")) as (scene, plain),
        RestCustomers(scene.stack.url) as hosted,
        RestCustomers(plain.url) as alone,
    ):
        sides = Side(scene, hosted), Side(plain, alone)
        held = 0

        async def conversations() -> None:
            nonlocal held
            held += 1
            for number in range(TURNS):
                for side in sides[:: 1 if number % 2 else -1]:
                    await side.turn(f"customer {held}")

        await conversations()  # the first turns of a process cost more
        for side in sides:
            side.turns = Samples()
        before = [side.system.processor() for side in sides]
        await in_turns(bench.seconds, [conversations])
        spent = spent_since(before, *(side.system for side in sides))
        ours, theirs = sides
        count = len(ours.turns.values)
        what = "a bot's turn under HandoffChannel, beside plain Rasa"
        return [
            compared(f"{what}: until the response, p50", "ms", ours.turns, theirs.turns, 0.5, at_most(1.05)),
            Row(f"{what}: processor of Rasa", "ms", *(1000 * each / count for each in spent), (count, count)),
        ]


def spent_since(before: Sequence[Mapping[str, float]], *systems: Scene | PlainRasa) -> list[float]:
    """Return the processor seconds that the Rasa process of each system has used since ``before``."""
    return [used(start, system.processor())["Rasa"] for start, system in zip(before, systems, strict=True)]


class LongHandoffs:
    """Customers whose tracker is long, and who ask for a person."""

    def __init__(self, scene: Scene, customers: RestCustomers, events: int) -> None:
        self._agent, self._customers, self._events = scene.agent, customers, events
        self._trackers = Trackers(scene.stack.folder)
        self.transcripts = Samples()
        self.whole = Samples()

    async def one(self, name: str) -> None:
        """Have a customer ask, and measure until an agent has the transcript."""
        await lengthen(self._customers, self._trackers, name, self._events)
        said, asked_at = self._trackers.said([name]), time.time()
        asking = asyncio.ensure_future(self._customers.say(name, "/execute_handoff"))
        handoff_id, _ = await self._agent.arrival(name)
        transcript = await eventually(lambda: self._transcript(handoff_id), what=f"the transcript of {name}")
        shown_at = time.time()
        if sum(line["speaker"] == "customer" for line in transcript) < said:
            raise FigureError(f"The transcript of {name} has {len(transcript)} lines: not all that was said.")
        await asking
        self.transcripts.add(shown_at - self._turn_ended_at(name, asked_at))
        self.whole.add(shown_at - asked_at)
        await self._agent.must("take", handoff_id=handoff_id)
        await self._agent.must("resolve", handoff_id=handoff_id, outcome="resolved")

    async def _transcript(self, handoff_id: str) -> Any:
        """Return what the agent reads; it may follow after the arrival."""
        return (await self._agent.must("open", handoff_id=handoff_id))["conversation"]["transcript"]

    def _turn_ended_at(self, name: str, asked_at: float) -> float:
        """Return when the asking turn's last action was done: the time of its event, before Rasa saves the tracker."""
        for kind, at, _, action, _ in reversed(self._trackers.events(name)):
            if kind == "action" and action == "action_listen" and at > asked_at:
                return float(at)
        raise FigureError(f"The tracker of {name} doesn't have the turn in which they asked.")


async def lengthen(customers: RestCustomers, trackers: Trackers, name: str, count: int) -> None:
    """Have a customer talk to the bot, and then make the tracker ``count`` events long, by repeating the last turn."""
    await customers.say(name, SAYS)
    before = len(trackers.events(name))
    await customers.say(name, SAYS)
    events = trackers.events(name)
    trackers.add(name, repeated(events[before:], max(0, count - len(events))))


async def long_handoff(bench: Bench) -> list[Row]:
    """Measure from the end of the asking turn until an agent can read the transcript, with a long tracker."""
    events = bench.sizes.events
    async with (
        both(bench.scene("long-handoff"), bench.plain_rasa("plain-long")) as (scene, plain),
        RestCustomers(scene.stack.url) as hosted,
        RestCustomers(plain.url) as alone,
    ):
        handoffs, trackers, turns = LongHandoffs(scene, hosted, events), Trackers(plain.folder), Samples()
        numbers = {"asks": 0, "says": 0}

        async def asks() -> None:
            numbers["asks"] += 1
            await handoffs.one(f"customer {numbers['asks']}")

        async def says() -> None:
            numbers["says"] += 1
            name = f"customer {numbers['says']}"
            await lengthen(alone, trackers, name, events)
            turns.add(await alone.say(name, SAYS))

        for side in (asks, says):
            await side()
        handoffs.transcripts, handoffs.whole, turns = Samples(), Samples(), Samples()
        before = [scene.processor(), plain.processor()]
        await in_turns(bench.seconds, [asks, says])
        counts = len(handoffs.whole.values), len(turns.values)
        each = [1000 * spent / count for spent, count in zip(spent_since(before, scene, plain), counts, strict=True)]
        what = f"handoff with a tracker of {events:,} events, beside a plain turn"
        return [
            compared(f"{what}: turn's end to transcript, p50", "ms", handoffs.transcripts, turns, 0.5, at_most(1)),
            compared(f"{what}: asking to transcript, p50", "ms", handoffs.whole, turns, 0.5),
            Row(f"{what}: processor of Rasa, with two short turns before", "ms", *each, counts),
        ]
