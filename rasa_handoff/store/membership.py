"""The processes that share a database, each with a row and a heartbeat.

On Postgres any number of processes of one side work with one database. Work that only one may do at a time, such as delivering a
lane of the outbox, is leased: its rows name the process (``holder``), and the lease lasts as long as that process has a row here.

A process renews its row once a second. A row that is older than ``LEASE`` seconds belongs to a process that has ended, or that
stands still: another process deletes it and takes its leases. A process that finds its own row gone has lost its leases: it
forgets what it had in memory, and goes on under a new id. It begins nothing while its last heartbeat is too old.

All times are the database's, since the clocks of machines differ.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    false,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

HEARTBEAT: Final = 1.0
"""Seconds between two heartbeats."""
LOOK_FOR_ENDED: Final = 2
"""Heartbeats between two looks for processes that have ended."""
LEASE: Final = 8.0
"""Seconds after its last heartbeat at which a process counts as ended."""
MARGIN: Final = 2.0
"""Seconds before the end of its lease from which a process begins no delivery any more: another one may be about to take it."""

NOW: Final = literal_column("CAST(extract(epoch from clock_timestamp()) AS float)", Float)
"""The time of a Postgres database, in seconds since 1970."""


class Processes:
    """The table of one side's processes, and its operations. It is empty on databases with one owner."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "process",
            metadata,
            Column("id", String(32), primary_key=True),
            Column("started_at", Float, nullable=False),
            Column("seen_at", Float, nullable=False),
            # Whether it is connected to the other side, and can deliver what is for it.
            Column("connected", Boolean, nullable=False, server_default=false()),
        )
        table = self.table
        self._insert = insert(table).values(id=bindparam("process"), started_at=NOW, seen_at=NOW)
        self._renew = Statement(update(table).where(table.c.id == bindparam("process")).values(seen_at=NOW))
        old = table.c.seen_at < NOW - bindparam("lease", type_=Float)
        self._ended = Statement(select(table.c.id).where(old).with_for_update(skip_locked=True))
        self._delete = delete(table).where(table.c.id == bindparam("process"))
        self._note_connected = update(table).where(table.c.id == bindparam("process"))
        other = table.c.id != bindparam("process")
        self._connected = select(table.c.id).where(table.c.connected, other, ~old).limit(1)
        self._first = select(table.c.id).where(~old).order_by(table.c.started_at, table.c.id).limit(1)
        self._others = select(table.c.id, table.c.seen_at).where(other, ~old)

    def add(self, connection: Connection, process: str) -> None:
        """Add a process that begins."""
        connection.execute(self._insert, {"process": process})

    def renew(self, connection: Connection, process: str) -> bool:
        """Renew the row of a process; return False if it has none any more."""
        return bool(self._renew.change(connection, {"process": process}))

    def remove(self, connection: Connection, process: str) -> None:
        """Remove a process that ends."""
        connection.execute(self._delete, {"process": process})

    def remove_ended(self, connection: Connection) -> None:
        """Remove the processes that have ended without saying so."""
        for row in self._ended.all(connection, {"lease": LEASE}):
            self.remove(connection, row.id)

    def note_connected(self, connection: Connection, process: str, connected: bool) -> None:
        """Note whether a process is connected to the other side."""
        connection.execute(self._note_connected.values(connected=connected), {"process": process})

    def connected(self, connection: Connection, process: str) -> str | None:
        """Return a process beside this one that is connected to the other side; None if there is none."""
        others = connection.execute(self._connected, {"process": process, "lease": LEASE}).scalars()
        found: str | None = others.first()
        return found

    def first(self, connection: Connection) -> str | None:
        """Return the process that began first, of those at work."""
        found: str | None = connection.execute(self._first, {"lease": LEASE}).scalars().first()
        return found

    def others(self, connection: Connection, process: str) -> dict[str, float]:
        """Return when each process beside this one was seen last; those that were killed are among them for ``LEASE`` seconds."""
        rows = connection.execute(self._others, {"process": process, "lease": LEASE})
        return {row.id: row.seen_at for row in rows}


