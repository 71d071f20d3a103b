"""The store: one database, with one writer in each process.

All work of a process runs in one thread, in the order it was submitted, and work that arrives together shares a commit; only what
waits for a conversation that another process has locked is done beside it (``deferred_work.py``). ``write`` returns after the
commit, so its result is never lost. The database is a SQLite file by default, anything else by URL. A SQLite
file has one process; a Postgres database may be shared by any number of processes of its side (``membership.py``).

``writer.py`` has the thread and its connection, ``identity.py`` what a database says of itself.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store import changes, postgres
from rasa_handoff.store.batch import Batch, Doubt, Work, resolve
from rasa_handoff.store.database_url import cannot_be_used, read_url, without_password
from rasa_handoff.store.deferred_work import Deferral, DeferredWork
from rasa_handoff.store.identity import DatabaseIdentity, TooOld
from rasa_handoff.store.migrations import Steps
from rasa_handoff.store.row_waits import Named
from rasa_handoff.store.sqlite import Ownership, sqlite_engine
from rasa_handoff.store.troubles import first_line
from rasa_handoff.store.writer import Writer

T = TypeVar("T")

MOST_TO_A_COMMIT: Final = 200
"""Work items that share one commit at most."""
BUSY_SECONDS: Final = 2
"""Seconds to wait for a locked SQLite file; shorter than any caller waits for an answer."""
ANSWER_SECONDS: Final = 2.5
"""Seconds without a response after which a database is given up; a little more than Postgres itself waits for a lock."""
SOON_SECONDS: Final = 0.05
"""Seconds after which what may wait for the next transaction gets one of its own."""
GATHER_SECONDS: Final = 0.008
"""Seconds between two commits of a busy process that shares its database: what comes meanwhile shares the next one. Beside others
each process has less to put into one, and a commit costs all of them (measured: a seventh of the processor of two servers)."""
DOUBT_PAUSE: Final = 0.5
"""Seconds between two attempts to learn the outcome of a commit."""


class Store:
    """A database of one side (``"relay"`` or ``"server"``), opened as ``async with Store(...)``.

    ``epoch`` is made once per database: another one shows the other side that the database was lost. ``shared``: other processes
    may use the database at the same time. ``process``: the id of this process among them. ``on_ring``: called after a commit that
    other processes have to know of.
    """

    def __init__(
        self,
        url: str,
        metadata: MetaData,
        side: str,
        schema: int,
        steps: Steps | None = None,
        oldest: int | None = None,
        shares: bool = False,
    ) -> None:
        """``oldest``: the oldest schema whose version of this package can work with a database of ``schema``; None: no older one.
        ``shares``: whether several processes of this side may work with one database, if it is Postgres.
        """
        self.url = url
        self.epoch = ""
        self._shown = without_password(url)
        self.metadata, self._side = metadata, side
        self._engine = _engine(url)
        # The right to write: of a SQLite file its lock, of a Postgres database an advisory lock on each connection, which
        # processes may share.
        self._ownership = Ownership(url)
        self._on_postgres = self._engine.dialect.name == "postgresql"
        self.shared = shares and self._on_postgres
        self.process = uuid.uuid4().hex
        self._schema, self._oldest = schema, schema if oldest is None else oldest
        self._identity = DatabaseIdentity(metadata, self._shown, side, schema, steps or {}, self._oldest)
        self._advisory_lock = postgres.AdvisoryLock(self._shown) if self._on_postgres else None
        self._owns = False
        self._deferral = Deferral(lambda: self._make_writer(_engine(url)), self._do_deferred)
        self._writer = self._make_writer(self._engine, Named(self._deferral.names) if self.shared else None)
        self.on_changes: list[changes.ChangesListener] = []
        self.on_ring: list[Callable[[], None]] = []
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._soon: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._soon_timer: asyncio.TimerHandle | None = None
        self._soon_is_due = False
        self._committing: asyncio.Task[None] | None = None
        self._closed = True

    async def __aenter__(self) -> "Store":
        self.process = uuid.uuid4().hex  # a store that was made before a fork has another one in each process
        self._ownership.take()
        self._owns = True
        try:
            await self._writer.run(self.prepare)
            self._closed = False
        except BaseException:
            self._owns = False
            self._ownership.leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        if self._soon_timer is not None:
            self._soon_timer.cancel()
        self._commit_soon_work()
        while self._committing is not None:
            await self._committing
        await self._deferral.close()
        await self._writer.close()
        self._owns = False
        self._ownership.leave()

    @property
    def bus_name(self) -> str:
        """The name under which the processes that share this database find each other on a bus."""
        return f"rasa_handoff_{self._side}_{self.epoch}"

    def begin_anew(self) -> None:
        """Take a new id as a process: the old one has lost what it had leased."""
        self.process = uuid.uuid4().hex

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction, and return its result after the commit.

        ``work`` may run a second time (alone, if other work in the same commit failed; or because the connection had ended while
        idle), so it must touch nothing but the connection. If it raises, what it wrote is rolled back and the exception is raised
        here.

        Raises:
            StoreError: the store is closed, or not open yet.
        """
        if self._closed:
            raise StoreError(f"The database {self._shown} is closed.")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return await answer

    def write_soon(self, work: Work[T]) -> "asyncio.Future[T]":
        """Run ``work`` in the next transaction, before what else is in it, or in one of its own after ``SOON_SECONDS``.

        For what may be lost when the process ends. Returns a future with what :meth:`write` would return or raise.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(StoreError(f"The database {self._shown} is closed."))
        else:
            self._soon.append((work, answer))
            self._start_soon_timer()
        return answer

    def _start_soon_timer(self) -> None:
        if self._soon and self._soon_timer is None and self._committing is None:
            self._soon_timer = asyncio.get_running_loop().call_later(SOON_SECONDS, self._commit_soon_work)

    def _commit_soon_work(self) -> None:
        """Commit the work of :meth:`write_soon` without waiting for other work any longer."""
        self._soon_timer, self._soon_is_due = None, True
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())

    async def _commit_all(self) -> None:
        follows = False
        try:
            while self._waiting or (self._soon and self._soon_is_due) or (self._writer.doubts and not self._closed):
                if not self._waiting and not self._soon:  # only the outcome of an earlier commit is to be learned
                    await asyncio.sleep(DOUBT_PAUSE)
                if follows and self.shared and not self._closed:
                    await asyncio.sleep(GATHER_SECONDS)
                follows = True
                # Work of `write_soon` goes with whatever is committed next. When the store closes it is due at once.
                soon, self._soon, self._soon_is_due = self._soon, [], self._closed
                taken, self._waiting = self._waiting[:MOST_TO_A_COMMIT], self._waiting[MOST_TO_A_COMMIT:]
                taken = [*soon, *taken]
                futures, batch = [future for _, future in taken], Batch([work for work, _ in taken])
                await self._answer(self._writer, futures, batch)
                for index, names in sorted(batch.deferred.items()):
                    self._deferral.add(DeferredWork(batch.works[index], futures[index], names))
        finally:
            _give_up_doubts(self._writer)
            self._committing = None
            self._start_soon_timer()

    async def _do_deferred(self, writer: Writer, future: "asyncio.Future[Any]", batch: Batch) -> None:
        """Do deferred work on a connection of its own, and wait until its outcome is known."""
        await self._answer(writer, [future], batch)
        while writer.doubts and not self._closed:
            await asyncio.sleep(DOUBT_PAUSE)
            await self._answer(writer, [], Batch([]))
        _give_up_doubts(writer)

    async def _answer(self, writer: Writer, futures: Sequence["asyncio.Future[Any]"], batch: Batch) -> None:
        """Have a batch done, tell the listeners of what it changed, and answer its callers, except of what was deferred."""
        await writer.do(batch)
        for doubt in [one for one in writer.doubts if one.committed is not None]:
            self._tell(None)
            self._ring()
            doubt.resolve()
            writer.doubts.remove(doubt)
        if batch.changes:
            self._tell(batch.changes)
        if batch.rings:
            self._ring()
        for index, (future, answer) in enumerate(zip(futures, batch.answers, strict=True)):
            if index in batch.deferred:
                continue
            if isinstance(answer, Doubt):
                answer.waiting.append((future, answer.answers[index]))
            else:
                resolve(future, answer)

    def _tell(self, made: Sequence[changes.Change] | None) -> None:
        """Pass the changes of a commit to the listeners; None if they aren't known."""
        for listener in self.on_changes:
            listener(made)

    def _ring(self) -> None:
        for ring in self.on_ring:
            ring()

    def _make_writer(self, engine: Engine, named: Named | None = None) -> Writer:
        return Writer(engine, f"{self._side}-store", ANSWER_SECONDS, self._own, self._shared_process, named)

    def _own(self, connection: Connection) -> None:
        """Take the right to write, which a new connection doesn't have yet."""
        if self._advisory_lock is None or not self._owns:
            return
        if not self.shared:
            self._advisory_lock.take(connection)
        elif self._advisory_lock.share(connection, self._schema) and self.epoch:
            try:
                self._identity.check_is_not_too_old(connection)
            except TooOld:
                connection.invalidate()  # the next attempt checks again
                raise

    def _shared_process(self) -> str | None:
        return self.process if self.shared else None

    def run(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction at once, without an event loop, for the command line."""
        with self._engine.begin() as connection:
            noted = changes.begin(connection)
            answer = work(connection)
            noted.end(connection)
            return answer

    def prepare(self) -> None:
        """Check the identity of the database, migrate it, and create missing tables.

        Raises:
            StoreError: it can't be opened, belongs to the other side, has a newer schema, or has an older one and is in use.
        """
        try:
            with self._engine.connect() as connection:
                self._writer.own_and_settle(connection)
                with connection.begin():
                    if self._on_postgres:
                        postgres.prepare_alone(connection)
                    self.epoch = self._identity.check(connection, self._alone)
                    self.metadata.create_all(connection)
        except BaseException as problem:
            self._engine.dispose()
            if isinstance(problem, SQLAlchemyError):
                shown = f"The database {self._shown} can't be opened: {first_line(problem)}."
                raise StoreError(shown) from problem
            raise

    def check_free(self) -> None:
        """Check that no other process has this database open.

        Raises:
            StoreError: another process has.
        """
        if self._advisory_lock is None:
            self._ownership.take()
            self._ownership.leave()
            return
        with self._engine.connect() as connection:
            self._advisory_lock.take_for_transaction(connection)

    def dispose(self) -> None:
        """Close the file or the connections, for the command line."""
        self._engine.dispose()

    def _alone(self, connection: Connection) -> contextlib.AbstractContextManager[None]:
        """Keep out, while the schema is changed, the processes that can't work with the new one."""
        if self._advisory_lock is None:
            return self._ownership.held()
        if self.shared:
            self._advisory_lock.keep_out_older(connection, self._oldest, self._schema)
        elif not self._owns:
            self._advisory_lock.take_for_transaction(connection)
        return contextlib.nullcontext()


def _engine(url: str) -> Engine:
    try:
        parsed = read_url(url)
        if parsed.get_backend_name() == "postgresql":
            return postgres.postgres_engine(parsed)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(url, future=True, pool_size=1, max_overflow=0, pool_pre_ping=True)
        return sqlite_engine(parsed, BUSY_SECONDS)
    except (ArgumentError, ImportError) as problem:
        raise cannot_be_used(url, first_line(problem)) from problem


def _give_up_doubts(writer: Writer) -> None:
    """Answer the callers of commits whose outcome nobody learns any more.

    The store closes: they get an error, and the next start reads what was committed.
    """
    for doubt in writer.doubts:
        doubt.resolve()
    writer.doubts.clear()
