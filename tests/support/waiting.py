"""Waiting by condition, with a deadline. No test sleeps for luck."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
PAUSE = 0.02


async def until(condition: Callable[[], T | Awaitable[T]], seconds: float = 10, what: str = "") -> T:
    """The condition's first true value.

    Raises:
        AssertionError: with its last value, when the deadline passes.
    """
    deadline = time.monotonic() + seconds
    while True:
        value: Any = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or inspect.getsource(condition).strip()}: still {value!r} after {seconds} s")
        await asyncio.sleep(PAUSE)
