"""Tasks that are to end."""

import asyncio


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel them until they are: Python 3.10's ``wait_for`` swallows a cancellation that comes with its result."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.5)
