"""A loop whose connections were left open doesn't keep the worker."""

import asyncio
import subprocess
import sys
from typing import Final

import pytest
import uvloop

from tests.support import event_loops
from tests.support.event_loops import ClosingLoop

SCRIPT: Final = """
import asyncio
from tests.support.event_loops import ClosingLoop

async def leave_open():
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    return server, await asyncio.open_connection(*server.sockets[0].getsockname())

loop = ClosingLoop()
left = loop.run_until_complete(leave_open())
loop.close()
print("closed:", loop.is_closed())
"""


def test_a_loop_closes_although_a_connection_was_left_open() -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=True)
    assert "closed: True" in done.stdout
    assert "A test has left this open: unclosed resource <TCPTransport" in done.stderr


def test_only_uvloops_policy_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    own = asyncio.DefaultEventLoopPolicy()
    monkeypatch.setattr(asyncio, "get_event_loop_policy", lambda: own)
    assert event_loops.policy() is own
    monkeypatch.setattr(asyncio, "get_event_loop_policy", uvloop.EventLoopPolicy)
    loop = event_loops.policy().new_event_loop()
    assert isinstance(loop, ClosingLoop)
    loop.close()
