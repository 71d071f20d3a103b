"""Events that are emitted and wait for their acknowledgement, each with one future and one timer.

``call`` of python-socketio starts tasks of its own for each event, and goes on waiting after the connection has closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

Emit = Callable[..., Awaitable[object]]
"""Emits the event, with ``callback`` for its acknowledgement."""


class NotAcknowledged(Exception):
    """The acknowledgement didn't come in time, or the connection has closed."""


class Calls:
    """The events of one connection that wait for their acknowledgement."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[Any]] = set()

    async def call(self, emit: Emit, seconds: float) -> Any:
        """Emit an event, and return what it was acknowledged with: None, a value, or a tuple of several.

        Raises:
            NotAcknowledged: it wasn't within so many seconds, or before :meth:`close`.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        late = loop.call_later(seconds, _fail, answer, f"no acknowledgement within {seconds:g} s")
        self._waiting.add(answer)
        try:
            await emit(callback=partial(_acknowledge, answer))
            return await answer
        finally:
            late.cancel()
            self._waiting.discard(answer)

    def close(self) -> None:
        """Fail what waits: the connection has closed. It may be used again for the next one."""
        for answer in list(self._waiting):
            _fail(answer, "the connection has closed")


def _fail(answer: "asyncio.Future[Any]", why: str) -> None:
    if not answer.done():
        answer.set_exception(NotAcknowledged(why))


def _acknowledge(answer: "asyncio.Future[Any]", *said: Any) -> None:
    if not answer.done():
        answer.set_result(said if len(said) > 1 else said[0] if said else None)
