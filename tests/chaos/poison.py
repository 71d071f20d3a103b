"""Entries that can't be delivered, put among the others of a lane: they must be set aside, and delay nothing.

They are written into the database from outside, as a fault of ours or of a version before would have left them.
"""

import json
import random
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

BUSY_SECONDS: Final = 5.0
NAMES: Final = {
    "desk": ("message", "handoff.status", "nothing.known"),
    "customer": ("agent", "system", "nothing-known"),
    "tracker": ("agent", "notice", "nothing-known"),
    "relay": ("message", "handoff.status", "nothing.known"),
}
"""Names for such an entry, by target. Its body fits none of them."""
BODIES: Final = ({}, {"id": 5}, {"handoff_id": None, "payload": []}, [1, 2], "not an object", None)


class Poison:
    """Puts and remembers such entries. ``databases``: of the relay and of the desk."""

    def __init__(self, databases: dict[str, Path]) -> None:
        self._databases = databases
        self.put: list[tuple[str, str]] = []
        """Side and a mark that stands in each body."""

    def add(self, rng: random.Random, lanes: dict[str, Sequence[str]]) -> str:
        """Put one at the end of a lane; ``lanes``: by target. Returns what was put.

        Raises:
            sqlite3.Error: the database takes nothing now.
        """
        target = rng.choice([name for name, known in sorted(lanes.items()) if known])
        side, lane = ("desk" if target == "relay" else "relay"), rng.choice(list(lanes[target]))
        name, body = rng.choice(NAMES[target]), rng.choice(BODIES)
        mark = uuid.uuid4().hex
        text = json.dumps({**body, "mark": mark}) if isinstance(body, dict) else json.dumps([body, mark])
        with closing(sqlite3.connect(self._databases[side], timeout=BUSY_SECONDS)) as database, database:
            database.execute(
                "INSERT INTO outbox (target, lane, name, body, at, holder, held_until) VALUES (?, ?, ?, ?, ?, '', 0)",
                (target, lane, name, text, time.time()),
            )
        self.put.append((side, mark))
        return f"{target} {lane} {name} {text}"

    def left(self) -> list[str]:
        """Return the entries that are still in a lane."""
        return [f"{side}: {mark}" for side, mark in self.put if mark in self._read(side, "outbox")]

    def missing(self) -> list[str]:
        """Return the entries that disappeared: they were neither set aside nor still wait."""
        gone = []
        for side, mark in self.put:
            if mark not in self._read(side, "outbox") and mark not in self._read(side, "dead_letter"):
                gone.append(f"{side}: {mark}")
        return gone

    def _read(self, side: str, table: str) -> str:
        with closing(sqlite3.connect(self._databases[side], timeout=BUSY_SECONDS)) as database:
            return " ".join(str(body) for (body,) in database.execute(f"SELECT body FROM {table}"))
