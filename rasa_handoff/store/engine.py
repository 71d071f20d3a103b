"""The store: one database, with one writer in each process.

All work of a process runs in one thread, in the order it was submitted, and work that arrives together shares a commit. ``write``
returns after the commit, so its result is never lost. The database is a SQLite file by default, anything else by URL. A SQLite
file has one process; a Postgres database may be shared by any number of processes of its side (``membership.py``).

A database that doesn't answer is given up after ``ANSWER_SECONDS``: the connection is cut, and the waiting callers get an error,
with nothing done. There is one exception. If the connection is lost while Postgres commits, the outcome isn't known yet: the
callers of that commit wait until the database can be asked, and later work is refused meanwhile.

SQLAlchemy Core, called directly in a thread, takes about a tenth of the time of its asyncio form (measured).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import Column, MetaData, String, Table, create_engine, delete, event, insert, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, InterfaceError, InternalError, OperationalError, SQLAlchemyError, TimeoutError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.handshake import FORMAT
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store import changes, postgres
from rasa_handoff.store.batch import Batch, Doubt, Progress, Work, resolve
from rasa_handoff.store.database_url import cannot_be_used, read_url, without_password
from rasa_handoff.store.migrations import Steps, migrate
from rasa_handoff.store.sqlite import DatabaseInUse, Ownership, sqlite_engine
from rasa_handoff.store.statements import PROGRESS

log = get_log(__name__)

T = TypeVar("T")

TROUBLES: Final = (OperationalError, InterfaceError, InternalError, TimeoutError, DatabaseInUse)
"""Errors of a database that is locked, full or unreachable: nothing was committed, and it may be tried again."""

PROCESS: Final = "rasa_handoff_process"
"""Key in ``Connection.info`` of the id of this process, if it shares the database with others."""
RINGS: Final = "rasa_handoff_rings"
"""Key in ``Connection.info`` of whether the transaction has changed something that other processes have to know."""
CONTENDED: Final = ("40P01", "40001", "23505")
"""Postgres' codes of a transaction that another process got in the way of: deadlock, serialization failure, and a row that both
have added. It is tried again, and then sees what the other one did."""
LOCKED: Final = "55P03"
"""Postgres' code of a lock that wasn't to be had: another process stands still, or somebody holds a table."""
MOST_LOCKED: Final = 2
"""Work items of a commit that wait in vain for a lock before the whole database counts as locked."""
MOST_ATTEMPTS: Final = 4
"""Attempts at a transaction that other processes get in the way of."""
MOST_TO_A_COMMIT: Final = 200
"""Work items that share one commit at most."""
BUSY_SECONDS: Final = 2
"""Seconds to wait for a locked SQLite file; shorter than any caller waits for an answer."""
ANSWER_SECONDS: Final = 2.5
"""Seconds without a response after which a database is given up; a little more than Postgres itself waits for a lock."""
SOON_SECONDS: Final = 0.05
"""Seconds after which what may wait for the next transaction gets one of its own."""
DOUBT_PAUSE: Final = 0.5
"""Seconds between two attempts to learn the outcome of a commit."""


def meta_table(metadata: MetaData) -> Table:
    """Return the table that identifies the database, with the keys ``format``, ``side``, ``schema``, ``oldest`` and ``epoch``."""
    return Table(
        "meta", metadata, Column("key", String(40), primary_key=True), Column("value", String(200), nullable=False)
    )


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
        self._oldest = schema if oldest is None else oldest
        self._metadata, self._side, self._schema, self._steps = metadata, side, schema, steps or {}
        self._meta = metadata.tables.get("meta", None)
        if self._meta is None:
            self._meta = meta_table(metadata)
        self._engine = _engine(url)
        # The right to write: of a SQLite file its lock, of a Postgres database an advisory lock on each connection, which
        # processes may share.
        self._ownership = Ownership(url)
        self._on_postgres = self._engine.dialect.name == "postgresql"
        self.shared = shares and self._on_postgres
        self.process = uuid.uuid4().hex
        self._duplicate = postgres.SocketDuplicate(self._engine) if self._on_postgres else None
        self._advisory_lock = postgres.AdvisoryLock(without_password(url)) if self._on_postgres else None
        self._owns = False
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{side}-store")
        self._progress = Progress(ANSWER_SECONDS)
        for name in ("before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
            event.listen(self._engine, name, lambda *_, **__: self._progress.step())
        changes.follow_savepoints(self._engine)
        self.on_changes: list[changes.ChangesListener] = []
        self.on_ring: list[Callable[[], None]] = []
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._soon: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._soon_timer: asyncio.TimerHandle | None = None
        self._soon_is_due = False
        self._committing: asyncio.Task[None] | None = None
        self._stuck: asyncio.Future[None] | None = None
        self._doubts: list[Doubt] = []
        self._closed = True

    async def __aenter__(self) -> "Store":
        self.process = uuid.uuid4().hex  # a store that was made before a fork has another one in each process
        self._ownership.take()
        self._owns = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self.prepare)
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
        await asyncio.get_running_loop().run_in_executor(self._thread, self._dispose)
        self._thread.shutdown()
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
            raise StoreError(f"The database {without_password(self.url)} is closed.")
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
            answer.set_exception(StoreError(f"The database {without_password(self.url)} is closed."))
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
        try:
            while self._waiting or (self._soon and self._soon_is_due) or (self._doubts and not self._closed):
                if not self._waiting and not self._soon:  # only the outcome of an earlier commit is to be learned
                    await asyncio.sleep(DOUBT_PAUSE)
                # Work of `write_soon` goes with whatever is committed next. When the store closes it is due at once.
                soon, self._soon, self._soon_is_due = self._soon, [], self._closed
                taken, self._waiting = self._waiting[:MOST_TO_A_COMMIT], self._waiting[MOST_TO_A_COMMIT:]
                taken = [*soon, *taken]
                await self._answer([future for _, future in taken], Batch([work for work, _ in taken]))
        finally:
            # The store closes: callers of a commit in doubt get an error, and the next start reads what was committed.
            for doubt in self._doubts:
                doubt.resolve()
            self._doubts, self._committing = [], None
            self._start_soon_timer()

    async def _answer(self, futures: Sequence["asyncio.Future[Any]"], batch: Batch) -> None:
        await self._do(batch)
        for doubt in [one for one in self._doubts if one.committed is not None]:
            self._tell(None)
            self._ring()
            doubt.resolve()
            self._doubts.remove(doubt)
        if batch.changes:
            self._tell(batch.changes)
        if batch.rings:
            self._ring()
        for index, (future, answer) in enumerate(zip(futures, batch.answers, strict=True)):
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

    async def _do(self, batch: Batch) -> None:
        """Wait until the thread has done the batch, but give up on a database that doesn't respond."""
        if self._stuck is not None and not await self._wait_for_end(self._stuck):
            batch.give_up(_no_response())
            return
        self._stuck = None
        doing = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, batch)
        while not await self._wait_for_end(doing):
            # On Postgres the connection is cut first: the thread then gets an error, so the next wait sees it end.
            if not (self._duplicate is not None and self._duplicate.cut()) and batch.give_up(_no_response()):
                self._stuck = doing
                return
        if (problem := doing.exception()) is not None:  # a bug of ours; its callers must not wait for ever
            batch.give_up(problem)

    async def _wait_for_end(self, doing: "asyncio.Future[None]") -> bool:
        """Wait until the thread is done, and return True; or False once it has made no progress for ``ANSWER_SECONDS``."""
        while not (await asyncio.wait({doing}, timeout=Progress.EVERY))[0]:
            if self._progress.has_stalled():
                return False
        return True

    def _commit(self, batch: Batch) -> None:
        """Do all work in one transaction; if that fails, each item in its own. Runs in the thread."""
        indexes = range(len(batch.works))
        begun, problem = self._attempt_again(batch, indexes)
        if problem is None:
            return
        if len(indexes) == 1 or not begun:  # locked or unreachable: each alone would wait as long again
            batch.answer(dict.fromkeys(indexes, problem))
            return
        trouble, locked = None, 0
        for index in indexes:
            problem = trouble or self._attempt_again(batch, [index])[1]
            if problem is not None:
                batch.answer({index: problem})
            locked += problem is not None and _code(problem) == LOCKED
            if isinstance(problem, TROUBLES) and (_is_lasting(problem) or not self.shared or locked >= MOST_LOCKED):
                trouble = problem  # the database is unreachable: don't wait for it once per item

    def _attempt_again(self, batch: Batch, indexes: Sequence[int]) -> tuple[bool, Exception | None]:
        """Try one transaction with the work at these indexes, again if another process gets in the way of a single one.

        Return whether it began, and the problem if it failed.
        """
        for _ in range(MOST_ATTEMPTS):
            begun, problem = self._attempt(batch, indexes)
            if problem is None or len(indexes) > 1 or not _is_contended(problem):
                break
        return begun, problem

    def _attempt(self, batch: Batch, indexes: Sequence[int], again: bool = False) -> tuple[bool, Exception | None]:
        """Try one transaction with the work at these indexes. Return whether it began, and the problem if it failed.

        One whose connection was lost, or that nobody waits for, counts as not begun: its work isn't tried item by item.
        """
        begun = False
        try:
            with self._kept_connection() as connection:
                self._own_and_settle(connection)
                connection.info[PROGRESS] = self._progress.step
                connection.info[PROCESS] = self.process if self.shared else None
                connection.info[RINGS] = False
                transaction = connection.begin()
                begun, noted = True, changes.begin(connection)
                answers = {index: batch.works[index](connection) for index in indexes}
                number = postgres.number_of(connection) if self._on_postgres else None
                if not batch.begin_commit():
                    return False, _no_response()
                try:
                    transaction.commit()
                except BaseException as problem:
                    batch.answer({})  # the commit has ended; what the callers get follows
                    if number is None or not _is_lost(problem):
                        raise
                    self._doubts.append(Doubt(number, answers, _no_response()))
                    return False, self._doubts[-1]
                batch.answer(answers, noted.made, bool(connection.info[RINGS]))
                return True, None
        except Exception as problem:
            if _is_lost(problem) and not again and not (self._duplicate is not None and self._duplicate.is_cut):
                return self._attempt(batch, indexes, again=True)  # the connection had ended while idle
            return begun and not _is_lost(problem), problem

    @contextlib.contextmanager
    def _kept_connection(self) -> Iterator[Connection]:
        """Give the connection, which stays open for the next transaction unless this one isn't committed.

        Taking it from SQLAlchemy's pool each time costs more than a message's statements.
        """
        connection, self._connection = self._connection or self._engine.connect(), None
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.in_transaction() or connection.invalidated:
            connection.close()
        else:
            self._connection = connection

    def _dispose(self) -> None:
        """Close the connections. Runs in the thread."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _own_and_settle(self, connection: Connection) -> None:
        """Take the right to write, and learn the outcome of every commit in doubt."""
        if self._advisory_lock is not None and self._owns:
            (self._advisory_lock.share if self.shared else self._advisory_lock.take)(connection)
        for doubt in self._doubts:
            if doubt.committed is None:
                doubt.committed = postgres.was_committed(connection, doubt.number)
            if doubt.committed is None:
                raise TimeoutError("what became of the last commit isn't known yet")

    def run(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction at once, without an event loop, for the command line."""
        with self._engine.begin() as connection:
            return work(connection)

    def prepare(self) -> None:
        """Check the identity of the database, migrate it, and create missing tables.

        Raises:
            StoreError: it can't be opened, belongs to the other side, has a newer schema, or has an older one and is in use.
        """
        try:
            with self._engine.connect() as connection:
                self._own_and_settle(connection)
                with connection.begin():
                    if self._on_postgres:
                        postgres.prepare_alone(connection)
                    self._check(connection)
                    self._metadata.create_all(connection)
        except BaseException as problem:
            self._engine.dispose()
            if isinstance(problem, SQLAlchemyError):
                shown = f"The database {without_password(self.url)} can't be opened: {_first_line(problem)}."
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

    def _check(self, connection: Connection) -> None:
        """Check the side and schema of the database; migrate an older schema."""
        assert self._meta is not None
        self._meta.create(connection, checkfirst=True)
        known = {row.key: row.value for row in connection.execute(select(self._meta))}
        if not known:
            known = {
                "format": FORMAT,
                "side": self._side,
                "schema": str(self._schema),
                "oldest": str(self._oldest),
                "epoch": uuid.uuid4().hex,
            }
            connection.execute(insert(self._meta), [{"key": key, "value": value} for key, value in known.items()])
        if known.get("format") != FORMAT:
            raise StoreError(
                f"The database {without_password(self.url)} was written by a version of rasa-handoff from before its first "
                "release, which this one can't read: name another database, or move this one away."
            )
        if known["side"] != self._side:
            raise StoreError(
                f"The database {without_password(self.url)} belongs to the {known['side']}, not to the {self._side}: "
                f"give the {self._side} a database of its own."
            )
        self._migrate(connection, int(known["schema"]), int(known.get("oldest", known["schema"])))
        self.epoch = known["epoch"]

    def _migrate(self, connection: Connection, found: int, oldest: int) -> None:
        """Bring the database to this version's schema; leave a newer one as it is if this version can work with it.

        During a rolling update the processes of an older version go on beside the first of a newer one. So a step adds, and what
        it makes superfluous goes with a later one, for which the older version must have ended (``oldest``).
        """
        assert self._meta is not None
        if found > self._schema and oldest > self._schema:
            raise StoreError(
                f"The database {without_password(self.url)} has schema {found}, this version of rasa-handoff knows up to "
                f"{self._schema}: install the newer version that wrote it."
            )
        if found < self._schema:
            with self._alone(connection) if self._oldest > found or not self.shared else contextlib.nullcontext():
                migrate(connection, self._steps, found, self._schema)
                for key, value in (("schema", self._schema), ("oldest", self._oldest)):
                    connection.execute(delete(self._meta).where(self._meta.c.key == key))
                    connection.execute(insert(self._meta).values(key=key, value=str(value)))
            log.info(
                "The database %s was brought from schema %s to %s.", without_password(self.url), found, self._schema
            )

    def _alone(self, connection: Connection) -> contextlib.AbstractContextManager[None]:
        if self._advisory_lock is None:
            return self._ownership.held()
        if self.shared or not self._owns:
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
        raise cannot_be_used(url, _first_line(problem)) from problem


def _no_response() -> Exception:
    problem: Exception = TimeoutError(f"the database said nothing for {ANSWER_SECONDS:g} s")
    return problem


def _is_contended(problem: Exception) -> bool:
    """Return whether a transaction failed because of another process's."""
    return _code(problem) in CONTENDED


def _is_lasting(problem: Exception) -> bool:
    """Return whether a transaction failed because of the whole database, as far as is known, and not of some rows."""
    return _code(problem) not in (*CONTENDED, LOCKED)


def _code(problem: Exception) -> str | None:
    """Return Postgres' code of an error."""
    drivers = getattr(problem, "orig", None)
    return getattr(drivers, "pgcode", None) or getattr(drivers, "sqlstate", None)


def _is_lost(problem: BaseException) -> bool:
    """Return whether the connection was lost."""
    return bool(getattr(problem, "connection_invalidated", False))


def _first_line(problem: Exception) -> str:
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")
