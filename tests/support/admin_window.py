"""The Tkinter demo's admin window without its graphics, and the person who uses it.

The window listens on one port and accepts one connection in its life. It reads at most 1024 bytes at a time and decodes them by
themselves; a character that is split between two reads ends the reader. At its first message it connects to the other port. It
binds its port without options, so that an address still in use is refused.
"""

import asyncio
import socket
import struct
import threading
from types import TracebackType

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.waiting import eventually

BEFORE, SINCE = "[What was said before]\n", "[What follows is said now]\n"


class AdminWindow:
    """The window, from start to end. ``reads``: the text of each read. ``broken``: the error that ended the reader.

    ``taken``: the connection came. ``over``: its other end closed it. ``slow``: set by a test, the window reads nothing.
    """

    def __init__(self, admin_port: int, listen_port: int) -> None:
        self._listen_port = listen_port
        self.reads: list[str] = []
        self.broken: UnicodeDecodeError | None = None
        self.taken = self.over = self.slow = False
        self._closing = self._reset = False
        self._speaking: socket.socket | None = None
        self._listening = socket.socket()
        try:
            self._listening.bind(("127.0.0.1", admin_port))
        except OSError:
            self._listening.close()
            raise
        self._listening.listen(2)
        self._listening.settimeout(0.02)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def shown(self) -> str:
        """Everything that the window showed."""
        return "".join(self.reads)

    def say(self, text: str) -> None:
        """Send a text, as the button does."""
        self.send(text.encode())

    def send(self, data: bytes) -> None:
        """Send bytes, which needn't be a text."""
        if self._speaking is None:
            self._speaking = socket.create_connection(("localhost", self._listen_port))
        self._speaking.sendall(data)

    def close(self, reset: bool = False) -> None:
        """End the window's process; ``reset``: as if the connection were cut."""
        self._reset, self._closing = reset, True
        self._thread.join()
        if self._speaking is not None:
            self._end(self._speaking)
        self._listening.close()

    def _run(self) -> None:
        connection = self._accept()
        if connection is None:
            return
        self.taken = True
        connection.settimeout(0.02)
        while not self._closing:
            if not self.over and not self.slow and self.broken is None:
                self._read(connection)
            else:
                threading.Event().wait(0.02)
        self._end(connection)

    def _accept(self) -> socket.socket | None:
        while not self._closing:
            try:
                return self._listening.accept()[0]
            except TimeoutError:
                continue
        return None

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(1024)
            self.reads.append(data.decode())
            self.over = not data
        except TimeoutError:
            pass
        except ConnectionResetError:
            self.over = True
        except UnicodeDecodeError as problem:
            self.broken = problem

    def _end(self, connection: socket.socket) -> None:
        if self._reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


class Admin:
    """The person who opens the window, and opens it again when a conversation has ended: ``async with Admin()``."""

    def __init__(self, there: bool = True) -> None:
        self.admin_port, self.listen_port = free_port(), free_port()
        self.windows: list[AdminWindow] = []
        self._there = there
        self._task: asyncio.Task[None] | None = None

    @property
    def window(self) -> AdminWindow:
        """The window that is open now."""
        return self.windows[-1]

    async def __aenter__(self) -> "Admin":
        if self._there:
            await self.open()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.windows:
            await asyncio.to_thread(self.window.close)
        for window in self.windows:
            assert window.broken is None, window.broken

    async def open(self) -> None:
        """Open the window, and from then on watch for the end of each conversation."""
        await eventually(self._opened, what=f"port {self.admin_port} is free")
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End the conversation, and open the window for the next one."""
        await asyncio.to_thread(self.window.close)
        await self.open()

    async def cut(self) -> None:
        """Lose the connection."""
        await asyncio.to_thread(self.window.close, True)
        await self.open()

    async def say(self, text: str) -> None:
        """Type and press the button."""
        await asyncio.to_thread(self.window.say, text)

    def before(self) -> list[tuple[str, str]]:
        """The transcript in the window, as pairs of speaker and text. Empty until it is complete."""
        transcript, end, _ = self.window.shown.removeprefix(BEFORE).partition(SINCE)
        lines = [line.partition(": ") for line in transcript.splitlines()] if end else []
        return [(name, text) for name, _, text in lines]

    def since(self) -> list[str]:
        """The text after the transcript."""
        return self.window.shown.partition(SINCE)[2].splitlines()

    def _opened(self) -> bool:
        try:
            self.windows.append(AdminWindow(self.admin_port, self.listen_port))
        except OSError:
            return False
        return True

    async def _watch(self) -> None:
        while True:
            await eventually(lambda: self.window.over, seconds=600)
            await self.close()
