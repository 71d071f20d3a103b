"""Sockets as the guard sees them: each one's rates, and its events that wait for their handlers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa_handoff.guard.buckets import Bucket
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

MOST_QUEUED: Final = 50
DRAIN_WITHIN: Final = 2.0
"""Seconds for each of a closed socket's last events to begin: a busy server takes them one by one; a stuck one ends the wait."""

BURST_SECONDS: Final = 20.0
CONNECTS_PER_SECOND: Final = 0.5
RELAY_AT_ONCE: Final = 1_000
"""Events of a relay whose handlers may run at the same time: it has all conversations of its bot."""

Job = Callable[[], Awaitable[Any]]


class Session:
    """An Engine.IO socket. ``trusted``: it is a relay's, whose token was accepted."""

    def __init__(self, sid: str, address: str, limits: Limits, at_once: int) -> None:
        self.sid, self.address, self._limits, self._at_once = sid, address, limits, at_once
        self.since = asyncio.get_running_loop().time()
        self.trusted, self.unfit = False, 0
        self.ends = False
        """Nothing more of the socket is read: it has left, or the server stops."""
        self.slowed: set[str] = set()
        self.reading = asyncio.Lock()
        self.bucket = Bucket(limits.events_per_second, limits.events_per_second * BURST_SECONDS)
        self.connects = Bucket(CONNECTS_PER_SECOND, CONNECTS_PER_SECOND * BURST_SECONDS * 2)
        self.pending = Pending(at_once, limits.message_bytes)

    @property
    def longest(self) -> int:
        """The most bytes of a message."""
        return self._limits.relay_message_bytes if self.trusted else self._limits.message_bytes

    def trust(self, trusted: bool) -> None:
        """Note that a relay's handshake was accepted, or that the relay has left."""
        self.trusted = trusted
        self.pending.at_once = RELAY_AT_ONCE if trusted else self._at_once


class Pending:
    """The waiting events. ``at_once``: handlers that may run at the same time. ``most_bytes``: of waiting events."""

    def __init__(self, at_once: int, most_bytes: int) -> None:
        self.at_once, self._most_bytes = at_once, most_bytes
        self._queued: deque[tuple[Job, int]] = deque()
        self._bytes, self._running = 0, 0
        self._changed, self._closed = asyncio.Event(), False
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, job: Job, size: int) -> None:
        """Queue a job. Waits while too much is queued; meanwhile nothing more of this socket is read."""
        while self._queued and (len(self._queued) >= MOST_QUEUED or self._bytes + size > self._most_bytes):
            await self._wait_for_change()
        if self._closed:
            return
        self._queued.append((job, size))
        self._bytes += size
        self._start()

    async def drain(self) -> None:
        """Wait until the last handler has begun, at most ``DRAIN_WITHIN`` for each."""
        while self._queued:
            try:
                await asyncio.wait_for(self._wait_for_change(), DRAIN_WITHIN)
            except asyncio.TimeoutError:
                return
        await asyncio.sleep(0)

    def drop(self) -> None:
        """Discard queued jobs."""
        self._queued.clear()
        self._bytes = 0
        self._changed.set()

    def close(self) -> None:
        """Discard queued jobs, and all that come: the server has stopped."""
        self._closed = True
        self.drop()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _start(self) -> None:
        while self._queued and self._running < self.at_once:
            job, size = self._queued.popleft()
            self._bytes -= size
            self._running += 1
            task = asyncio.create_task(self._run(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        try:
            await job()
        except Exception:
            log.exception("An event's handler failed.")
        finally:
            self._running -= 1
            self._changed.set()
            self._start()
