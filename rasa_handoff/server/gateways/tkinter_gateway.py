"""The gateway of the Tkinter demo's user window, as a customer of this desk (docs/adapters/tkinter.md). Off by default.

A visit has two one-way streams of raw UTF-8, without frames: the window connects to us at the customer's first message, and we
connect to it at the agent's. The end of either stream ends the visit, which is one conversation. There is one visit at a time,
since the window has one port; the next connection is read when that one has ended. A closed window keeps nothing, so messages
for it have failed.
"""

import asyncio
import codecs
import contextlib
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rasa_handoff.core.assignment_events import CustomerEnded, CustomerWrote
from rasa_handoff.core.tkinter_chunks import WholeCharacters
from rasa_handoff.protocol.errors import HandoffError, Refused, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.payloads import (
    CompletedPayload,
    CustomerSilentPayload,
    DeskStatusPayload,
    FailedPayload,
    MessagePayload,
    StatusPayload,
    UnansweredPayload,
)
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Channel, Offer, Status, Value, only_words
from rasa_handoff.server.service import availability, queues
from rasa_handoff.server.service.bot_operations import BotService
from rasa_handoff.server.service.deliveries import Mark
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import handoffs, whereabouts
from rasa_handoff.server.storage.customer_entries import read_entry
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

HERE: Final = "127.0.0.1"
"""The protocol has no authentication, so it stays on this machine."""
MOST_BYTES: Final = 65_536
"""Bytes that are read from a stream at once."""
LAST_MESSAGE_SECONDS: Final = 1.0
"""Seconds for the customer's last message after the window has closed the other stream."""

TKINTER: Final = "tkinter"
"""``Record.side`` of conversations that came from a window: the outbox target that leads back to it."""
BOT_ID: Final = "tkinter-demo"
CHANNEL: Final = Channel(name="tkinter", presentation=only_words("tkinter"))
PAUSE: Final = 1.0
"""Seconds until a message that can't be kept now is tried again."""

NOBODY: Final = "[Nobody is here at the moment. The next\nagent who comes will answer you]"
ENDED: Final = (
    "[The chat has ended. Nobody reads what you\nwrite now: end this program, and start it\nagain to talk to the bot]"
)
STATUS_TEXTS: Final[Mapping[type[StatusPayload], str]] = {
    UnansweredPayload: "[Nobody has been free to answer yet.\nYou are still in the queue]",
    CustomerSilentPayload: "[Are you still there? The chat ends\nby itself if you don't answer]",
    CompletedPayload: ENDED,
    FailedPayload: ENDED,
}
"""Notices for statuses. A window cuts lines off at about forty characters."""
ENDINGS: Final = (CompletedPayload, FailedPayload)


class Ports(Value, frozen=True, kw_only=True):
    """The two ports. ``listen``: ours, for the customer's messages. ``window``: the window's, for the agent's."""

    listen: int = 3000
    window: int = 4000


def read_ports(given: str | None) -> Ports | None:
    """Read the setting ``--tkinter-demo``, such as ``3000:4000``; None if it isn't given.

    Raises:
        HandoffError: these aren't two different ports.
    """
    if given is None:
        return None
    ports = [int(port) for port in given.split(":") if port.isdigit() and 0 < int(port) < 65_536]
    if len(ports) != 2 or given.count(":") != 1 or ports[0] == ports[1]:
        raise HandoffError(f"--tkinter-demo is '{given}': write two ports, such as 3000:4000.")
    return Ports(listen=ports[0], window=ports[1])


class Visit:
    """A window that has connected. ``handoff_id``: the id of its conversation."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handoff_id = uuid.uuid4().hex
        self._port, self._reader, self._writer = port, reader, writer
        self._encoder = WholeCharacters()
        self._ended_by_window, self._all_read = False, asyncio.Event()
        self._speaking: asyncio.StreamWriter | None = None
        self._watching: asyncio.Task[None] | None = None

    async def messages(self) -> AsyncIterator[str]:
        """Yield the customer's messages until a stream ends. What came at once is one message."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(OSError):
            while data := await self._reader.read(MOST_BYTES):
                if said := valid_text(decoder.decode(data)).strip():
                    yield said
        # A stream that ends before we close our own was ended by the window.
        self._ended_by_window = self._ended_by_window or not self._writer.is_closing()
        self._all_read.set()

    async def tell(self, text: str) -> None:
        """Send a text to the window.

        Raises:
            Unreachable: the window doesn't listen.
        """
        try:
            if self._speaking is None:
                reader, self._speaking = await asyncio.open_connection(HERE, self._port)
                self._watching = asyncio.create_task(self._watch(reader))
            self._speaking.write(self._encoder.encode(text + "\n", time.monotonic()))
            await self._speaking.drain()
        except OSError as problem:
            raise Unreachable(f"The user window doesn't listen on port {self._port}: {problem}") from problem

    def end(self) -> None:
        """End both streams; :meth:`messages` ends with them."""
        for writer in (self._writer, self._speaking):
            if writer is not None:
                if self._ended_by_window:
                    _close_by_reset(writer)
                writer.close()

    async def close(self) -> None:
        """End the visit, and wait until its connections are closed."""
        if self._watching is not None:
            await cancel_all(self._watching)
        self.end()
        for writer in (self._writer, self._speaking):
            if writer is not None:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(MOST_BYTES):
                pass
        # A window that closes ends both streams; its last message is still read.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_read.wait(), LAST_MESSAGE_SECONDS)
        self._ended_by_window = self._ended_by_window or not self._writer.is_closing()
        self.end()


