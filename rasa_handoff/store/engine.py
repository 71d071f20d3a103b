"""One database with one writer.

All work runs in one thread, in the order it was handed in, and what comes together shares a commit. The caller is
answered after the commit, so what was answered is never lost. SQLite in a file by default, anything else by URL.

SQLAlchemy Core, called directly in a thread, costs about a tenth of its asyncio form (reference/rasa-facts.md, Storage).
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select, update
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, InternalError, OperationalError, SQLAlchemyError, TimeoutError

from rasa_handoff.store.migrations import Steps, migrate
from rasa_handoff.store.ownership import Ownership
from rasa_handoff.store.sqlite import sqlite_engine
from rasa_handoff.vocabulary.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]

TROUBLES: Final = (OperationalError, InterfaceError, InternalError, TimeoutError)
"""What a database raises that is locked, full or away: nothing was committed, and it may be tried again."""

MOST_TO_A_COMMIT: Final = 200
BUSY_SECONDS: Final = 2
"""How long a locked SQLite file is waited for; shorter than anybody waits for an answer."""


def meta_table(metadata: MetaData) -> Table:
    """The table that says whose database this is: keys ``side``, ``schema``, ``epoch``."""
    return Table(
        "meta", metadata, Column("key", String(40), primary_key=True), Column("value", String(200), nullable=False)
    )


class Store:
    """A database of one side (``"relay"`` or ``"server"``), opened as ``async with Store(...)``.

    ``epoch`` is made once per database: a changed one tells the other side that a database was lost. ``shared``: other
    processes may use it at the same time.
    """

    def __init__(self, url: str, metadata: MetaData, side: str, schema: int, steps: Steps | None = None) -> None:
        self.url = url
        self.epoch = ""
        self._metadata, self._side, self._schema, self._steps = metadata, side, schema, steps or {}
        self._meta = metadata.tables.get("meta", None)
        if self._meta is None:
            self._meta = meta_table(metadata)
        self._engine = _engine(url)
        self._ownership = Ownership(url)
        self.shared = self._engine.dialect.name != "sqlite"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{side}-store")
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> "Store":
        self._ownership.take()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self.prepare)
        except BaseException:
            self._ownership.leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        while self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()
        self._ownership.leave()

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; answered after the commit.

        ``work`` may be run a second time (alone, if a neighbour in the same commit failed), so it must touch nothing but
        the connection. An exception it raises is raised here, and what it wrote is rolled back.

        Raises:
            StoreError: the store is closed.
        """
        if self._closed:
            raise StoreError(f"The database {_shown(self.url)} is closed.")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return await answer

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_TO_A_COMMIT], self._waiting[MOST_TO_A_COMMIT:]
                answers = await loop.run_in_executor(self._thread, self._commit, [work for work, _ in batch])
                for (_, future), answer in zip(batch, answers, strict=True):
                    _resolve(future, answer)
        finally:
            self._committing = None

    def _commit(self, batch: Sequence[Work[Any]]) -> list[Any]:
        begun = False
        try:
            with self._engine.begin() as connection:
                begun = True
                return [work(connection) for work in batch]
        except Exception as problem:
            if len(batch) == 1 or not begun:  # locked or away: each alone would wait as long again
                return [problem] * len(batch)
            return [self._commit([work])[0] for work in batch]

    def run(self, work: Work[T]) -> T:
        """The same without a loop, for the command line: one transaction, at once."""
        with self._engine.begin() as connection:
            return work(connection)

    def prepare(self) -> None:
        """Make the tables if they are missing and check whose database it is.

        Raises:
            StoreError: if it can't be opened, is the other side's, has a newer schema, or has an older one and is in use.
        """
        try:
            with self._engine.begin() as connection:
                self._check(connection)
                self._metadata.create_all(connection)
        except SQLAlchemyError as problem:
            raise StoreError(f"The database {_shown(self.url)} can't be opened: {_first_line(problem)}.") from problem

    def check_free(self) -> None:
        """See whether another process has this database open.

        Raises:
            StoreError: if it has.
        """
        self._ownership.take()
        self._ownership.leave()

    def dispose(self) -> None:
        """Let go of the file or the connections (the command line's ``close``)."""
        self._engine.dispose()

    def _check(self, connection: Connection) -> None:
        """Whose database it is, and of which schema; an older one is brought up to this version's."""
        assert self._meta is not None
        self._meta.create(connection, checkfirst=True)
        known = {row.key: row.value for row in connection.execute(select(self._meta))}
        if not known:
            known = {"side": self._side, "schema": str(self._schema), "epoch": uuid.uuid4().hex}
            connection.execute(insert(self._meta), [{"key": key, "value": value} for key, value in known.items()])
        if known["side"] != self._side:
            raise StoreError(
                f"The database {_shown(self.url)} belongs to the {known['side']}, not to the {self._side}: "
                f"give the {self._side} a database of its own."
            )
        self._migrate(connection, int(known["schema"]))
        self.epoch = known["epoch"]

    def _migrate(self, connection: Connection, found: int) -> None:
        assert self._meta is not None
        if found > self._schema:
            raise StoreError(
                f"The database {_shown(self.url)} has schema {found}, this version of rasa-handoff knows up to "
                f"{self._schema}: install the newer version that wrote it."
            )
        if found < self._schema:
            with self._ownership.held():  # an older version at work doesn't know the newer tables
                migrate(connection, self._steps, found, self._schema)
                here = self._meta.c.key == "schema"
                connection.execute(update(self._meta).where(here).values(value=str(self._schema)))
            log.info("The database %s was brought from schema %s to %s.", _shown(self.url), found, self._schema)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(url, future=True, pool_size=1, max_overflow=0, pool_pre_ping=True)
        return sqlite_engine(parsed, BUSY_SECONDS)
    except (ArgumentError, ImportError) as problem:
        raise StoreError(
            f"The database URL {url!r} can't be used: {_first_line(problem)}. Try sqlite:///handoff.db."
        ) from problem


def _resolve(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():  # whoever asked has been cancelled; the commit stands
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _shown(url: str) -> str:
    with contextlib.suppress(ArgumentError):
        return str(make_url(url).render_as_string(hide_password=True))
    return url


def _first_line(problem: Exception) -> str:
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")
