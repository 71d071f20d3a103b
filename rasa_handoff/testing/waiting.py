"""Waiting by condition, with a deadline. No test sleeps for luck."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from rasa_handoff.testing.slowness import slowness

PAUSE: Final = 0.02
"""Seconds between two looks."""

T = TypeVar("T")


async def until(condition: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """The first true value of the condition, awaited if it can be, looked at for so many ``seconds``, and longer on a machine
    that is slow or busy (:mod:`rasa_handoff.testing.slowness`). ``what``: for the error.

    Raises:
        AssertionError: with its last value, when the deadline passes.
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
    """What is awaited, if it comes within so many ``seconds``, more on a machine that is slow or busy. ``what``: for the error.

    Raises:
        AssertionError: it doesn't; it is cancelled.
    """
    seconds *= slowness()
    try:
        return await asyncio.wait_for(awaited, seconds)
    except asyncio.TimeoutError:
        raise AssertionError(f"{what or 'What is awaited'}: it didn't come within {seconds:g} s") from None
