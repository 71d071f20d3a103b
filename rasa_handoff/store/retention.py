"""Deletes what is older than an operator wants to keep, a little at a time, in the process that owns the database.

Each kind of thing has an :class:`Expiry`. A step of one is a short transaction: it looks at a bounded number of candidates, the
oldest first, and deletes those that may go. Between two steps the task rests for longer than the step took, so that messages of
live chats get through, also when years are to be deleted. Where a step went on is kept in memory alone: a process that starts
again looks anew. Two processes may delete at the same time; what one has deleted the other doesn't find.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from sqlalchemy import Column, Table, delete, or_, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.outbox import Outbox
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

MOST_LOOKED_AT: Final = 20
"""Candidates, such as ended handoffs, that one step looks at."""
MOST_ROWS: Final = 500
"""Small rows that one step deletes: other transactions wait for it."""
CHECK_SECONDS: Final = 5.0
"""Seconds between two looks at the clock, which may jump."""
AGAIN_SECONDS: Final = 3_600.0
"""Seconds until an expiry begins again, once it has looked at everything that is old enough."""
SHORTEST_REST: Final = 0.05
"""Seconds between two steps at least."""
RESTS: Final = 9
"""A rest lasts so many times as long as the step before it: deleting takes a tenth of the time at most."""


class DeletionStep(Value, frozen=True, kw_only=True):
    """The result of one step. ``deleted``: how many things. ``place``: where the next step goes on; None: nothing is left."""

    deleted: int
    place: Any = None


class Expiry(Value, frozen=True, kw_only=True):
    """A kind of thing that is deleted once it is old enough.

    ``what``: for the log. ``seconds``: how long it is kept. ``step``: takes the time (seconds since 1970) before which things are
    too old, and the place where the last step ended (None: at the beginning), and deletes some.
    """

    what: str
    seconds: float
    step: Callable[[float, Any], Awaitable[DeletionStep]]


class Retention:
    """Follows the expiries while it is entered: ``async with Retention(expiries, now)``. ``now`` returns seconds since 1970."""

    def __init__(self, expiries: Sequence[Expiry], now: Callable[[], float] = time.time) -> None:
        self._expiries, self._now, self._next = expiries, now, 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Retention":
        if self._expiries:
            self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await cancel_all(self._task)

    async def _run(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(CHECK_SECONDS)

    async def check(self) -> None:
        """Delete everything that is too old, step by step; nothing within an hour of the last time."""
        if self._now() >= self._next:
            self._next = self._now() + AGAIN_SECONDS
            for expiry in self._expiries:
                await self._follow(expiry)

    async def _follow(self, expiry: Expiry) -> None:
        """Take the steps of one expiry until everything that is old enough was looked at."""
        place, deleted = None, 0
        try:
            while True:
                begun = time.monotonic()
                step = await expiry.step(self._now() - expiry.seconds, place)
                deleted += step.deleted
                if (place := step.place) is None:
                    break
                await asyncio.sleep(max(SHORTEST_REST, RESTS * (time.monotonic() - begun)))
        except (Unreachable, StoreError, *TROUBLES) as problem:
            # The database's outage is logged elsewhere.
            log.debug("Old %s can't be deleted now: %s", expiry.what, problem)
        except Exception:
            log.exception("Old %s can't be deleted; that is tried again later.", expiry.what)
        if deleted:
            log.info("Deleted: %s %s that were kept long enough.", f"{deleted:,}", expiry.what)


BEGINNING: Final = (-1.0, "")
"""The place before the first handoff that has ended: its time, and its id."""


def ended_from(query: Any, ended_at: "Column[Any]", handoff_id: "Column[Any]", before: float, place: Any) -> Any:
    """Narrow a query to ``MOST_LOOKED_AT`` handoffs that ended before this time, the oldest first, behind ``place``.

    They are locked until the transaction ends; what another process has locked is left to it.
    """
    since, last_id = place or BEGINNING
    behind = or_(ended_at > since, (ended_at == since) & (handoff_id > last_id))
    query = query.where(ended_at < before, ended_at >= since, behind).order_by(ended_at, handoff_id)
    return query.limit(MOST_LOOKED_AT).with_for_update(skip_locked=True)


def place_behind(rows: Sequence[Any]) -> tuple[float, str] | None:
    """Return the place behind these rows of :func:`ended_from`; None if they are the last ones."""
    return (rows[-1].ended_at, rows[-1].handoff_id) if len(rows) == MOST_LOOKED_AT else None


def delete_messages(connection: Connection, messages: Table, handoff_ids: Sequence[str]) -> tuple[list[str], bool]:
    """Delete messages of handoffs, ``MOST_ROWS`` at most.

    Return the handoffs that have no message any more, and whether all are among them. ``messages``: a table with the columns
    ``handoff_id`` and ``id``.
    """
    columns = messages.c
    query = select(columns.handoff_id, columns.id).where(columns.handoff_id.in_(handoff_ids))
    rows = connection.execute(query.order_by(columns.handoff_id, columns.id).limit(MOST_ROWS + 1)).all()
    if len(rows) <= MOST_ROWS:
        connection.execute(delete(messages).where(columns.handoff_id.in_(handoff_ids)))
        return list(handoff_ids), True
    last = rows[-1].handoff_id
    whole = list(dict.fromkeys(row.handoff_id for row in rows if row.handoff_id != last))
    if whole:
        connection.execute(delete(messages).where(columns.handoff_id.in_(whole)))
    else:
        ids = [row.id for row in rows[:MOST_ROWS]]
        connection.execute(delete(messages).where(columns.handoff_id == last, columns.id.in_(ids)))
    return whole, False


def delete_dead_letters(connection: Connection, outbox: Outbox, before: float, place: int | None) -> DeletionStep:
    """Look at ``MOST_ROWS`` dead letters behind ``place``, and delete those that were set aside before this time."""
    columns = outbox.dead_letters.c
    query = select(columns.number, columns.set_aside_at).where(columns.number > (place or 0)).order_by(columns.number)
    rows = connection.execute(query.limit(MOST_ROWS)).all()
    due = [row.number for row in rows if row.set_aside_at < before]
    if due:
        connection.execute(delete(outbox.dead_letters).where(columns.number.in_(due)))
    return DeletionStep(deleted=len(due), place=rows[-1].number if due and len(rows) == MOST_ROWS else None)
