"""Waiting by condition, with a deadline. No test sleeps for luck."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

from rasa_handoff.testing.slowness import slowness

PAUSE: Final = 0.02
"""Seconds between two looks."""


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
