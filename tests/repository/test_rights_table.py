"""The table of rights in docs/security.md is the one that the server asks."""

from tools.rights_table import COMMAND, PAGE, page


def test_the_page_has_the_table_as_it_is_now() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text(), f"run: {COMMAND}"
