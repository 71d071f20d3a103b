"""Events that wait for their acknowledgement: what it brings, and every way in which none comes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rasa_handoff.guard.calls import Calls, NotAcknowledged


class Emitter:
    """Keeps the callbacks of what was emitted."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.callbacks: list[Callable[..., None]] = []
        self._problem = problem

    async def emit(self, callback: Callable[..., None]) -> None:
        if self._problem is not None:
            raise self._problem
        self.callbacks.append(callback)


@pytest.mark.parametrize(("said", "value"), [((), None), (({"ok": True},), {"ok": True}), ((1, 2), (1, 2))])
async def test_the_acknowledgement_is_the_answer(said: tuple[Any, ...], value: Any) -> None:
    emitter, calls = Emitter(), Calls()
    answer = asyncio.ensure_future(calls.call(emitter.emit, 5))
    await asyncio.sleep(0)
    emitter.callbacks[0](*said)
    assert await answer == value
    emitter.callbacks[0]("once more")  # a copy of the acknowledgement


async def test_no_acknowledgement_in_time() -> None:
    with pytest.raises(NotAcknowledged, match=r"no acknowledgement within 0\.01 s"):
        await Calls().call(Emitter().emit, 0.01)


async def test_what_waits_fails_when_the_connection_closes_and_the_next_one_is_none_the_worse() -> None:
    emitter, calls = Emitter(), Calls()
    waiting = [asyncio.ensure_future(calls.call(emitter.emit, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    calls.close()
    for one in waiting:
        with pytest.raises(NotAcknowledged, match="the connection has closed"):
            await one
    emitter.callbacks[0]({"ok": True})  # too late
    answer = asyncio.ensure_future(calls.call(emitter.emit, 5))
    await asyncio.sleep(0)
    emitter.callbacks[2]({"ok": True})
    assert await answer == {"ok": True}


async def test_what_emitting_raises_is_raised_and_nothing_is_left_waiting() -> None:
    calls = Calls()
    with pytest.raises(ValueError, match="gone"):
        await calls.call(Emitter(ValueError("gone")).emit, 5)
    assert not calls._waiting
