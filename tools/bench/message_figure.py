"""The figure ``message``: what a live message costs the Rasa process, beside a turn in which Rasa's own bot is paused.

Customers of both sides write one message a second, at the same time; the processor time of each process is its own. It is
counted until the tracker has all messages, since a live chat's are collected before they are written. What each process uses
while nobody writes is taken off, since half of that time nobody does.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from rasa_handoff.testing.slowness import slowness
from tools.bench.bench import Bench, both
from tools.bench.measure import FigureError, Row, Samples, at_most, compared
from tools.bench.plain_rasa import PlainRasa, RestCustomers, Trackers, pause, repeated
from tools.bench.stack import Scene, Setup

EVERY: Final = 1.0
"""Seconds between two messages of a customer."""
AT_ONCE: Final = 20
"""Messages of one customer that are on their way at once while a conversation is made long."""
IDLE_FOR: Final = 10.0
"""Seconds in which nobody writes, at most."""
WRITTEN_WITHIN: Final = 60.0
"""Seconds after which the tracker has everything; by default a live chat's messages are collected for thirty."""
TARGETS: Final = (at_most(1 / 5), at_most(1 / 25))
"""After few messages, and after many."""


@dataclass
class Side:
    """A system and its customers, who talk to an agent, or to a bot that is paused."""

    system: Scene | PlainRasa
    customers: RestCustomers
    trackers: Trackers
    names: list[str]

    async def lengthen(self, count: int) -> None:
        """Have each customer send so many messages, as fast as they are taken."""
        before = self.trackers.said(self.names)
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            await asyncio.gather(
                *(self.customers.say(name, f"message {number}") for name in self.names for number in numbers)
            )
        await self.wait_until_written(before + count * len(self.names))

    async def write(self, count: int) -> None:
        """Have each send ``count`` messages, one a second, until the tracker has them."""
        before = self.trackers.said(self.names)
        await asyncio.gather(*(self._write(index, count) for index in range(len(self.names))))
        await self.wait_until_written(before + count * len(self.names))

    async def wait_until_written(self, count: int) -> None:
        """Wait until the tracker store has so many messages.

        Raises:
            FigureError: it hasn't after ``WRITTEN_WITHIN`` seconds.
        """
        deadline = time.monotonic() + WRITTEN_WITHIN * slowness()
        while (said := self.trackers.said(self.names)) < count:
            if time.monotonic() > deadline:
                raise FigureError(f"The tracker has {said} of {count} messages after {WRITTEN_WITHIN:g} s.")
            await asyncio.sleep(EVERY / 5)

    async def _write(self, index: int, count: int) -> None:
        began = time.monotonic() + EVERY * index / len(self.names)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + EVERY * number - time.monotonic()))
            await self.customers.say(self.names[index], f"message {number}")


@dataclass
class Usage:
    """The processor seconds that the Rasa of each side spent, within ``lasted`` seconds."""

    lasted: float
    spent: list[float]

    @classmethod
    async def during(cls, sides: Sequence[Side], action: Awaitable[object]) -> "Usage":
        """Return what both use until the action is done."""
        began, before = time.monotonic(), [side.system.processor()["Rasa"] for side in sides]
        await action
        spent = [side.system.processor()["Rasa"] - start for side, start in zip(sides, before, strict=True)]
        return cls(time.monotonic() - began, spent)

    def without(self, idle: "Usage") -> list[float]:
        """Return the processor seconds of each in addition to what it uses while nothing happens."""
        share = self.lasted / idle.lasted
        return [busy - rest * share for busy, rest in zip(self.spent, idle.spent, strict=True)]


async def message(bench: Bench) -> list[Row]:
    """Measure the processor time of Rasa per message, after few messages and after many."""
    count, idle_for = max(2, round(bench.seconds / 2 / EVERY)), min(IDLE_FOR, bench.seconds)
    delay = bench.sizes.tracker_delay
    async with (
        both(bench.scene("message", Setup(settings=bench.settings)), bench.plain_rasa("paused")) as (scene, plain),
        RestCustomers(scene.stack.url) as chatting,
        RestCustomers(plain.url) as paused,
    ):
        scene.agent.answers = False
        ours = Side(scene, chatting, Trackers(scene.stack.folder), [])
        theirs = Side(plain, paused, Trackers(plain.folder), [])
        rows = []
        for before, target in zip(bench.sizes.messages, TARGETS, strict=True):
            ours.names = theirs.names = [f"after {before}, {number}" for number in range(bench.sizes.writers)]
            await _talk_to_agent(scene, ours, before)
            await _talk_to_paused_bot(theirs, ours)
            await scene.at_rest(WRITTEN_WITHIN)
            idle = await Usage.during((ours, theirs), asyncio.sleep(idle_for))
            usage = await Usage.during((ours, theirs), asyncio.gather(ours.write(count), theirs.write(count)))
            messages = count * len(ours.names)
            costs = (Samples([spent / messages] * messages) for spent in usage.without(idle))
            what = f"a live message after {before}, beside Rasa's paused turn: processor of Rasa"
            if delay is not None:
                what += f" (in the tracker after {delay:g} s)"
            rows.append(compared(what, "ms", *costs, None, target))
        return rows


async def _talk_to_agent(scene: Scene, side: Side, before: int) -> None:
    """Have all customers taken by the agent, and chat so many messages with them."""
    for name in side.names:
        await side.customers.say(name, "/execute_handoff")
        handoff_id, _ = await scene.agent.arrival(name)
        await scene.agent.must("take", handoff_id=handoff_id)
    await side.lengthen(before)


async def _talk_to_paused_bot(side: Side, like: Side) -> None:
    """Have the bot paused for all customers, in trackers of as many events as those of the other side have.

    One message goes through Rasa; its events are repeated.
    """
    for name in side.names:
        await side.customers.say(name, "/greet")
        side.trackers.add(name, [pause()])
        before = len(side.trackers.events(name))
        await side.customers.say(name, "message")
        turn = side.trackers.events(name)[before:]
        missing = len(like.trackers.events(name)) - before - len(turn)
        side.trackers.add(name, repeated(turn, max(0, missing)))