def _close_by_reset(writer: asyncio.StreamWriter) -> None:
    """Have the closing of this connection reset it.

    Otherwise the system keeps its port for a minute, and the window can't open it again.
    """
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):  # uvloop: a closed one has a negative descriptor
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TkinterGateway:
    """Serves the window while it is entered, if it has ``ports``, and is the outbox target ``"tkinter"``."""

    batch: int = 1
    recognises = False

    def __init__(self, conversations: BotService, ports: Ports | None) -> None:
        self._conversations, self._ports = conversations, ports
        self._visit: Visit | None = None
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> "TkinterGateway":
        await self._conversations.do(_end_all)
        if self._ports is not None:
            try:
                self._server = await asyncio.start_server(self._receive, HERE, self._ports.listen)
            except OSError as problem:
                raise HandoffError(
                    f"{HERE}:{self._ports.listen} can't be listened on ({problem.strerror}): "
                    "close the admin window there, or give --tkinter-demo other ports."
                ) from problem
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await cancel_all(*self._tasks)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark]:
        """Send an entry to the window; the protocol has no acknowledgement."""
        (entry,) = entries
        payload, visit = read_entry(entry).payload, self._visit
        if visit is None or visit.handoff_id != lane:
            return _mark(lane, payload, Status.FAILED, "The window has closed.")
        text = payload.text if isinstance(payload, MessagePayload) else STATUS_TEXTS.get(type(payload))
        if text is not None:
            await visit.tell(text)
        if isinstance(payload, ENDINGS):
            visit.end()
        return _mark(lane, payload, Status.DELIVERED)

    async def process_of(self, lane: str) -> str | None:
        """Return another server that has the window of this conversation; None if there is none."""
        return await self._conversations.customer_elsewhere(lane)

    def keeps(self, lane: str) -> bool:
        """Return False: nothing that rests here is delivered in another way."""
        return False

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._ports is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        visit = Visit(self._ports.window, reader, writer)
        try:
            async with self._one_at_a_time:
                self._visit = visit
                await self._serve(visit)
        finally:
            self._visit = None if self._visit is visit else self._visit
            await visit.close()

    async def _serve(self, visit: Visit) -> None:
        begun = False
        async for text in visit.messages():
            said = CustomerWrote(at=time.time(), id=uuid.uuid4().hex, text=text)
            await self._insist(partial(self._say if begun else self._begin, visit.handoff_id, said))
            begun = True
        self._visit = None
        if begun:
            left = CustomerEnded(at=time.time(), reason="customer_left")
            await self._insist(partial(self._conversations.customer_ended, TKINTER, BOT_ID, visit.handoff_id, left))

    async def _begin(self, handoff_id: str, said: CustomerWrote) -> None:
        offer = Offer(handoff_id=handoff_id, conversation_id=handoff_id, bot_id=BOT_ID, channel=CHANNEL)

        def work(unit: UnitOfWork) -> None:
            record = queues.arrive(unit, offer, TKINTER)
            whereabouts.customer_came(unit.connection, handoff_id)
            if not availability.serving(unit.connection, None, only_online=True):
                record = unit.notice(record, NOBODY, unit.now)
            unit.say(record, said)

        await self._conversations.do(work)

    async def _say(self, handoff_id: str, said: CustomerWrote) -> None:
        await self._conversations.customer_said(TKINTER, BOT_ID, handoff_id, said)

    async def _insist(self, work: Callable[[], Awaitable[object]]) -> None:
        """Repeat work until the database can be used: a window doesn't send a message again."""
        while not self._conversations.closing:
            try:
                await work()
                return
            except Refused as no:
                log.info("A window's message came too late: %s", no)
                return
            except Unreachable:
                await asyncio.sleep(PAUSE)
            except Exception:  # it mustn't end the task that reads the next messages
                log.exception("A window's message couldn't be kept, and is lost.")
                return


def _end_all(unit: UnitOfWork) -> None:
    """End the conversations of windows that were connected to a process that has ended."""
    of_windows = [one.handoff_id for one in handoffs.unfinished(unit.connection) if one.side == TKINTER]
    for handoff_id in of_windows:
        if whereabouts.with_customer(unit.connection, handoff_id) is not None:
            continue
        with unit.isolated("Handoff %s of a closed window can't be ended.", handoff_id):
            record = handoffs.must_find(unit.connection, handoff_id)
            unit.apply(record, CustomerEnded(at=unit.now, reason="customer_left"))


def _mark(
    lane: str, payload: MessagePayload | DeskStatusPayload, status: Status, reason: str | None = None
) -> tuple[Mark, ...]:
    if not isinstance(payload, MessagePayload):
        return ()
    return (Mark(handoff_id=lane, message_id=payload.id, status=status, reason=reason),)
