"""Timers as rows of the database, so that they survive a restart.

A timer is set and cleared in the transaction that makes it necessary. When it is due, the clock passes it to ``fire``, which
applies its event and must remove the timer in the same transaction (:meth:`Timers.take`). A timer that isn't removed fires again.

Timers fire independently: one that fails is postponed (:data:`RETRY_SECONDS`), logged once, and doesn't hold up the others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from sqlalchemy import Column, Float, Index, MetaData, String, Table, bindparam, delete, insert, select, text, update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

CHECK_SECONDS: Final = 1.0
"""Seconds between two checks at most, because the wall clock may jump."""
MOST_AT_ONCE: Final = 100
"""Timers read at once."""
RETRY_SECONDS: Final = 300.0
"""Seconds after which a failed timer fires again, so that a conversation goes on once the cause is fixed."""
RECOVERY: Final = 30.0
"""Seconds after a start in which no timer fires."""


CHANGE: Final = """
WITH stopped AS (DELETE FROM timer WHERE key = :of AND kind = ANY (CAST(:stopped AS varchar[])))
INSERT INTO timer (key, kind, due) SELECT CAST(:of AS varchar), kind, due
FROM unnest(CAST(:kinds AS varchar[]), CAST(:dues AS float[])) AS started (kind, due)
ON CONFLICT (key, kind) DO UPDATE SET due = excluded.due
"""
"""Stops some timers of a key and starts others. No kind is among both."""


class Timer(Value, frozen=True, kw_only=True):
    """A timer. ``key``: whose it is, such as a conversation's id; ``kind``: what for; ``due``: when, in seconds since 1970."""

    key: str
    kind: str
    due: float


class Timers:
    """The timer table of one side's metadata, and its operations. A key has one timer of each kind at most."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "timer",
            metadata,
            Column("key", String(LONGEST_ID), primary_key=True),
            Column("kind", String(40), primary_key=True),
            Column("due", Float, nullable=False),
            Index("timer_due", "due"),
        )
        table = self.table
        of_key, of_kind = table.c.key == bindparam("of"), table.c.kind == bindparam("which")
        # Statements are built once: building one costs more than running it.
        self._running = Statement(select(table.c.kind, table.c.due).where(of_key))
        self._clear_all = Statement(delete(table).where(of_key))
        self._clear_one = Statement(delete(table).where(of_key, of_kind))
        self._take = Statement(delete(table).where(of_key, of_kind, table.c.due == bindparam("then")))
        self._insert = Statement(insert(table))
        self._restart = Statement(update(table).where(of_key, of_kind))
        self._change = Statement(text(CHANGE))
        self._due = select(table).where(table.c.due <= bindparam("now")).order_by(table.c.due).limit(MOST_AT_ONCE)

    def set(self, connection: Connection, timer: Timer) -> None:
        """Start or restart a timer."""
        if self._restart.change(connection, {"of": timer.key, "which": timer.kind, "due": timer.due}) == 0:
            self._insert.change(connection, {"key": timer.key, "kind": timer.kind, "due": timer.due})

    def change(self, connection: Connection, key: str, start: Mapping[str, float], stop: Collection[str]) -> None:
        """Start or restart the timers of these kinds, by when they are due, and stop those of others.

        On Postgres, where each statement goes to another process and back, all by one.
        """
        if connection.dialect.name == "postgresql":
            if start or stop:
                due = {"kinds": list(start), "dues": list(start.values())}
                self._change.change(
                    connection, {"of": key, "stopped": [kind for kind in stop if kind not in start], **due}
                )
            return
        for kind in stop:
            self.clear(connection, key, kind)
        for kind, at in start.items():
            self.set(connection, Timer(key=key, kind=kind, due=at))

    def clear(self, connection: Connection, key: str, kind: str | None = None) -> None:
        """Stop the timer of one kind, or all timers, of this key."""
        if kind is None:
            self._clear_all.change(connection, {"of": key})
        else:
            self._clear_one.change(connection, {"of": key, "which": kind})

    def running(self, connection: Connection, key: str) -> dict[str, float]:
        """Return the timers that run for this key: due time by kind."""
        return {row.kind: row.due for row in self._running.all(connection, {"of": key})}

    def take(self, connection: Connection, timer: Timer) -> bool:
        """Remove a due timer; return False if it was stopped or restarted meanwhile."""
        return bool(self._take.change(connection, {"of": timer.key, "which": timer.kind, "then": timer.due}))

    def retry_later(self, connection: Connection, timer: Timer, later: Timer) -> None:
        """Set a due timer for later, unless it was stopped or restarted meanwhile."""
        if self.take(connection, timer):
            self.set(connection, later)

    def postpone(self, connection: Connection, soon: float) -> None:
        """Postpone the timers that are due before ``soon`` (seconds since 1970) until then.

        After a start: whoever couldn't reach this side while it was away wasn't silent.
        """
        connection.execute(update(self.table).where(self.table.c.due < soon).values(due=soon))

    def due(self, connection: Connection, now: float) -> list[Timer]:
        """Return the due timers, the longest overdue first."""
        return [Timer(key=row.key, kind=row.kind, due=row.due) for row in connection.execute(self._due, {"now": now})]


class Clock:
    """Fires due timers while it is entered: ``async with Clock(store, timers, fire)``.

    ``now`` returns the wall-clock time in seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        timers: Timers,
        fire: Callable[[Timer], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._timers, self._fire, self._now = store, timers, fire, now
        self._task: asyncio.Task[None] | None = None
        self._failed: set[tuple[str, str]] = set()

    async def __aenter__(self) -> "Clock":
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await cancel_all(self._task)

    async def _tick(self) -> None:
        while True:
            try:
                for timer in await self._store.write(lambda connection: self._timers.due(connection, self._now())):
                    await self._fire_one(timer)
            except (Unreachable, StoreError, *TROUBLES) as problem:
                log.debug("Timers can't fire now: %s", problem)  # the database's outage is logged elsewhere
            except Exception:
                log.exception("The timers couldn't be read; that is tried again.")
            await asyncio.sleep(CHECK_SECONDS)

    async def _fire_one(self, timer: Timer) -> None:
        """Fire one timer; postpone it if it fails.

        Raises:
            Unreachable, StoreError: the database can't be used now, which affects every timer.
        """
        which = timer.key, timer.kind
        try:
            await self._fire(timer)
            self._failed.discard(which)
        except (Unreachable, StoreError, *TROUBLES):
            raise
        except Exception:
            if which not in self._failed:
                whose = short_id(timer.key)
                log.exception("The timer %s of %s failed; it is tried every %g s.", timer.kind, whose, RETRY_SECONDS)
            if len(self._failed) < MOST_AT_ONCE:
                self._failed.add(which)
            later = Timer(key=timer.key, kind=timer.kind, due=self._now() + RETRY_SECONDS)
            await self._store.write(lambda connection: self._timers.retry_later(connection, timer, later))
