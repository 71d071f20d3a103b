"""Waiting for a condition, with a deadline, so that no test has to sleep for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

from rasa_handoff.testing.slowness import slowness

PAUSE: Final = 0.01
"""Seconds between two checks."""

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T | None]], seconds: float = 10, what: str = "") -> T: ...
@overload
async def eventually(condition: Callable[[], T | None], seconds: float = 10, what: str = "") -> T: ...
async def eventually(condition: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """Wait until the condition is true and return its value, which is awaited if possible.

    The deadline is in ``seconds``, longer on a machine that is slow or busy (:mod:`rasa_handoff.testing.slowness`). ``what``: a
    description for the error; without one the error shows the condition's source.

    Raises:
        AssertionError: the deadline has passed; with the condition's last value.
    """
    deadline = _Deadline(seconds)
    while True:
        value: Any = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        deadline.check(condition, value, what)
        await asyncio.sleep(PAUSE)


def eventually_blocking(condition: Callable[[], T | None], seconds: float = 10, what: str = "") -> T:
    """Wait as :func:`eventually` does, in a test or fixture that isn't a coroutine."""
    deadline = _Deadline(seconds)
    while not (value := condition()):
        deadline.check(condition, value, what)
        time.sleep(PAUSE)
    return value


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


class _Deadline:
    """A time by which a condition has to be true, later on a machine that is slow or busy."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds * slowness()
        self._end = time.monotonic() + self._seconds

    def check(self, condition: Callable[[], Any], value: object, what: str) -> None:
        """Fail if the time has passed.

        Raises:
            AssertionError: it has; with the description, or the condition's source, and its last value.
        """
        if time.monotonic() > self._end:
            raise AssertionError(f"{what or _source(condition)}: still {value!r} after {self._seconds:g} s")


def _source(condition: Callable[[], Any]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # a built-in, a partial, or a method of one
        return repr(condition)
