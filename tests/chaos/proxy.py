"""A TCP proxy that misbehaves on demand: it cuts, delays, or takes in bytes and passes nothing on (half-open)."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rasa_handoff.testing.ports import free_port

CHUNK = 65536
THERE, BACK = "there", "back"
"""The directions of a connection, from the client's point of view."""
WAYS = ((THERE, BACK), (THERE,), (BACK,))


class Proxy:
    """``async with Proxy(upstream)`` listens on ``port`` and passes everything on to ``upstream``, a port of this machine or the
    path of a Unix socket, each piece after ``latency`` seconds. With several it goes to each in turn, past those that refuse."""

    def __init__(self, *upstreams: int | Path, latency: float = 0.0) -> None:
        self.upstreams, self.port = deque(upstreams), free_port()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay, self._refuses = latency, 0
        self._swallows: Counter[str] = Counter()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def refuse(self, seconds: float) -> None:
        """Reset every connection and take no new one for a while."""
        self._refuses += 1
        try:
            self.cut()
            await asyncio.sleep(seconds)
        finally:
            self._refuses -= 1

    async def delay(self, each: float, seconds: float) -> None:
        """Hold each piece back for ``each`` seconds, for a while."""
        self._delay += each
        try:
            await asyncio.sleep(seconds)
        finally:
            self._delay = max(0.0, self._delay - each)

    async def half_open(self, seconds: float, ways: Sequence[str] = (THERE, BACK)) -> None:
        """Swallow what is sent, then reset: what was swallowed is gone, and neither side knew. Swallowed on its way ``BACK``
        only, acknowledgements are lost."""
        self._swallows.update(ways)
        try:
            await asyncio.sleep(seconds)
            self.cut()
        finally:
            self._swallows.subtract(ways)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses or not self.upstreams:
            return
        far_reader, far_writer = await self._reach()
        pair = (writer, far_writer)
        self._pairs.add(pair)
        ways = [
            asyncio.create_task(self._pass(reader, far_writer, THERE)),
            asyncio.create_task(self._pass(far_reader, writer, BACK)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # the last piece of the other direction
        finally:
            self._pairs.discard(pair)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                writer.close()  # what was written still arrives
                await asyncio.wait_for(writer.wait_closed(), 1)
            far_writer.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self.upstreams) - 1):
            with contextlib.suppress(OSError):
                return await self._open(self._next())
        return await self._open(self._next())

    def _next(self) -> int | Path:
        self.upstreams.rotate(-1)
        return self.upstreams[0]

    async def _open(self, upstream: int | Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(upstream, Path):
            return await asyncio.open_unix_connection(upstream)
        return await asyncio.open_connection("127.0.0.1", upstream)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if not self._swallows[way]:
                    writer.write(piece)
                    await writer.drain()