class Membership:
    """The membership of this process among those that share its store: ``async with Membership(...)``.

    On a store with one owner it does nothing and is always valid. ``release_leases`` ends the leases of processes without a row;
    it gets the table of processes, is called in a transaction, and returns whether there were any; ``on_released`` is called in
    the event loop after that. ``on_lost`` is called in the event loop after this process has lost its own leases.
    """

    def __init__(
        self,
        store: Store,
        processes: Processes,
        release_leases: Callable[[Connection, Table], bool],
        on_released: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._store, self._processes = store, processes
        self._release_leases, self._on_released, self._on_lost = release_leases, on_released, on_lost
        self._renewed_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether this process may begin what it has leased."""
        return not self._store.shared or time.monotonic() - self._renewed_at < LEASE - MARGIN

    async def is_alone(self) -> bool:
        """Return whether no other process is at work. One that was killed counts as at work for ``LEASE`` seconds."""
        return not self._store.shared or not await self._others()

    async def others_are_at_work(self) -> bool:
        """Return whether another process is at work, which shows in its next heartbeat.

        With none this returns at once, and beside one that was killed after at most ``LEASE`` seconds.
        """
        if not self._store.shared:
            return False
        seen = others = await self._others()
        while others:
            if any(seen_at > seen.get(process, 0) for process, seen_at in others.items()):
                return True
            await asyncio.sleep(HEARTBEAT / 4)
            others = await self._others()
        return False

    async def _others(self) -> dict[str, float]:
        return await self._store.write(lambda connection: self._processes.others(connection, self._store.process))

    async def is_first(self) -> bool:
        """Return whether this process does what only one is to do."""
        return not self._store.shared or await self._store.write(self._processes.first) == self._store.process

    async def __aenter__(self) -> "Membership":
        if self._store.shared:
            await self._join()
            self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        await cancel_all(self._task)
        try:
            await self._store.write(self._leave)
        except (Unreachable, StoreError, *TROUBLES) as problem:
            log.debug("The end of this process can't be noted; its leases end by themselves: %s", problem)

    def _leave(self, connection: Connection) -> None:
        self._processes.remove(connection, self._store.process)
        self._release_leases(connection, self._processes.table)

    async def _join(self) -> None:
        def join(connection: Connection) -> None:
            self._processes.add(connection, self._store.process)
            self._processes.remove_ended(connection)
            self._release_leases(connection, self._processes.table)

        began = time.monotonic()
        await self._store.write(join)
        self._renewed_at = began

    async def _beat(self) -> None:
        for beat in itertools.count(1):
            await asyncio.sleep(HEARTBEAT)
            try:
                # After an outage of the database the others get the time to renew their rows, too.
                is_late = time.monotonic() - self._renewed_at > LEASE - HEARTBEAT
                await self._renew(looks_for_ended=beat % LOOK_FOR_ENDED == 0 and not is_late)
            except (Unreachable, StoreError, *TROUBLES) as problem:
                log.debug(
                    "The heartbeat can't be written now: %s", problem
                )  # the database's outage is logged elsewhere
            except Exception:
                log.exception("The heartbeat failed; that is tried again.")

    async def _renew(self, looks_for_ended: bool) -> None:
        def renew(connection: Connection) -> tuple[bool, bool]:
            if not self._processes.renew(connection, self._store.process):
                return False, False
            if not looks_for_ended:
                return True, False
            self._processes.remove_ended(connection)
            return True, self._release_leases(connection, self._processes.table)

        began = time.monotonic()  # before the statement: the database may take it at any time from now on
        renewed, released = await self._store.write(renew)
        if released:
            self._on_released()
        if renewed:
            self._renewed_at = began
            return
        log.warning(
            "This process stood still for more than %g s, so others have taken over what it was doing. It goes on.",
            LEASE,
        )
        self._store.begin_anew()
        await self._join()
        self._on_lost()
