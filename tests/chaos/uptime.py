"""How much of the time each kind of process is up: a run in which everything is down proves nothing."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final

from rasa_handoff.store.tasks import cancel_all
from tests.chaos.topology import Many
from tests.chaos.world import World

LEAST: Final = 0.7
"""Share of the time that a kind of process must be up; else the run is void."""
EVERY: Final = 1.0
"""Seconds between two probes."""
SLOW: Final = 2.0
"""Seconds; what answers later isn't up."""

Probe = Callable[[], Awaitable[float]]
"""Returns the share of a kind's processes that are up now."""


class Uptime:
    """Asks the processes of each kind again and again: ``async with Uptime(probes)``; ``shares()``, from 0 to 1, by kind."""

    def __init__(self, probes: dict[str, Probe]) -> None:
        self._probes = probes
        self._up: defaultdict[str, float] = defaultdict(float)
        self._all: defaultdict[str, float] = defaultdict(float)

    async def __aenter__(self) -> "Uptime":
        self._tasks = [asyncio.create_task(self._watch(kind, probe)) for kind, probe in self._probes.items()]
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            await cancel_all(task)

    def shares(self) -> dict[str, float]:
        """Return the share of the time that each kind was up, of the time since it was first asked."""
        return {kind: self._up[kind] / self._all[kind] for kind in self._probes if self._all[kind]}

    async def _watch(self, kind: str, probe: Probe) -> None:
        while True:
            began = time.monotonic()
            try:
                share = await probe()
            except Exception:  # whatever it says, it doesn't serve
                share = 0.0
            if time.monotonic() - began > SLOW:
                share = 0.0
            await asyncio.sleep(EVERY)
            seconds = time.monotonic() - began
            self._up[kind] += share * seconds
            self._all[kind] += seconds


def probes_of(world: World, topology: Many) -> dict[str, Probe]:
    """Return the probes of a run with several servers of each kind."""

    async def rasa_workers() -> float:
        return min(1.0, await asyncio.to_thread(topology.processes, "relay") / (topology.servers * topology.workers))

    return {
        "Rasa servers": lambda: _share([rasa.is_up for rasa in world.rasas]),
        "Rasa workers at work and connected": rasa_workers,
        "live-agent servers": lambda: _share([desk.is_up for desk in world.desks]),
        "action server": lambda: _share([world.actions.is_up]),
        "Postgres": lambda: _share([lambda: asyncio.to_thread(topology.answers)]),
        "Redis": lambda: _share([lambda: asyncio.to_thread(topology.bus_answers)]),
    }


async def _share(checks: Sequence[Callable[[], Awaitable[bool]]]) -> float:
    up = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
    return sum(one is True for one in up) / len(up)
