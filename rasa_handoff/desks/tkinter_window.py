"""The connection to the Tkinter demo's admin window: two one-way streams of raw UTF-8 without framing.

We connect to the window to send; the window connects to us when the person first writes. The window accepts one connection per
run and shows each read as a message of the customer. A stream that ends normally: the person has closed the window, which had
read everything. A stream that is reset: it was cut, or the window hadn't read everything.
"""

import asyncio
import codecs
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Final

from rasa_handoff.core.tkinter_chunks import WholeCharacters
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

HERE: Final = "127.0.0.1"
"""The protocol has no authentication, so it stays on this machine."""
CONNECT_SECONDS: Final = 3.0
LAST_WORDS_SECONDS: Final = 1.0
"""Seconds that the second stream may take to end after the first: closing the window ends both."""
MOST_BYTES: Final = 65_536
"""Bytes of one read."""

OnJoined = Callable[[], Awaitable[None]]
OnWindowMessage = Callable[[str], Awaitable[None]]


class Window:
    """Both streams of one conversation. ``spoke``: the person has written. ``cut``: a stream was reset."""

    def __init__(self, admin_port: int, listen_port: int, on_joined: OnJoined, on_message: OnWindowMessage) -> None:
        self._admin_port, self._listen_port = admin_port, listen_port
        self._on_joined, self._on_message = on_joined, on_message
        self._whole = WholeCharacters()
        self._gone, self._taking_in = asyncio.Event(), asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.AbstractServer | None = None
        self.spoke = self.cut = False

    @property
    def gone(self) -> bool:
        """Whether a stream has ended."""
        return self._gone.is_set()

    async def open(self) -> None:
        """Listen for the window's connection, then connect to the window.

        Raises:
            Unreachable: no window listens, or our own port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._accept, HERE, self._listen_port)
        except OSError as problem:
            log.error("desk.listen_port %s can't be listened on: %s", self._listen_port, problem)
            raise Unreachable(f"Port {self._listen_port}, to which the admin window connects, is taken.") from problem
        try:
            connecting = asyncio.open_connection(HERE, self._admin_port)
            reader, writer = await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError) as problem:
            raise Unreachable(f"No admin window listens on port {self._admin_port}.") from problem
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._read(reader, _ignore)))

    async def show(self, text: str) -> None:
        """Send a message.

        Raises:
            Unreachable: the window has closed.
        """
        if self.gone:
            raise Unreachable("The admin window has closed.")
        writer = self._writers[0]
        writer.write(self._whole.encode(text + "\n", time.monotonic()))
        try:
            await writer.drain()
        except OSError as problem:
            raise Unreachable(f"The admin window has closed: {problem}") from problem

    async def let_go(self, note: str) -> None:
        """Send a last note and end our stream. The window stays occupied until it is closed."""
        with contextlib.suppress(Unreachable, OSError):
            await self.show(note)
            self._writers[0].write_eof()

    async def ended(self) -> bool:
        """Wait until the window has gone and its last messages are applied; return False if it was cut rather than closed."""
        await self._gone.wait()
        await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)
        async with self._taking_in:
            return not self.cut

    async def close(self) -> None:
        """Close both streams and our port."""
        if self._server is not None:
            self._server.close()
        await cancel_all(*self._tasks)
        for writer in self._writers:
            if self.gone:
                _reset_on_close(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self.spoke:
            log.warning("Ignoring a second connection to desk.listen_port %s.", self._listen_port)
            writer.close()
            return
        self.spoke = True
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async with self._taking_in:
            await self._on_joined()

        async def take_in(data: bytes) -> None:
            text = valid_text(decoder.decode(data)).strip()
            if text:
                async with self._taking_in:
                    await self._on_message(text)

        await self._read(reader, take_in)

    async def _read(self, reader: asyncio.StreamReader, take_in: Callable[[bytes], Awaitable[None]]) -> None:
        """Read to the stream's end."""
        try:
            while data := await reader.read(MOST_BYTES):
                await take_in(data)
        except OSError:
            self.cut = True
        finally:
            self._gone.set()


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Reset the connection on close. Otherwise the system blocks the window's port for a minute, and it can't be reopened."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if end is not None:  # uvloop has no socket after a reset by the other side
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _ignore(data: bytes) -> None:
    """Ignore data on the stream that only we send on."""
