"""Tasks end: also if they were cancelled in the very moment their wait was over, or don't end by themselves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from rasa_handoff.store.tasks import cancel_all, closing_in_time


async def test_a_cancellation_that_is_swallowed_is_said_again() -> None:
    awake = asyncio.Event()

    async def goes_on() -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(awake.wait(), 60)
            awake.clear()

    task = asyncio.create_task(goes_on())
    await asyncio.sleep(0)
    awake.set()
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_all(task), 10)
    assert task.done()


async def test_a_part_that_does_not_end_is_left_and_the_log_says_where_it_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left, never = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def outer() -> AsyncIterator[None]:
        yield
        left.set()

    class Stuck:
        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *_: object) -> None:
            await wait()

    async def wait() -> None:
        await never.wait()

    async def use_both() -> None:
        async with closing_in_time(outer()), closing_in_time(Stuck(), seconds=0.05):
            pass

    await asyncio.wait_for(use_both(), 10)
    assert left.is_set()
    assert "in __aexit__ (test_tasks.py:" in caplog.text
    assert "in wait (locks.py:" in caplog.text
    assert "Stuck hasn't ended within 0.05 s" in caplog.text


async def test_what_a_part_raises_at_its_end_is_raised() -> None:
    @contextlib.asynccontextmanager
    async def fails() -> AsyncIterator[None]:
        yield
        raise ValueError("at the end")

    with pytest.raises(ValueError, match="at the end"):
        async with closing_in_time(fails()):
            pass
