"""Timers as rows: what must happen by itself, and when, survives a restart like everything else.

A timer is set and cleared in the transaction that makes it necessary. When it is due the clock hands it to ``ring``, which
turns it into an event and must remove it in the same transaction (:meth:`Timers.take`); until it does, it is rung again.

Each timer rings by itself: one that can't is put off (:data:`PUT_OFF`), said once in the log, and holds up no other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import Column, Float, Index, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.store.engine import TROUBLES, Store
from rasa_handoff.store.tasks import ended
from rasa_handoff.vocabulary.errors import StoreError, Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.values import Value

log = get_log(__name__)

LONGEST_NAP: Final = 1.0
"""Seconds. The wall clock may jump, so the clock looks at least this often."""
MOST_AT_ONCE: Final = 100
PUT_OFF: Final = 300.0
"""Seconds after which a timer that failed rings again: nobody is stuck for good because of a fault that is mended meanwhile."""
RECOVERY: Final = 30.0
"""Seconds after a start in which nothing rings."""


class Timer(Value, frozen=True, kw_only=True):
    """Something that is due: ``key`` says to whom, ``kind`` what, ``due`` when (seconds since 1970)."""

    key: str
    kind: str
    due: float


class Timers:
    """The timer table of one side's metadata, and what is done with it. One timer of a kind for each key."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "timer",
            metadata,
            Column("key", String(300), primary_key=True),
            Column("kind", String(40), primary_key=True),
            Column("due", Float, nullable=False),
            Index("timer_due", "due"),
        )

    def set(self, connection: Connection, timer: Timer) -> None:
        """Start it, or start it anew."""
        self.clear(connection, timer.key, timer.kind)
        connection.execute(insert(self.table).values(key=timer.key, kind=timer.kind, due=timer.due))

    def clear(self, connection: Connection, key: str, kind: str | None = None) -> None:
        """Stop one kind, or all of this key."""
        here = self.table.c.key == key
        if kind is not None:
            here &= self.table.c.kind == kind
        connection.execute(delete(self.table).where(here))

    def running(self, connection: Connection, key: str) -> dict[str, float]:
        """What runs for this key: kind and time."""
        query = select(self.table.c.kind, self.table.c.due).where(self.table.c.key == key)
        return {row.kind: row.due for row in connection.execute(query)}

    def take(self, connection: Connection, timer: Timer) -> bool:
        """Remove a timer that was due; False if it was stopped or started anew meanwhile."""
        t = self.table
        here = (t.c.key == timer.key) & (t.c.kind == timer.kind) & (t.c.due == timer.due)
        return bool(connection.execute(delete(t).where(here)).rowcount)

    def put_off(self, connection: Connection, timer: Timer, later: Timer) -> None:
        """Set it for later, unless it was stopped or started anew meanwhile."""
        if self.take(connection, timer):
            self.set(connection, later)

    def postpone(self, connection: Connection, soon: float) -> None:
        """Nothing rings before then: who couldn't reach us while we were away wasn't silent."""
        connection.execute(update(self.table).where(self.table.c.due < soon).values(due=soon))

    def due(self, connection: Connection, now: float) -> list[Timer]:
        """What is due, the longest overdue first."""
        t = self.table
        query = select(t).where(t.c.due <= now).order_by(t.c.due).limit(MOST_AT_ONCE)
        return [Timer(key=row.key, kind=row.kind, due=row.due) for row in connection.execute(query)]


class Clock:
    """Rings what is due: ``async with Clock(store, timers, ring)``. ``now`` tells the wall-clock time."""

    def __init__(
        self,
        store: Store,
        timers: Timers,
        ring: Callable[[Timer], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._timers, self._ring, self._now = store, timers, ring, now
        self._task: asyncio.Task[None] | None = None
        self._failed: set[tuple[str, str]] = set()

    async def __aenter__(self) -> "Clock":
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await ended(self._task)

    async def _tick(self) -> None:
        while True:
            try:
                for timer in await self._store.write(lambda connection: self._timers.due(connection, self._now())):
                    await self._ring_one(timer)
            except (Unreachable, StoreError, *TROUBLES) as problem:
                log.debug("Timers can't be rung now: %s", problem)  # the database says so itself where it matters
            except Exception:
                log.exception("The timers couldn't be read; that is tried again.")
            await asyncio.sleep(LONGEST_NAP)

    async def _ring_one(self, timer: Timer) -> None:
        """Ring one, or put it off.

        Raises:
            Unreachable, StoreError: the database can't be used now, which holds for all of them.
        """
        which = timer.key, timer.kind
        try:
            await self._ring(timer)
            self._failed.discard(which)
        except (Unreachable, StoreError, *TROUBLES):
            raise
        except Exception:
            if which not in self._failed:
                whose = short_id(timer.key)
                log.exception("The timer %s of %s can't ring; it is tried every %g s.", timer.kind, whose, PUT_OFF)
            if len(self._failed) < MOST_AT_ONCE:
                self._failed.add(which)
            later = Timer(key=timer.key, kind=timer.kind, due=self._now() + PUT_OFF)
            await self._store.write(lambda connection: self._timers.put_off(connection, timer, later))
