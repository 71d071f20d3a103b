"""Calls that block, in threads of one channel's own: vendors' clients that may wait for ever.

The threads of Python's own pool are shared by all of a process, and its end waits for them. A channel whose vendor doesn't answer
must hold up neither the others nor the end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar, cast

THREADS: Final = 8
"""Calls of one channel at the same time."""

T = TypeVar("T")


class BlockingCalls:
    """Runs blocking calls, ``most`` at the same time. One that doesn't return keeps its place, and ends with the process."""

    def __init__(self, most: int = THREADS) -> None:
        self._places = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread, and return its result. If the caller is cancelled, the call goes on."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def finish(answer: T | None, problem: BaseException | None) -> None:
            self._places.release()
            if result.done():
                return
            if problem is not None:
                result.set_exception(problem)
            else:
                result.set_result(cast(T, answer))

        def target() -> None:
            answer, problem = None, None
            try:
                answer = work()
            except BaseException as raised:  # whatever a vendor's client raises is for the caller
                problem = raised
            with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
                loop.call_soon_threadsafe(finish, answer, problem)

        threading.Thread(target=target, daemon=True).start()
        return await result
