"""A connection between a client and a server that can be cut, and can lose what goes one way."""

import asyncio
import contextlib
from types import TracebackType
from urllib.parse import urlsplit


class Wire:
    """The wire: ``async with Wire(server_url) as wire``. Clients use ``wire.url`` or ``wire.port``.

    While ``swallow_up`` is set, it loses what clients send, while ``swallow_down`` is, what the server sends; ``swallowed``: how
    many bytes. Cut it afterwards, since neither side knows that something is missing.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self.swallow_up = self.swallow_down = self.is_cut = False
        self.swallowed = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection; new ones end at once until :meth:`mend`."""
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let new connections through, and lose nothing any more."""
        self.is_cut = self.swallow_up = self.swallow_down = False

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(self._carry(reader, up_writer, "up"), self._carry(up_reader, writer, "down"))
        finally:
            self._writers -= {writer, up_writer}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if getattr(self, f"swallow_{way}"):
                    self.swallowed += len(data)
                else:
                    writer.write(data)
                    await writer.drain()
        writer.close()
