"""A task ends although it was cancelled in the very moment its wait was over."""

import asyncio
import contextlib

from rasa_handoff.store.tasks import cancel_all


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
