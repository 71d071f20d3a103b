"""The Tkinter demo's user window at our server: one visit, two one-way streams of raw UTF-8, without frames.

The window connects to us at the customer's first words; we connect to it at the agent's. The end of either stream ends the visit.
"""

import asyncio
import codecs
import contextlib
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator
from typing import Final

from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.whole import WholeCharacters
from rasa_handoff.vocabulary.errors import HandoffError, Unreachable
from rasa_handoff.vocabulary.text import valid_text
from rasa_handoff.vocabulary.values import Value

HERE: Final = "127.0.0.1"
"""Nothing in the protocol says who somebody is: it stays on this machine."""
MOST_BYTES: Final = 65_536
LAST_WORDS_SECONDS: Final = 1.0


class Ports(Value, frozen=True, kw_only=True):
    """``listen``: where we take the customer's words. ``window``: where the window takes the agent's."""

    listen: int = 3000
    window: int = 4000


def read_ports(given: str | None) -> Ports | None:
    """``3000:4000`` as it stands after ``--tkinter-demo``; None if it isn't there.

    Raises:
        HandoffError: one sentence.
    """
    if given is None:
        return None
    ports = [int(port) for port in given.split(":") if port.isdigit() and 0 < int(port) < 65_536]
    if len(ports) != 2 or given.count(":") != 1 or ports[0] == ports[1]:
        raise HandoffError(f"--tkinter-demo is '{given}': write two ports, such as 3000:4000.")
    return Ports(listen=ports[0], window=ports[1])


class Visit:
    """A window that has connected. ``handoff_id`` names the conversation it becomes."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handoff_id = uuid.uuid4().hex
        self._port, self._reader, self._writer = port, reader, writer
        self._whole = WholeCharacters()
        self._gone, self._all_heard = False, asyncio.Event()
        self._speaking: asyncio.StreamWriter | None = None
        self._watching: asyncio.Task[None] | None = None

    async def words(self) -> AsyncIterator[str]:
        """What the customer says, until a stream ends. A message is what came at once."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(OSError):
            while data := await self._reader.read(MOST_BYTES):
                if said := valid_text(decoder.decode(data)).strip():
                    yield said
        self._gone = self._gone or not self._writer.is_closing()
        self._all_heard.set()

    async def tell(self, text: str) -> None:
        """Say something in the window.

        Raises:
            Unreachable: it doesn't listen.
        """
        try:
            if self._speaking is None:
                reader, self._speaking = await asyncio.open_connection(HERE, self._port)
                self._watching = asyncio.create_task(self._watch(reader))
            self._speaking.write(self._whole.lay(text + "\n", time.monotonic()))
            await self._speaking.drain()
        except OSError as problem:
            raise Unreachable(f"The user window doesn't listen on port {self._port}: {problem}") from problem

    def end(self) -> None:
        """End both streams; :meth:`words` ends with them."""
        for writer in (self._writer, self._speaking):
            if writer is not None:
                if self._gone:
                    _forget(writer)
                writer.close()

    async def close(self) -> None:
        """Let go of all."""
        if self._watching is not None:
            await ended(self._watching)
        self.end()
        for writer in (self._writer, self._speaking):
            if writer is not None:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(MOST_BYTES):
                pass
        with contextlib.suppress(
            asyncio.TimeoutError
        ):  # a window that closes ends both; what it said last is still read
            await asyncio.wait_for(self._all_heard.wait(), LAST_WORDS_SECONDS)
        self._gone = self._gone or not self._writer.is_closing()
        self.end()


def _forget(writer: asyncio.StreamWriter) -> None:
    """Answer the window's end with a reset. Else the system keeps its port for a minute, and it can't be opened again."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):  # uvloop: a closed one has a negative descriptor
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
