"""Postgres: every wait is bounded, and a database has one process of a side, or several that share it.

- Connecting fails after ``CONNECT_SECONDS``; a statement after ``STATEMENT_SECONDS``, and waiting for a lock a little sooner.
- A stopped server, or a network that drops packets, never answers: :meth:`SocketDuplicate.cut` ends the wait in libpq.
- The right to write is an advisory lock held by the connection that writes, so no transaction runs without it. Processes that
  share the database share the lock; a command that needs the database alone takes it for itself.
- The outcome of a commit in doubt, whose answer was lost, is queried by transaction number (:func:`was_committed`) before
  anything else.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import BigInteger, create_engine, event, literal_column, select, text
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store.sqlite import DatabaseInUse
from rasa_handoff.store.statements import Statement

CONNECT_SECONDS: Final = 2
STATEMENT_SECONDS: Final = 2
LOCK_MILLISECONDS: Final = 1500
"""Milliseconds to wait for a lock; less than for a statement, so that the error says which of the two it was."""
IDLE_SECONDS: Final = 4
"""Seconds after which Postgres ends a transaction whose process does nothing."""
LOST_HOLDER_SECONDS: Final = 2.0
"""Seconds to wait for the lock of a connection just lost, or of a process that has just ended."""
LOCK: Final = 1_214_606_444
"""The first half of the advisory lock's key (ASCII "Hand"); the second is the schema, since each may contain a side's tables."""
PREPARING: Final = LOCK + 1
"""The first half of the key of the advisory lock under which tables are created and changed."""
VERSION: Final = LOCK + 1000
"""To this the schema is added that a process knows, and that is the first half of the key of an advisory lock that it shares with
all others of its version: a step that they can't work with is taken only when nobody has their lock."""
OURS: Final = "rasa-handoff-owner"
"""Key in ``Connection.info`` of the connection that has the lock."""

SERVER_SETTINGS: Final = {
    "statement_timeout": STATEMENT_SECONDS * 1000,
    "lock_timeout": LOCK_MILLISECONDS,
    # A process that stands still within a transaction keeps the locks of its conversations.
    "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
    # A crashed machine keeps the lock for about half a minute at most.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
CLIENT_SETTINGS: Final = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "rasa-handoff",
}


def postgres_engine(url: URL) -> Engine:
    """Return the engine. Options in the URL (``?connect_timeout=5&options=-c%20lock_timeout=1s``) override our values."""
    return create_engine(with_driver(url), future=True, pool_size=1, max_overflow=0, connect_args=_settings(url))


def connector(url: URL) -> Callable[[], Any]:
    """Return a function that makes a connection of the driver's own, with the engine's settings and outside its pool."""
    dialect = create_engine(with_driver(url)).dialect
    args, given = dialect.create_connect_args(with_driver(url))
    return functools.partial(dialect.connect, *args, **{**given, **_settings(url)})


def _settings(url: URL) -> dict[str, Any]:
    given = dict(url.query)
    ours = {name: value for name, value in CLIENT_SETTINGS.items() if name not in given}
    options = " ".join(f"-c {name}={value}" for name, value in SERVER_SETTINGS.items())
    return {**ours, "options": f"{options} {given.get('options', '')}".strip()}


def with_driver(url: URL) -> URL:
    """Name the driver in a URL that names none: psycopg2, which SQLAlchemy no longer takes by itself from 2.1 on."""
    return url.set(drivername="postgresql+psycopg2") if url.drivername == "postgresql" else url


