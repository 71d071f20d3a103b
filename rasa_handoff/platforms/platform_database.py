"""The database of the platform channels of a process: one store for each URL, which they share.

While it can't be used, the channels go on without it: what they would read counts as not there, and what they write is kept in
memory and written in its order as soon as the database is back. An outage is logged once.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from rasa_handoff.admin import forget_command
from rasa_handoff.admin.forget_command import Forgotten
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.platforms import memory_tables
from rasa_handoff.platforms.memory_tables import CHANGE, LATE, NOBODY, delete_older
from rasa_handoff.protocol.errors import SettingsError, StoreError, StoreUnavailable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.retention_settings import DAY
from rasa_handoff.store.batch import Work
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import Membership
from rasa_handoff.store.retention import DeletionStep, Expiry, Retention
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

T = TypeVar("T")

log = get_log(__name__)

SAME_OUTAGE: Final = 60.0
"""Failures less than this many seconds apart are one outage."""
AGAIN_SECONDS: Final = 1.0
"""Seconds between two attempts to write what is kept in memory."""
MOST_KEPT: Final = 10_000
"""Pieces of work that are kept in memory at most; of more, the oldest are lost."""

KEPT_DAYS: Final = (
    ("answers to platforms", memory_tables.calls, 1, lambda table: table.c.holder == NOBODY),
    ("late messages", memory_tables.waiting, 7, lambda table: (table.c.kind == LATE) & (table.c.holder == NOBODY)),
    ("changes to trackers", memory_tables.waiting, 30, lambda table: (table.c.kind == CHANGE) & (table.c.holder == NOBODY)),
    ("contexts of conversations", memory_tables.contexts, 30, None),
)  # fmt: skip
"""How long each kind of row is kept, in days since it was made or used last."""


class PlatformDatabase:
    """The database of one URL, open while a channel uses it: :func:`open_database`, :meth:`leave`."""

    def __init__(self, url: str) -> None:
        self.store = store_of(url)
        self.users = 0
        self._closed = False
        self._failed_at = float("-inf")
        self._kept: deque[Work[Any]] = deque()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self._retention = Retention([self._expiry(*kept) for kept in KEPT_DAYS])
        self._membership = Membership(self.store, memory_tables.processes, _release, _nothing, _nothing)
        self._stack = AsyncExitStack()

    @property
    def process(self) -> str:
        """The id of this process, in the rows that it is at work on."""
        return self.store.process

    async def open(self) -> None:
        """Open the store, and release what processes had that have ended."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.store)
            await self.store.write(memory_tables.release)
            await stack.enter_async_context(self._membership)
            await stack.enter_async_context(self._retention)
            await stack.enter_async_context(AdminSocket(self.store.url, forget_command.handlers(self._forget)))
            self._stack = stack.pop_all()

    async def _forget(self, conversation_id: str, _: str | None) -> Forgotten:
        rows = await self.write(lambda connection: memory_tables.forget(connection, conversation_id))
        return Forgotten(handoffs=0, messages=rows)

    async def leave(self) -> None:
        """Close the store when the last channel leaves it."""
        self.users -= 1
        if self.users:
            return
        _open.pop(self.store.url, None)
        self._closed = True
        if self._writer is not None:
            await cancel_all(self._writer)
        with contextlib.suppress(StoreError):
            await self._write_kept()
        if self._kept:
            log.error("%s pieces of what platforms said are lost: their database stayed away.", len(self._kept))
        await self._stack.aclose()

    async def others_are_at_work(self) -> bool:
        """Return whether another process works with the database; beside one that was killed this takes some seconds.

        Raises:
            StoreUnavailable: the database can't be used now.
        """
        return await self._membership.others_are_at_work()

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction, behind what is kept in memory, and return its result after the commit.

        Raises:
            StoreUnavailable: the database can't be used now; nothing was done.
            StoreError: the store is closed.
        """
        if self._kept:
            await self._write_kept()
        return await self._write(work)

    async def write_later(self, work: Work[Any]) -> None:
        """Run ``work`` in a transaction now, or as soon as the database can be used."""
        try:
            await self.write(work)
        except StoreError:
            self.keep(work)

    def keep(self, work: Work[Any]) -> None:
        """Run ``work`` in a transaction as soon as the database can be used again."""
        if self._closed:
            log.error("Something that a platform's channel had to remember is lost: its database is closed.")
            return
        self._kept.append(work)
        if len(self._kept) > MOST_KEPT:
            self._kept.popleft()
            log.warning("The database of the platforms is away for so long that something of what it missed is lost.")
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_when_back())

    async def _write_when_back(self) -> None:
        while self._kept:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await self._write_kept()
            except StoreError as problem:
                log.debug("What is kept for the platforms' database still waits: %s", problem)

    async def _write_kept(self) -> None:
        """Write what is kept, in its order.

        Raises:
            StoreError: the database still can't be used.
        """
        async with self._writing:
            while self._kept:
                work = self._kept[0]
                try:
                    await self._write(work)
                except StoreError:
                    raise
                except Exception:
                    log.exception(
                        "Something that a platform's channel had to remember can't be written: it is dropped."
                    )
                if self._kept and self._kept[0] is work:
                    self._kept.popleft()

    async def _write(self, work: Work[T]) -> T:
        try:
            return await self.store.write(work)
        except TROUBLES as problem:
            sentence = f"The database of the platform channels can't be used now: {problem}"
            if time.monotonic() - self._failed_at > SAME_OUTAGE:
                log.error("%s. They go on without it, and write later what they have to remember.", sentence)
            self._failed_at = time.monotonic()
            raise StoreUnavailable(sentence) from problem

    def _expiry(self, what: str, table: Any, days: float, only: Callable[[Any], Any] | None) -> Expiry:
        delete = delete_older(table, only)

        async def step(before: float, _: Any) -> DeletionStep:
            return await self.write(lambda connection: delete(connection, before))

        return Expiry(what=what, seconds=days * DAY, step=step)


_open: Final[dict[str, PlatformDatabase]] = {}
"""The databases that this process has open, by URL."""


async def open_database(url: str) -> PlatformDatabase:
    """Return the database of this URL, open; :meth:`PlatformDatabase.leave` closes it.

    Raises:
        StoreError: it can't be opened.
    """
    database = _open.get(url)
    if database is None:
        database = PlatformDatabase(url)
        await database.open()
        _open[url] = database
    database.users += 1
    return database


def check_database(channel: str, url: str) -> None:
    """Check that this process can have the database, and bring its tables up to date.

    Raises:
        SettingsError: it can't; one sentence.
    """
    try:
        store = store_of(url)
        store.prepare()
        if not store.shared:
            store.check_free()
        store.dispose()  # Sanic may fork; a connection must not be shared
    except StoreError as problem:
        raise SettingsError(f"{channel}: database: {problem}") from problem


def store_of(url: str) -> Store:
    """Return the store of this URL, which several processes share if it is Postgres."""
    return Store(
        url,
        memory_tables.metadata,
        memory_tables.SIDE,
        memory_tables.SCHEMA,
        memory_tables.STEPS,
        memory_tables.OLDEST,
        shares=True,
    )


def _release(connection: Connection, _: Table) -> bool:
    return memory_tables.release(connection)


def _nothing() -> None:
    """Do nothing: nothing in memory depends on what this process or another one has lost."""
