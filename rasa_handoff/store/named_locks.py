"""Named locks: what the processes of a shared database may do only one after the other.

A named lock is held until its transaction ends. It is tried, and never waited for inside a transaction: a commit has the work of
many callers, so one that waits would hold them all up, and two that wait for each other would both fail. Who doesn't get it
tries again in another transaction (:func:`when_free`).

On Postgres it is an advisory lock of the transaction. A SQLite file has one owner, whose transactions come one after the other.
"""

import asyncio
import enum
import random
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import Unreachable

T = TypeVar("T")

KEY: Final = 1_214_606_445
"""The first half of the advisory locks' keys; the second is of the schema and the name. The owner's lock has another one
(``store/postgres.py``). Two names with the same key only wait for each other."""
FREE_WITHIN: Final = 2.0
"""Seconds to try: longer than any transaction of a database that answers."""
PAUSE: Final = 0.03

_TRY: Final = text(
    "SELECT bool_and(pg_try_advisory_xact_lock(:key, hashtext(current_schema() || ' ' || name))) "
    "FROM unnest(CAST(:names AS text[])) AS name"
)


class Held(enum.Enum):
    """The answer of work that did nothing, because :func:`try_lock` failed."""

    BY_ANOTHER_PROCESS = "by another process"


class StillHeld(Unreachable):
    """Another process held the lock all the time. Nothing was done; try again."""


def try_lock(connection: Connection, names: Collection[str]) -> bool:
    """Lock these names until the transaction ends; return False if another process holds one of them."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(_TRY, {"key": KEY, "names": list(names)}).scalar())


async def when_free(attempt: Callable[[], Awaitable[T | Held]]) -> T:
    """Run ``attempt``, each time a transaction of its own, until no other process holds what it locks; return its answer.

    Raises:
        StillHeld: one did, for ``FREE_WITHIN`` seconds.
    """
    until = time.monotonic() + FREE_WITHIN
    while True:
        answer = await attempt()
        if not isinstance(answer, Held):
            return answer
        if time.monotonic() > until:
            raise StillHeld("Another process is busy with the same thing. Try again in a moment.")
        await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))
