"""The live-agent server as a process of its own, on a database and a port of a test's."""

import asyncio
import re
import sys
from typing import Any, Final

from rasa_handoff.testing.waiting import within
from tools import children

SCRIPT: Final = (
    "import sys; from rasa_handoff.server.run import serve; sys.exit(serve('127.0.0.1', int(sys.argv[2]), sys.argv[1]))"
)


async def serve_in_process(database: str, port: int = 0, **more: Any) -> tuple[asyncio.subprocess.Process, str]:
    """Start a server, and return the process and the line in which it says that it is ready. ``port``: 0 for any."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, database, str(port),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **more,
    )  # fmt: skip
    children.end_with_us(process.pid)
    return process, await ready_line(process)


async def ready_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await within(process.stdout.readline(), 30)).decode()


def address_in(line: str) -> str:
    """Return the address that a server says it is at."""
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    return found.group()
