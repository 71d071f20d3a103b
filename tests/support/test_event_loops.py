"""A loop whose connections were left open doesn't keep the worker."""

import asyncio
import threading
import time

import pytest
import uvloop

from tests.support import event_loops
from tests.support.event_loops import LeavingLoop


def test_a_loop_that_does_not_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(event_loops, "CLOSE_SECONDS", 0.1)

    class Stuck(LeavingLoop):
        def _close_it(self) -> None:
            never.wait()

    loop, began = Stuck(), time.monotonic()
    with pytest.warns(UserWarning, match="left connections open"):
        loop.close()
    assert time.monotonic() - began < 30
    never.set()


def test_other_loops_are_closed() -> None:
    loop = LeavingLoop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert loop.is_closed()


def test_only_uvloops_policy_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    own = asyncio.DefaultEventLoopPolicy()
    monkeypatch.setattr(asyncio, "get_event_loop_policy", lambda: own)
    assert event_loops.policy() is own
    monkeypatch.setattr(asyncio, "get_event_loop_policy", uvloop.EventLoopPolicy)
    loop = event_loops.policy().new_event_loop()
    assert isinstance(loop, LeavingLoop)
    loop.close()
