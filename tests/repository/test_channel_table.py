"""The table of channels is what the code reads, and each of its cells is shown by a test of that name."""

import subprocess
import sys

from rasa_handoff.protocol.channel_capabilities import ROWS
from tests.support.paths import ROOT
from tools.channel_table import COLUMNS, COMMAND, PAGE, page

SHOWN = "tests/rasa/channels/test_channel_table.py"


def test_the_page_has_the_table_as_it_is_now() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text(), f"run: {COMMAND}"


def test_each_cell_has_its_test() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", SHOWN]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    ids = {line for line in collected.stdout.splitlines() if line.startswith(SHOWN)}
    assert ids == {f"{SHOWN}::test_{column.test}[{able.name}]" for column in COLUMNS for able in ROWS}
