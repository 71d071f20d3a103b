"""The Tkinter demo's admin window, as its user side meets it: two one-way streams of raw UTF-8, without frames.

We connect to the window and speak; the window connects to us at its first words. The window takes one connection in its life,
and shows each read as the customer's words. A stream that ends in order has been read and was ended by the person; one that is
reset was cut, or held words that nobody read.
"""

import asyncio
import codecs
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Final

from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.whole import WholeCharacters
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.text import valid_text

log = get_log(__name__)

HERE: Final = "127.0.0.1"
"""Nothing in the protocol says who somebody is: it stays on this machine."""
CONNECT_SECONDS: Final = 3.0
LAST_WORDS_SECONDS: Final = 1.0
"""How long the other stream may take to end once one has: a window that closes ends both."""
MOST_BYTES: Final = 65_536

OnJoined = Callable[[], Awaitable[None]]
OnWords = Callable[[str], Awaitable[None]]


class Window:
    """Both streams of one conversation. ``spoke``: the person has said something. ``cut``: a stream was reset."""

    def __init__(self, admin_port: int, listen_port: int, on_joined: OnJoined, on_words: OnWords) -> None:
        self._admin_port, self._listen_port = admin_port, listen_port
        self._on_joined, self._on_words = on_joined, on_words
        self._whole = WholeCharacters()
        self._gone, self._hearing = asyncio.Event(), asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.AbstractServer | None = None
        self.spoke = self.cut = False

    @property
    def gone(self) -> bool:
        """Whether a stream has ended."""
        return self._gone.is_set()

    async def open(self) -> None:
        """Listen for the person, then connect to the window.

        Raises:
            Unreachable: nobody listens there, or our own port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._hear, HERE, self._listen_port)
        except OSError as problem:
            log.error("desk.listen_port %s can't be listened on: %s", self._listen_port, problem)
            raise Unreachable(f"Port {self._listen_port}, where the admin window speaks to, is taken.") from problem
        try:
            connecting = asyncio.open_connection(HERE, self._admin_port)
            reader, writer = await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError) as problem:
            raise Unreachable(f"No admin window listens on port {self._admin_port}.") from problem
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._read(reader, _ignore)))

    async def show(self, text: str) -> None:
        """Send words.

        Raises:
            Unreachable: the window has gone.
        """
        if self.gone:
            raise Unreachable("The admin window has closed.")
        writer = self._writers[0]
        writer.write(self._whole.lay(text + "\n", time.monotonic()))
        try:
            await writer.drain()
        except OSError as problem:
            raise Unreachable(f"The admin window has closed: {problem}") from problem

    async def let_go(self, note: str) -> None:
        """Say that it is over, and end our stream. The window stays taken until it is closed."""
        with contextlib.suppress(Unreachable, OSError):
            await self.show(note)
            self._writers[0].write_eof()

    async def ended(self) -> bool:
        """Wait until the window has gone and its last words are done with; False if it was cut rather than closed."""
        await self._gone.wait()
        await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)
        async with self._hearing:
            return not self.cut

    async def close(self) -> None:
        """Let go of both streams and of our port."""
        if self._server is not None:
            self._server.close()
        await ended(*self._tasks)
        for writer in self._writers:
            if self.gone:
                _forget(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self.spoke:
            log.warning("A second connection came to desk.listen_port %s; it isn't heard.", self._listen_port)
            writer.close()
            return
        self.spoke = True
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async with self._hearing:
            await self._on_joined()

        async def hear(data: bytes) -> None:
            words = valid_text(decoder.decode(data)).strip()
            if words:
                async with self._hearing:
                    await self._on_words(words)

        await self._read(reader, hear)

    async def _read(self, reader: asyncio.StreamReader, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """To the stream's end."""
        try:
            while data := await reader.read(MOST_BYTES):
                await hear(data)
        except OSError:
            self.cut = True
        finally:
            self._gone.set()


def _forget(writer: asyncio.StreamWriter) -> None:
    """Answer an end with a reset. Else the system keeps the window's port for a minute, and it can't be opened again."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if end is not None:  # uvloop knows it no more once the other side has reset it
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _ignore(data: bytes) -> None:
    """The window never speaks on the stream that is ours to speak on."""
