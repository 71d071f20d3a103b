"""Postgres carries the bus: a connection that listens, and one that notifies.

They are two because of poolers that hand out connections by transaction (PgBouncer with ``pool_mode = transaction``). Those can't
carry LISTEN, and hide that from a single connection: its own notification would come back with the answer to its NOTIFY, and no
other ever. Most often such a pooler is found before it is sent LISTEN, which would stay with one of its connections and bring
notifications to whoever gets that next.

The drivers' calls block, so a thread of the bus makes them. The loop ends them by cutting the sockets.
"""

import asyncio
import collections
import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.exc import ArgumentError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store import postgres
from rasa_handoff.store.bus import RING_SECONDS, BusLine, Carrier, Take
from rasa_handoff.store.database_url import cannot_be_used, read_url, without_password

ADVICE: Final = (
    "Check that Postgres runs. Behind a pooler that hands out connections by transaction (PgBouncer's pool_mode) LISTEN can't "
    "work: give the bus a Redis then."
)
MOST_AT_ONCE: Final = 20
"""Messages read at once after which the thread rests for ``RING_SECONDS``."""
MOST_WAITING: Final = 1_000
"""Different messages that wait for the event loop. If there are more, somebody floods the channel, and the rest is dropped."""


def postgres_carrier(url: str, channel: str) -> Carrier:
    """Return the Postgres of this database URL as what carries the bus.

    Raises:
        StoreError: the URL can't be used.
    """
    parsed = read_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise StoreError(
            f"The database {without_password(url)!r} can't tell other processes to look: that needs a Postgres, or a Redis."
        )
    try:
        connect = postgres.connector(parsed)
    except (ArgumentError, ImportError) as problem:
        raise cannot_be_used(url, str(problem).splitlines()[0].rstrip(".")) from problem
    return Carrier(f"of {without_password(url)}", ADVICE, lambda take: PostgresLine(connect, channel, take))


class PostgresLine(BusLine):
    """Two connections to Postgres, and a thread that waits for both. ``connect`` makes a connection of the driver's own."""

    def __init__(self, connect: Callable[[], Any], channel: str, take: Take) -> None:
        self._connect, self._channel, self._take = connect, channel, take
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Exception] = self._loop.create_future()
        self._thread: threading.Thread | None = None
        self._to_send: collections.deque[tuple[bytes, asyncio.Future[None]]] = collections.deque()
        self._lock = threading.Lock()  # for what follows
        self._is_closing = False
        self._sockets: list[socket.socket] = []
        self._arrived: set[bytes] = set()

    async def open(self) -> None:
        self._waker, self._wakes = socket.socketpair()
        self._sockets += [self._waker, self._wakes]
        for one in (self._waker, self._wakes):
            one.setblocking(False)
        # Not one of an executor, which the interpreter would wait for at its end: connecting can't be cut short.
        self._thread = threading.Thread(target=self._work, name="bus", daemon=True)
        self._thread.start()
        either: set[asyncio.Future[Any]] = {self._opened, self._ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            raise self._ended.result()

    async def read(self) -> None:
        await asyncio.wait({self._ended})
        raise self._ended.result()

    async def send(self, message: bytes) -> None:
        sent: asyncio.Future[None] = self._loop.create_future()
        self._to_send.append((message, sent))
        self._wake()
        await sent  # if the thread ends first, the bus learns it from `read`, and cancels this

    async def close(self) -> None:
        with self._lock:
            self._is_closing = True
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            await asyncio.wait({self._ended})

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full, so it is awake; or closed
            self._waker.send(b"\0")

    def _work(self) -> None:
        """Listen and notify until the connection fails or is cut. Runs in the thread, as what follows."""
        ended_by: Exception = StoreError("the connection was closed")
        try:
            with (
                contextlib.closing(self._new_connection()) as listening,
                contextlib.closing(self._new_connection()) as speaking,
            ):
                _check_pooling(listening, speaking)
                _execute(listening, f'LISTEN "{self._channel}"')
                # A notification is a transaction that is written to disk, and this one may be lost.
                _execute(speaking, "SET synchronous_commit TO off")
                self._in_loop(_settle, self._opened, None)
                self._serve(listening, speaking)
        except Exception as problem:
            ended_by = problem
        finally:
            with self._lock:
                for one in self._sockets:
                    one.close()
            self._in_loop(_settle, self._ended, ended_by)

    def _new_connection(self) -> Any:
        connection = self._connect()
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))  # by which the loop can cut it
        with self._lock:
            self._sockets.append(duplicate)
            if self._is_closing:
                duplicate.shutdown(socket.SHUT_RDWR)
        connection.autocommit = True
        return connection

    def _serve(self, listening: Any, speaking: Any) -> None:
        read = _read_psycopg if hasattr(listening, "pgconn") else _read_psycopg2
        # Not `select`, which takes no file number above 1,023.
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(self._wakes, selectors.EVENT_READ)
            while not self._is_closing:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wakes in ready:
                    self._wakes.recv(4096)
                    self._send_all(speaking)
                if listening in ready:
                    self._pass_on(read(listening))

    def _send_all(self, speaking: Any) -> None:
        while self._to_send:
            message, sent = self._to_send.popleft()
            _execute(speaking, "SELECT pg_notify(%s, %s)", (self._channel, message.decode("ascii")))
            self._in_loop(_settle, sent, None)

    def _pass_on(self, messages: list[bytes]) -> None:
        with self._lock:
            is_first = not self._arrived
            for message in messages:
                if len(self._arrived) < MOST_WAITING:
                    self._arrived.add(message)
        if messages and is_first:
            self._in_loop(self._deliver)
        if len(messages) > MOST_AT_ONCE:
            time.sleep(RING_SECONDS)

    def _deliver(self) -> None:
        """Hand the messages to the bus. Runs in the event loop."""
        with self._lock:
            arrived, self._arrived = self._arrived, set()
        self._take(arrived)

    def _in_loop(self, function: Callable[..., None], *given: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *given)


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _execute(connection: Any, statement: str, values: tuple[str, ...] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _check_pooling(listening: Any, speaking: Any) -> None:
    """Check that each connection keeps its backend, also while the other one is in a transaction.

    Raises:
        StoreError: a pooler hands out connections by transaction.
    """
    own = _backend(listening)
    _execute(speaking, "BEGIN")
    if _backend(speaking) == own or _backend(listening) != own:
        raise StoreError("a pooler hands out connections by transaction")
    _execute(speaking, "ROLLBACK")


def _backend(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _read_psycopg2(connection: Any) -> list[bytes]:
    connection.poll()
    found = [str(one.payload).encode("utf-8", "replace") for one in connection.notifies]
    connection.notifies.clear()
    return found


def _read_psycopg(connection: Any) -> list[bytes]:
    connection.pgconn.consume_input()
    return [bytes(one.extra) for one in iter(connection.pgconn.notifies, None)]
