"""Tasks that are to end, and work that is not to stop half done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

T = TypeVar("T")

_under_way: Final[set["asyncio.Task[Any]"]] = set()


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel them until they are: Python 3.10's ``wait_for`` swallows a cancellation that comes with its result."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.5)


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Do this to its end, also when whoever waits for it is cancelled: what follows a commit must follow it."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_complain)
        raise


def begin(work: Coroutine[Any, Any, object]) -> None:
    """Do this beside what is being done; nobody waits for it."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    task.add_done_callback(_complain)


def _complain(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("What nobody waits for any more has failed: %r", problem)
