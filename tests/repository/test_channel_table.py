"""The table of channels is what the code reads, and each of its cells is shown by a test of that name."""

from typing import Any

from rasa_handoff.protocol.channel_capabilities import ROWS
from tests.rasa.channels import test_channel_table
from tools.channel_table import COLUMNS, COMMAND, PAGE, page


def test_the_page_has_the_table_as_it_is_now() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text(), f"run: {COMMAND}"


def test_each_cell_has_its_test() -> None:
    for column in COLUMNS:
        shown: Any = getattr(test_channel_table, f"test_{column.test}")
        marks = {mark.name: mark.args for mark in shown.pytestmark}
        assert marks == {"parametrize": ("able", ROWS)}, (
            f"{column.test} is shown for each channel, and left out for none"
        )
