"""One turn at a time for each customer: what they send at once is taken in order, whoever is active.

A lock of our own, since Rasa's is taken within a turn, looks again only once a second, and lets a message typed during the
turn that hands over slip between bot and desk.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)


class Turns:
    """Locks by conversation, forgotten when nobody holds or awaits them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: dict[str, int] = {}

    def under_way(self, conversation_id: str) -> bool:
        """Whether somebody has this conversation's turn, or waits for it."""
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


class Work:
    """What must be done to its end once it was begun."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this to its end, also when the request that wants it is called off: half a turn leaves nobody in charge."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_complain)
            raise

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside what is being done; nobody waits for it but :meth:`drained`."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(_complain)

    async def drained(self, seconds: float) -> None:
        """Wait until nothing is under way, so many seconds at most."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=seconds)


def _complain(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("A message whose request was called off could not be taken in: %r", problem)
