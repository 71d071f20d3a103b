"""The change log: what one process has changed that others of its side have to know.

It is written in the transaction of the change, at its end, on databases that several processes share; each process reads what
others have written since it read last. The bus (``bus.py``) only says that there is something to read.

Rows become visible in the order of the commits, not in that of their keys: a transaction that began earlier may commit later. So
a reader remembers which transactions were under way when it read last, and reads what these and later ones have written. Others
are never read again, however long a transaction of somebody else's lasts.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    all_,
    any_,
    bindparam,
    delete,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Value
from rasa_handoff.store import changes
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import NOW
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES
from rasa_handoff.store.writer import PROCESS

log = get_log(__name__)

KEPT_SECONDS: Final = 60.0
"""Seconds for which a change is kept. A process that reads later has lost its leases before, and reads everything anew."""
DELETED_EVERY: Final = 20.0
"""Seconds between two deletions of old changes."""
LOOK_SECONDS: Final = 2.0
"""Seconds after which a reader looks without being rung: a ring may be lost."""
AGAIN_SECONDS: Final = 1.0
"""Seconds until a failed reading is tried again."""


INSERT: Final = """
INSERT INTO change (xid, process, topic, subject, body, at)
SELECT txid_current(), CAST(:process AS varchar), topic, subject, body, CAST(extract(epoch from clock_timestamp()) AS float)
FROM unnest(CAST(:topics AS varchar[]), CAST(:subjects AS varchar[]), CAST(:bodies AS text[]))
WITH ORDINALITY AS noted (topic, subject, body, place) ORDER BY place
"""


class LoggedChange(Value, frozen=True, kw_only=True):
    """A change that another process has made.

    ``topic``: what kind; ``subject``: of what; ``body``: more about it; ``process``: which process has made it.
    """

    topic: str
    subject: str
    body: str
    process: str


class Snapshot(Value, frozen=True, kw_only=True):
    """Which transactions had ended at one moment: all before ``end``, without those that were ``under_way``."""

    end: int
    under_way: tuple[int, ...]


ChangeHandler = Callable[[Sequence[LoggedChange]], Awaitable[None]]
"""Takes changes of one topic, in order."""


class ChangeLog:
    """The table of one side's changes. It is empty on databases with one owner."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "change",
            metadata,
            Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            # The number of the transaction, by which a reader knows what it may have missed.
            Column("xid", BigInteger, nullable=False),
            Column("process", String(32), nullable=False),
            Column("topic", String(40), nullable=False),
            Column("subject", String(LONGEST_ID), nullable=False),
            Column("body", Text, nullable=False),
            Column("at", Float, nullable=False),
            Index("change_xid", "xid"),
            Index("change_at", "at"),
        )
        table = self.table
        self._insert = Statement(text(INSERT))
        wanted = (table.c.process != bindparam("reader")) | (table.c.topic == bindparam("own"))
        has_ended = (table.c.xid < bindparam("end")) & (table.c.xid != all_(_numbers("under_way")))
        is_new = (table.c.xid >= bindparam("last_end")) | (table.c.xid == any_(_numbers("last_under_way")))
        self._new = Statement(select(table).where(is_new, has_ended, wanted).order_by(table.c.key))
        shown = literal_column("CAST(txid_current_snapshot() AS text)", String).label("shown")
        own = literal_column("txid_current_if_assigned()", BigInteger).label("own")
        self._snapshot = Statement(select(shown, own))
        self._delete_old = delete(table).where(table.c.at < NOW - bindparam("seconds", type_=Float))

    def note(self, connection: Connection, topic: str, subject: str, body: str = "") -> None:
        """Note a change for the other processes; nothing on a database with one owner."""
        if connection.info.get(PROCESS) is not None:
            under_way: changes.Changes = connection.info[changes.KEY]
            under_way.log_at_end(changes.LoggedRow(topic, subject, body), self._write)

    def _write(self, connection: Connection, rows: Sequence[changes.LoggedRow]) -> None:
        """Write what was noted in a transaction, in its order, by one statement."""
        topics, subjects, bodies = (list(values) for values in zip(*rows, strict=True))
        process = connection.info[PROCESS]
        self._insert.change(connection, {"process": process, "topics": topics, "subjects": subjects, "bodies": bodies})

    def snapshot(self, connection: Connection) -> Snapshot:
        """Return which transactions have ended by now. The one that asks hasn't, though it sees what it has written itself."""
        row = self._snapshot.first(connection, {})
        _, end, under_way = row.shown.split(":")
        own = () if row.own is None else (row.own,)
        return Snapshot(end=int(end), under_way=(*map(int, under_way.split(",") if under_way else ()), *own))

    def between(
        self, connection: Connection, last: Snapshot, now: Snapshot, reader: str, own_topic: str = ""
    ) -> list[LoggedChange]:
        """Return the changes of the transactions that ended between two moments, in order of their keys.

        Those of the ``reader`` itself only if they are of ``own_topic``.
        """
        ended = {"last_end": last.end, "last_under_way": list(last.under_way)}
        here = {"end": now.end, "under_way": list(now.under_way), "reader": reader, "own": own_topic}
        return [_change(row) for row in self._new.all(connection, {**ended, **here})]

    def delete_old(self, connection: Connection) -> None:
        """Delete the changes that every process has read."""
        connection.execute(self._delete_old, {"seconds": KEPT_SECONDS})


