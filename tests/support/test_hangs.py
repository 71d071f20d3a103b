"""A test that hangs ends its worker and leaves what hung."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, gc, sys
from tests.support.hangs import HangWatch

async def waits_for_what_never_comes():
    gc.freeze()  # as a Rasa server of the tests does at its end
    await asyncio.Event().wait()

with open(sys.argv[1], "a") as file:
    HangWatch(file, every=0.1).within(0.3, "a test")
    asyncio.run(waits_for_what_never_comes())
"""


def test_the_process_ends_and_what_hung_is_written(tmp_path: Path) -> None:
    file = tmp_path / "hangs.txt"
    process = subprocess.run([sys.executable, "-c", SCRIPT, str(file)], timeout=60)
    written = file.read_text()
    assert process.returncode == 1
    assert "a test hangs. Its tasks:" in written
    assert "in waits_for_what_never_comes" in written
    assert "Timeout (0:00:00.5" in written
