"""The turn lock: one turn at a time for each customer, in the order of their messages, whoever is active.

It is separate from Rasa's lock, which is taken within a turn, polls only once a second, and lets a message typed during the
turn that requests a handoff slip between bot and desk.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)


class TurnLock:
    """Locks by conversation; each is dropped when nobody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: dict[str, int] = {}

    def under_way(self, conversation_id: str) -> bool:
        """Return whether somebody has this conversation's turn, or waits for it."""
        return conversation_id in self._wanted

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait for this conversation's turn; first come, first served."""
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        self._wanted[conversation_id] = self._wanted.get(conversation_id, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._wanted[conversation_id] -= 1
            if not self._wanted[conversation_id]:
                del self._wanted[conversation_id], self._locks[conversation_id]


class WorkUnderWay:
    """Tasks that run to their end once they have begun, also if their request is cancelled."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this to its end, even if the request that awaits it is cancelled.

        If a turn stopped halfway, the conversation might be left with neither the bot nor the desk.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_complain)
            raise

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this in the background; only :meth:`drained` waits for it."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(_complain)

    async def drained(self, seconds: float) -> None:
        """Wait until nothing is under way, for at most this many seconds."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=seconds)


def _complain(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("A message that nobody waits for any more could not be handled: %r", problem)