def _change(row: Any) -> LoggedChange:
    return LoggedChange(topic=row.topic, subject=row.subject, body=row.body, process=row.process)


def _numbers(name: str) -> Any:
    """Return a parameter for the numbers of transactions."""
    return bindparam(name, type_=ARRAY(BigInteger))


class ChangeReader:
    """Reads what other processes have changed: ``async with ChangeReader(...) as reader``, then ``reader.begin()``.

    It begins with what is committed after it was entered: so it is entered before anything is read into memory, and ``begin`` is
    called when ``handlers`` (by topic) may be. Without other processes it does nothing. ``own_topic``: a topic of which this
    process's own changes are read too, for a handler that needs those of all processes in one order.
    """

    def __init__(
        self, store: Store, change_log: ChangeLog, handlers: Mapping[str, ChangeHandler], own_topic: str = ""
    ) -> None:
        self._store, self._change_log, self._handlers, self._own_topic = store, change_log, handlers, own_topic
        self._last = Snapshot(end=0, under_way=())
        self._signal = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "ChangeReader":
        if self._store.shared:
            self._last = await self._store.write(self._change_log.snapshot)
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all(*self._tasks)

    def begin(self) -> None:
        """Begin to read."""
        if self._store.shared:
            self._tasks += [asyncio.create_task(self._follow_rings()), asyncio.create_task(self._delete_old())]

    def look(self) -> None:
        """Read what there is: another process has rung."""
        self._signal.set()

    async def _follow_rings(self) -> None:
        self._signal.set()
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._signal.wait(), LOOK_SECONDS)
            self._signal.clear()
            try:
                await self._read()
            except (Unreachable, StoreError, *TROUBLES) as problem:
                log.debug("The changes of other processes can't be read now: %s", problem)
                await self._again()
            except Exception:
                log.exception("The changes of other processes couldn't be read; that is tried again.")
                await self._again()

    async def _again(self) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        self._signal.set()

    async def _read(self) -> None:
        def work(connection: Connection) -> tuple[Snapshot, list[LoggedChange]]:
            now = self._change_log.snapshot(connection)
            found = self._change_log.between(connection, self._last, now, self._store.process, self._own_topic)
            return now, found

        now, found = await self._store.write(work)
        for topic, handler in self._handlers.items():
            if changes := [change for change in found if change.topic == topic]:
                try:
                    await handler(changes)
                except (Unreachable, StoreError, *TROUBLES):
                    raise
                except Exception:
                    log.exception("What another process changed (%s) couldn't be followed.", topic)
        # Last: if the database can't be used meanwhile, all are read again, and followed twice at worst.
        self._last = now

    async def _delete_old(self) -> None:
        while True:
            await asyncio.sleep(DELETED_EVERY)
            try:
                await self._store.write(self._change_log.delete_old)
            except Exception as problem:  # they are deleted later
                log.debug("Old changes can't be deleted now: %s", problem)
