"""The tables of docs/protocol.md are those of the structs that both sides read and write."""

from tools.protocol_tables import COMMAND, PAGE, page, undescribed


def test_the_page_has_the_tables_as_they_are_now() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text(), f"run: {COMMAND}"


def test_each_field_has_its_meaning() -> None:
    assert undescribed() == [], "say it in the struct's docstring: ``field``: meaning."
