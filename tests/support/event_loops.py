"""Event loops that close although a test has left something open.

pytest makes an error of the warning that a connection was never closed. Raised inside uvloop, which Sanic chooses for the
process, it keeps uvloop from closing that connection, and a loop's close waits for each of them: so a test that failed and left a
server open would hang, with nothing in it to show, no task and no Python frame.
"""

import asyncio
import warnings

import uvloop


class ClosingLoop(uvloop.Loop):
    """uvloop's loop, which warns of what was left open once it is closed."""

    def close(self) -> None:
        """Close the loop and its connections."""
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always", ResourceWarning)
            super().close()
        for one in left:
            warnings.warn(f"A test has left this open: {one.message}", stacklevel=2)


class ClosingPolicy(uvloop.EventLoopPolicy):
    """Makes such loops."""

    def _loop_factory(self) -> uvloop.Loop:
        return ClosingLoop()


def policy() -> asyncio.AbstractEventLoopPolicy:
    """Return the policy for tests: as the process has it, with loops of ours in place of uvloop's."""
    current = asyncio.get_event_loop_policy()
    return ClosingPolicy() if isinstance(current, uvloop.EventLoopPolicy) else current
