"""Event loops that close whatever a test has left open.

uvloop, which Sanic chooses for the process, waits at a loop's close until every connection of the loop is closed, and for ever
if one isn't: a test that failed and left a server open would hang, with nothing in it to show (no task, no Python frame).
"""

import asyncio
import threading
import warnings
from typing import Final

import uvloop

CLOSE_SECONDS: Final = 5.0
"""Seconds for the close of a loop, which takes a moment."""


class LeavingLoop(uvloop.Loop):
    """uvloop's loop, which is left as it is if it doesn't close."""

    def close(self) -> None:
        """Close, in a thread that may stay behind."""
        closing = threading.Thread(target=self._close_it, name="closes an event loop", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():
            warnings.warn("A test has left connections open, and its event loop can't be closed.", stacklevel=2)

    def _close_it(self) -> None:
        super().close()


class LeavingPolicy(uvloop.EventLoopPolicy):
    """Makes such loops."""

    def _loop_factory(self) -> uvloop.Loop:
        return LeavingLoop()


def policy() -> asyncio.AbstractEventLoopPolicy:
    """Return the policy for tests: as the process has it, with loops that can be left in place of uvloop's."""
    current = asyncio.get_event_loop_policy()
    return LeavingPolicy() if isinstance(current, uvloop.EventLoopPolicy) else current
