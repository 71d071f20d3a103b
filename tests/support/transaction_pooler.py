"""A pooler before Postgres that hands out connections by transaction, as PgBouncer does with ``pool_mode = transaction``.

It speaks as much of the protocol as psycopg2 needs: it lets everybody in, and carries simple queries.
"""

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Final

WITHOUT_ENCRYPTION: Final = b"N"
ENCRYPTION_REQUESTS: Final = (80_877_103, 80_877_104)
"""Codes with which a client asks for TLS or GSSAPI, in place of a version."""


@dataclass(frozen=True)
class Backend:
    """A connection to Postgres. ``greeting``: what it said until it was ready."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes


class TransactionPooler:
    """The pooler: ``async with TransactionPooler(port) as pooler``. Clients use ``pooler.port``.

    The connection that was given back last is handed out next. What came on it while nobody had it goes to whoever gets it.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._idle: list[Backend] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "TransactionPooler":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._carry(reader, writer)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        startup = await _startup(reader, writer)
        backend = await self._backend(startup)
        writer.write(backend.greeting)
        self._idle.append(backend)
        while (query := await _message(reader))[:1] != b"X":
            backend = await self._backend(startup)
            backend.writer.write(query)
            while (
                await _answer(backend.reader, writer) != b"I"
            ):  # until it is idle, which is the end of the transaction
                backend.writer.write(await _message(reader))
            self._idle.append(backend)

    async def _backend(self, startup: bytes) -> Backend:
        if self._idle:
            return self._idle.pop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers.add(writer)
        writer.write(startup)
        greeting = b""
        while not (message := await _message(reader)).startswith(b"Z"):
            greeting += message
        return Backend(reader, writer, greeting + message)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read a client's first packet, and refuse it encryption before."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!ii", head)
        packet = head + await reader.readexactly(length - len(head))
        if code not in ENCRYPTION_REQUESTS:
            return packet
        writer.write(WITHOUT_ENCRYPTION)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Carry what answers a query, and return whether the connection is in a transaction (``I``: it isn't)."""
    while True:
        message = await _message(reader)
        writer.write(message)
        if message.startswith(b"Z"):
            return message[5:6]
