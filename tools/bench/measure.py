"""Samples, turns and processor time: what every figure is made of."""

import asyncio
import contextlib
import gc
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rasa_handoff.testing.slowness import slowness

LEAST_TURNS = 2
"""Turns that each side has, however few the seconds."""
LOOK_EVERY = 0.25
"""Seconds between two looks at whether a system is quiet."""
TOLD_WITHIN = 10.0
"""Seconds after the end of a load in which everything must have been told to those who are still there."""
QUIET = 0.05
"""Seconds of processor per second below which a system does nothing but wait."""
KEPT_ALIVE = 0.0001
"""Seconds of processor per second that each connection adds to that, for its keepalive packets."""

Action = Callable[[], Awaitable[None]]


class Watched(Protocol):
    """Processes that are measured."""

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that each has used."""

    def wants_processor(self) -> bool:
        """Return whether one of them has something to do now."""


class FigureError(Exception):
    """A figure can't be produced; one sentence that says why."""


@dataclass(frozen=True)
class Target:
    """The limit that a row has to keep. ``unit``: that of the measured value, or "x" for the ratio. ``least``: more is better."""

    limit: float
    unit: str = "x"
    least: bool = False

    def __str__(self) -> str:
        space = "" if self.unit == "x" else " "
        return f"{'>=' if self.least else '<='} {self.limit:.3g}{space}{self.unit}"

    def is_met(self, value: float) -> bool:
        """Return whether this value keeps the limit."""
        return value >= self.limit if self.least else value <= self.limit


def at_most(limit: float, unit: str = "x") -> Target:
    """Return a target for which less is better."""
    return Target(limit, unit)


def at_least(limit: float, unit: str = "x") -> Target:
    """Return a target for which more is better."""
    return Target(limit, unit, least=True)


@dataclass(frozen=True)
class Row:
    """One line of the table: the measured value, its reference, and the number of samples of each.

    ``unit``: of both values. ``reference``: None if there is nothing to compare with. ``targets``: all are to be met.
    """

    what: str
    unit: str
    measured: float
    reference: float | None
    samples: tuple[int, int]
    targets: tuple[Target, ...] = ()

    @property
    def ratio(self) -> float | None:
        """The measured value divided by the reference; None without a reference above 0, or if the value is below 0."""
        return self.measured / self.reference if self.reference and self.reference > 0 and self.measured >= 0 else None

    @property
    def met(self) -> bool | None:
        """Whether all targets are met; None if there are no targets, or one is for the ratio and there is no ratio."""
        values = [self.ratio if target.unit == "x" else self.measured for target in self.targets]
        if not values or None in values:
            return None
        return all(
            target.is_met(value) for target, value in zip(self.targets, values, strict=True) if value is not None
        )


@dataclass
class Samples:
    """The samples of one side of a comparison, in seconds or counts."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Add a sample."""
        self.values.append(value)

    def quantile(self, share: float) -> float:
        """Return the smallest sample that the given share of all samples doesn't exceed.

        Raises:
            FigureError: there is none.
        """
        if not self.values:
            raise FigureError("There was time for no sample at all: give it more SECONDS.")
        return sorted(self.values)[max(0, math.ceil(share * len(self.values)) - 1)]

    def mean(self) -> float:
        """Return the mean of all samples.

        Raises:
            FigureError: there is none.
        """
        if not self.values:
            raise FigureError("There was time for no sample at all: give it more SECONDS.")
        return sum(self.values) / len(self.values)


def compared(
    what: str, unit: str, measured: Samples, reference: Samples, share: float | None = 0.5, *targets: Target
) -> Row:
    """Return a row of both sides' quantile, or their means (``share`` None); seconds are shown as milliseconds."""
    one, other = ((side.mean() if share is None else side.quantile(share)) for side in (measured, reference))
    factor = 1000 if unit == "ms" else 1
    return Row(what, unit, one * factor, other * factor, (len(measured.values), len(reference.values)), targets)


async def in_turns(seconds: float, sides: Sequence[Action]) -> None:
    """Run a slice of each side, again and again, until ``seconds`` are over and each has had ``LEAST_TURNS``.

    What the clients have made by then isn't looked through by the garbage collector any more: with two thousand of them that
    takes a third of a second, in which nobody answers.
    """
    gc.collect()
    gc.freeze()
    try:
        deadline, turns = time.monotonic() + seconds, 0
        while turns < LEAST_TURNS or time.monotonic() < deadline:
            for side in sides:
                await side()
            turns += 1
    finally:
        gc.unfreeze()


async def told_in_time(seconds: float, senders: Sequence[Awaitable[None]]) -> None:
    """Run a load: each sender begins nothing after ``seconds``, and ends when it has been told everything.

    Raises:
        FigureError: some still wait ``TOLD_WITHIN`` after the end; with their number.
    """
    tasks = [asyncio.ensure_future(sender) for sender in senders]
    _, waiting = await asyncio.wait(tasks, timeout=seconds + TOLD_WITHIN)
    for task in waiting:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    if waiting:
        raise FigureError(
            f"{len(waiting)} of {len(tasks)} weren't told everything {TOLD_WITHIN:g} s after the load's end."
        )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


def processor_seconds(pid: int) -> float:
    """Return the processor seconds that all threads of a process have used so far.

    Read from the kernel's clock of the process, since /proc/PID/stat counts in hundredths.
    """
    return time.clock_gettime((~pid << 3) | 2)  # Linux: the clock of the scheduler (2) of that process


def reaped_seconds(pid: int) -> float:
    """Return the processor seconds of a process's children that have ended, in hundredths."""
    with open(f"/proc/{pid}/stat") as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Return the bytes of memory that a process has in use (its resident set)."""
    with open(f"/proc/{pid}/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the difference, process by process."""
    return {name: after[name] - before[name] for name in after}


def wants_processor(pid: int) -> bool:
    """Return whether a thread of this process, other than the one that asks, runs or waits for a core or a disk.

    On a busy machine it may wait for long, and has used nothing meanwhile.
    """
    asks = threading.get_native_id()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            if state in "RD" and task.name != str(asks):
                return True
    return False


async def wait_until_quiet(
    system: Watched, received: Callable[[], int], within: float, lasting: float = 0, connections: int = 0
) -> None:
    """Wait until these processes have nothing to do and nothing more is received, for ``lasting`` seconds.

    ``received``: returns how much was received so far. ``connections``: how many connections the processes keep alive.

    Raises:
        FigureError: they are still busy after ``within`` seconds.
    """
    deadline, count, quiet_looks = time.monotonic() + within * slowness(), received(), 0
    limit = QUIET + connections * KEPT_ALIVE
    needed = max(2, math.ceil(lasting / LOOK_EVERY))
    while quiet_looks < needed:
        # Read anew for each look, since a look uses the processor too, and this process may be one of those looked at.
        before, since = system.processor(), time.monotonic()
        await asyncio.sleep(LOOK_EVERY)
        after, now, count_now = system.processor(), time.monotonic(), received()
        spent = sum(used(before, after).values()) / (now - since)
        unquiet = [
            reason
            for reason, holds in {
                f"it uses {spent:.2f} processors": spent >= limit,
                "something is still received": count_now != count,
                # In a long rest a look now and then meets a thread that keeps connections alive.
                "a thread wants to run": not lasting and system.wants_processor(),
            }.items()
            if holds
        ]
        quiet_looks, count = (0 if unquiet else quiet_looks + 1), count_now
        if unquiet and now > deadline:
            raise FigureError(f"After {within:g} s it is still busy ({'; '.join(unquiet)}): {used(before, after)}.")
