"""Helpers for asyncio tasks: cancel them for good, finish work in spite of cancellation, run work in the background."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

T = TypeVar("T")

_under_way: Final[set["asyncio.Task[Any]"]] = set()
"""Keeps a reference to each task, without which it could be garbage-collected."""


async def cancel_all(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks and wait for them.

    Cancels again until they end: Python 3.10's ``wait_for`` swallows a cancellation that arrives together with its result.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.5)


async def finish_despite_cancellation(work: Coroutine[Any, Any, T]) -> T:
    """Await work that must not stop halfway, such as what follows a commit: it goes on when the caller is cancelled."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_complain)
        raise


def begin(work: Coroutine[Any, Any, object]) -> None:
    """Run work in the background, without waiting for it."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    task.add_done_callback(_complain)


def _complain(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("A background task has failed: %r", problem)
