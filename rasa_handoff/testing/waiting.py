"""Waiting for a condition, with a deadline, so that no test has to sleep for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from rasa_handoff.testing.slowness import slowness

PAUSE: Final = 0.02
"""Seconds between two checks."""

T = TypeVar("T")


async def until(condition: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """Wait until the condition is true and return its value, which is awaited if possible.

    The deadline is in ``seconds``, longer on a machine that is slow or busy (:mod:`rasa_handoff.testing.slowness`). ``what``: a
    description for the error.

    Raises:
        AssertionError: the deadline has passed; with the condition's last value.
    """
    seconds *= slowness()
    deadline = time.monotonic() + seconds
    while True:
        value: Any = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or inspect.getsource(condition).strip()}: still {value!r} after {seconds:g} s")
        await asyncio.sleep(PAUSE)


async def within(awaited: Awaitable[T], seconds: float, what: str = "") -> T:
    """Await something for so many ``seconds``, longer on a machine that is slow or busy, and return its result. ``what``: a
    description for the error.

    Raises:
        AssertionError: the deadline has passed; what was awaited is cancelled.
    """
    seconds *= slowness()
    try:
        return await asyncio.wait_for(awaited, seconds)
    except asyncio.TimeoutError:
        raise AssertionError(f"{what or 'What is awaited'}: it didn't come within {seconds:g} s") from None
