"""Entries that can't be delivered, put among the others of a lane: they must be set aside, and delay nothing.

They are written into the database from outside, as a fault of ours or of a version before would have left them.
"""

import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from rasa_handoff.relay.repository import outbox

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
    """Puts and remembers such entries. ``databases``: the URLs of the relay's and of the desk's."""

    def __init__(self, databases: Mapping[str, str]) -> None:
        self._engines = {side: _engine(url) for side, url in databases.items()}
        self.put: list[tuple[str, str]] = []
        """Side and a mark that stands in each body."""

    def add(self, rng: random.Random, lanes: dict[str, Sequence[str]]) -> str:
        """Put one at the end of a lane; ``lanes``: by target. Returns what was put.

        Raises:
            OperationalError: the database takes nothing now.
        """
        target = rng.choice([name for name, known in sorted(lanes.items()) if known])
        side, lane = ("desk" if target == "relay" else "relay"), rng.choice(list(lanes[target]))
        name, body = rng.choice(NAMES[target]), rng.choice(BODIES)
        mark = uuid.uuid4().hex
        body_text = json.dumps({**body, "mark": mark}) if isinstance(body, dict) else json.dumps([body, mark])
        with self._engines[side].begin() as connection:
            entry = {"target": target, "lane": lane, "name": name, "body": body_text, "at": time.time()}
            connection.execute(insert(outbox.table).values(**entry))
        self.put.append((side, mark))
        return f"{target} {lane} {name} {body_text}"

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

    def close(self) -> None:
        """Close its connections."""
        for engine in self._engines.values():
            engine.dispose()

    def _read(self, side: str, table: str) -> str:
        with self._engines[side].connect() as connection:
            return " ".join(str(body) for (body,) in connection.execute(text(f"SELECT body FROM {table}")))


def _engine(url: str) -> Engine:
    waits = {"timeout": BUSY_SECONDS} if url.startswith("sqlite") else {"connect_timeout": int(BUSY_SECONDS)}
    return create_engine(url, poolclass=NullPool, connect_args=waits, future=True)
