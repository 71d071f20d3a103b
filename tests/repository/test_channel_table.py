"""The table of channels is what the code reads, and each of its cells is shown by a test of that name."""

import ast

from tests.support.paths import ROOT
from tools.channel_table import COLUMNS, COMMAND, PAGE, page

SHOWN = ROOT / "tests" / "rasa" / "channels" / "test_channel_table.py"


def test_the_page_has_the_table_as_it_is_now() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text(), f"run: {COMMAND}"


def test_each_cell_has_its_test() -> None:
    """Each test there has a parameter for every row: that is decided in one place, ``cells``."""
    functions = [node for node in ast.walk(ast.parse(SHOWN.read_text())) if isinstance(node, ast.AsyncFunctionDef)]
    for_each_row = {one.name for one in functions if any(ast.unparse(mark) == "cells" for mark in one.decorator_list)}
    assert for_each_row == {f"test_{column.test}" for column in COLUMNS}