def prepare_alone(connection: Connection) -> None:
    """Have this transaction create and change tables alone, and take its time: of processes that start at once one is first."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key, hashtext(current_schema()))"), {"key": PREPARING})


class SocketDuplicate:
    """A duplicate of the socket of the engine's one connection, by which another thread can cut it."""

    def __init__(self, engine: Engine) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_cut = False
        # Before all other listeners: SQLAlchemy itself sends queries on a new connection.
        event.listen(engine, "connect", lambda connection, _: self._keep(connection), insert=True)
        event.listen(engine, "close", lambda *_: self._let_go())

    def cut(self) -> bool:
        """Shut the socket down, so that a waiting thread gets an error at once.

        Returns False if there is no socket, or it was cut before.
        """
        with self._lock:
            if self._socket is None or self.is_cut:
                return False
            self.is_cut = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            return True

    def _keep(self, connection: Any) -> None:
        self._let_go()
        with self._lock:
            self._socket, self.is_cut = socket.socket(fileno=os.dup(connection.fileno())), False

    def _let_go(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class OlderProcess(StoreError):
    """A process of a version that can't work with the new schema is still connected. ``holder``: what is known of it."""

    def __init__(self, shown: str, holder: str, oldest: int, schema: int) -> None:
        super().__init__(
            f"This version of rasa-handoff brings the database {shown} to schema {schema}, and a process that knows only a "
            f"schema before {oldest} is still connected ({holder}). First update all processes to a version that knows schema "
            f'{oldest}, or end them all; then start this one (docs/operations.md, "Rolling update").'
        )


class AdvisoryLock:
    """The advisory lock that makes one process the owner, or that several share; held as long as its connection lives.

    ``shown``: the database's URL without its password, for the text of errors.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._last: tuple[int, Any] | None = None

    def take(self, connection: Connection) -> None:
        """Acquire the lock on this connection.

        Raises:
            DatabaseInUse: another process has it.
        """
        if OURS in connection.info:
            return
        deadline = time.monotonic() + LOST_HOLDER_SECONDS
        while not self._try(connection):
            holder = self._holder(connection)
            if holder is not None and (holder.pid, holder.backend_start) == self._last:  # our own lost connection
                connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": holder.pid})
            connection.rollback()
            if time.monotonic() > deadline:
                raise self._refusal(holder)
            time.sleep(0.05)
        me = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        self._last = tuple(connection.execute(text(me)).one())
        connection.rollback()
        connection.info[OURS] = True

    def share(self, connection: Connection, schema: int) -> bool:
        """Acquire the lock on this connection, beside others who share it, and that of those who know this schema; return whether
        the connection is new.

        Raises:
            DatabaseInUse: another process has it for itself.
        """
        if OURS in connection.info:
            return False
        deadline = time.monotonic() + LOST_HOLDER_SECONDS
        query = text("SELECT pg_try_advisory_lock_shared(:key, hashtext(current_schema()))")
        for key in (LOCK, VERSION + schema):
            while not connection.execute(query, {"key": key}).scalar():
                if time.monotonic() > deadline:
                    raise self._refusal(self._holder(connection))
                time.sleep(0.05)
        connection.rollback()
        connection.info[OURS] = True
        return True

    def keep_out_older(self, connection: Connection, oldest: int, schema: int) -> None:
        """Keep out, until this transaction ends, processes that know only schemas before ``oldest``.

        Raises:
            OlderProcess: one is connected.
        """
        deadline = time.monotonic() + LOST_HOLDER_SECONDS
        query = text("SELECT pg_try_advisory_xact_lock(:key, hashtext(current_schema()))")
        for older in range(1, oldest):
            while not connection.execute(query, {"key": VERSION + older}).scalar():
                if time.monotonic() > deadline:
                    raise OlderProcess(self._shown, _where(self._holder(connection, VERSION + older)), oldest, schema)
                time.sleep(0.05)

    def take_for_transaction(self, connection: Connection) -> None:
        """Acquire the lock for this transaction only.

        Raises:
            DatabaseInUse: another process has it.
        """
        deadline = time.monotonic() + LOST_HOLDER_SECONDS
        query = text("SELECT pg_try_advisory_xact_lock(:key, hashtext(current_schema()))")
        while not connection.execute(query, {"key": LOCK}).scalar():
            if time.monotonic() > deadline:
                raise self._refusal(self._holder(connection))
            time.sleep(0.05)

    def _try(self, connection: Connection) -> bool:
        query = text("SELECT pg_try_advisory_lock(:key, hashtext(current_schema()))")
        return bool(connection.execute(query, {"key": LOCK}).scalar())

    def _holder(self, connection: Connection, key: int = LOCK) -> Any:
        query = text(
            "SELECT a.pid, a.backend_start, coalesce(host(a.client_addr), 'this machine') AS address "
            "FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND l.classid = :key AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid AND l.objsubid = 2"
        )
        return connection.execute(query, {"key": key}).first()

    def _refusal(self, holder: Any) -> DatabaseInUse:
        return DatabaseInUse(self._shown, _where(holder))


def _where(holder: Any) -> str:
    return "unknown" if holder is None else f"from {holder.address}, its backend is {holder.pid}"


_NUMBER: Final = Statement(select(literal_column("txid_current_if_assigned()", BigInteger).label("number")))


def number_of(connection: Connection) -> int | None:
    """Return the number of the current transaction; None if it has written nothing."""
    number: int | None = _NUMBER.scalar(connection, {})
    return number


def was_committed(connection: Connection, number: int) -> bool | None:
    """Return whether that transaction was committed; None while it is under way.

    A restored or replaced server that doesn't know the number doesn't have the transaction's data either, so that counts as no.
    """
    try:
        outcome = connection.execute(text("SELECT txid_status(:number)"), {"number": number}).scalar()
    except DBAPIError as problem:
        if problem.connection_invalidated:
            raise
        outcome = "aborted"
    connection.rollback()
    return None if outcome == "in progress" else outcome == "committed"
