"""Faults of a run with one server of each kind, on SQLite: a newer model, locked databases, a full disk."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

from tests.chaos.faults import Faults, fill, there
from tests.chaos.plan import Fault
from tests.chaos.proxy import WAYS
from tests.chaos.topology import One
from tests.chaos.world import World

LONGEST_LOCK: Final = 7.0
"""Seconds; the stores wait two for a lock, so most are felt."""


class FaultsOfOne(Faults):
    """They overlap: each is a task of its own."""

    def __init__(self, world: World, topology: One) -> None:
        super().__init__(world)
        self.topology = topology
        self.kinds |= {
            "Rasa: newer model, restart": self._newer_model,
            "relay's database locked": lambda fault: self._lock("relay", fault),
            "desk's database locked": lambda fault: self._lock("desk", fault),
            "tracker's database locked": lambda fault: self._lock("tracker", fault),
            "tracker's database cut off": lambda fault: there(topology.to_tracker).refuse(_lock_seconds(fault)),
            "tracker's database half-open": lambda fault: there(topology.to_tracker).half_open(
                0.3 + 7 * fault.size**2, WAYS[int(fault.pick * len(WAYS))]
            ),
            "disk full": self._fill,
        }

    def missing(self) -> dict[str, str]:
        missing = super().missing()
        if not self.topology.mounted:
            missing["disk full"] = "a disk of its own can be mounted only by root"
        if self.topology.to_tracker is not None:
            return {**missing, "tracker's database locked": "the tracker store is on Postgres in this run"}
        on_sqlite = "the tracker store is on SQLite in this run"
        return missing | dict.fromkeys(("tracker's database cut off", "tracker's database half-open"), on_sqlite)

    def _newer_model(self, fault: Fault) -> None:
        self.world.newer_model()
        self.rasa(fault).end()

    async def _lock(self, which: str, fault: Fault) -> None:
        connection = await asyncio.to_thread(_locked, self.topology.files[which])
        try:
            await asyncio.sleep(_lock_seconds(fault))
        finally:
            await asyncio.to_thread(connection.close)

    async def _fill(self, fault: Fault) -> None:
        await fill(self.topology.disk, fault, 0.5 + 3 * fault.size)


def _lock_seconds(fault: Fault) -> float:
    return 0.3 + (LONGEST_LOCK - 0.3) * fault.size**2


def _locked(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as problem:
        connection.close()
        raise OSError(str(problem)) from problem
    return connection
