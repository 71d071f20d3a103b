"""Helpers for asyncio tasks: cancel them for good, finish work in spite of cancellation, run work in the background, and end
what may hang."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeVar

from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

T = TypeVar("T")

CLOSE_SECONDS: Final = 10.0
"""Seconds in which a part of a process must have ended. An orchestrator kills a process about half a minute after SIGTERM."""

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


@contextlib.asynccontextmanager
async def closing_in_time(part: AbstractAsyncContextManager[T], seconds: float = CLOSE_SECONDS) -> AsyncIterator[T]:
    """Use a part of the process, and end it within ``seconds``, as :func:`close_in_time` does."""
    entered = await part.__aenter__()
    try:
        yield entered
    finally:
        await close_in_time(type(part).__name__, part.__aexit__(None, None, None), seconds)


async def close_in_time(part: str, closing: Coroutine[Any, Any, object], seconds: float = CLOSE_SECONDS) -> None:
    """End a part of the process; after ``seconds`` leave it as it is and log where it stands, since the process is to end."""
    task = asyncio.create_task(closing)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            task.result()
            return
        log.error("%s hasn't ended within %g s, and is left as it is. It waits %s.", part, seconds, waits_in(task))
    finally:
        task.cancel()


def waits_in(task: "asyncio.Task[Any]") -> str:
    """Return where a task waits: the functions that await one another, from the outermost to the innermost.

    ``Task.print_stack`` knows the outermost only.
    """
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = next(
            (one for name in ("cr_frame", "gi_frame", "ag_frame") if (one := getattr(awaited, name, None))), None
        )
        if frame is not None:
            places.append(f"in {frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        awaited = next(
            (one for name in ("cr_await", "gi_yieldfrom", "ag_await") if (one := getattr(awaited, name, None))), None
        )
    return ", ".join(places)


def begin(work: Coroutine[Any, Any, object]) -> None:
    """Run work in the background, without waiting for it."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    task.add_done_callback(_complain)


def _complain(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("A background task has failed: %r", problem)
