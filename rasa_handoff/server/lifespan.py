"""Starting and stopping an ASGI application: the error that keeps it from starting is raised, not only logged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import ASGIApp


@contextlib.asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its startup and its shutdown.

    Raises:
        Exception: what the application raised while it started or stopped.
    """
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answered: asyncio.Queue[str] = asyncio.Queue()

    async def send(message: Any) -> None:
        answered.put_nowait(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, asked.get, send))
    try:
        await _step(running, asked, answered, "startup")
    except BaseException:
        running.cancel()
        raise
    try:
        yield
    finally:
        await _step(running, asked, answered, "shutdown")
        await running


async def _step(
    running: "asyncio.Future[None]", asked: "asyncio.Queue[dict[str, Any]]", answered: "asyncio.Queue[str]", name: str
) -> None:
    """Ask for a startup or shutdown, and wait until it is done."""
    asked.put_nowait({"type": f"lifespan.{name}"})
    reading = asyncio.ensure_future(answered.get())
    try:
        either: set[asyncio.Future[Any]] = {running, reading}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done() or not reading.result().endswith(".complete"):
            await running  # raises why
            raise RuntimeError(f"The application ended during its {name}.")
    finally:
        reading.cancel()
