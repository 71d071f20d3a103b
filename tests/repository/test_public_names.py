"""docs/public-names.md has every public name, as it is in the code."""

import re

import pytest

import rasa_handoff
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE
from tests.support.paths import ROOT
from tools.public_names import PAGE, page, tables

TEXT = PAGE.read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
BY_HAND = TEXT.partition("## For desks and platforms of your own")[2]


def test_the_page_shows_the_names() -> None:
    assert tables() in TEXT, "run: .venv/bin/python tools/public_names.py"
    assert page(TEXT) == TEXT


@pytest.mark.parametrize("name", rasa_handoff.__all__)
def test_each_name_of_the_package_is_there(name: str) -> None:
    assert getattr(rasa_handoff, name)
    assert f"| `rasa_handoff.{name}` |" in TEXT


def test_a_command_that_is_new_is_noticed() -> None:
    assert tables().replace("| `rasa-handoff agent list` |", "| `rasa-handoff agent look` |") not in TEXT


def test_entry_points_and_extras_are_there() -> None:
    scripts = re.findall(r"^\[project\.scripts\]\n((?:.+\n)+)", PYPROJECT, flags=re.MULTILINE)
    assert [line.partition(" ")[0] for line in scripts[0].splitlines()] == ["rasa-handoff"]
    part = PYPROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = re.findall(r"^(\w+) = \[", part, flags=re.MULTILINE)
    row = next(line for line in BY_HAND.splitlines() if line.startswith("| the extras"))
    assert re.findall(r"`(\w+)`", row) == extras
    assert "entry-points" not in PYPROJECT, "say them on the page"
    assert f"`{ADMIN_TOKEN_VARIABLE}`" in BY_HAND


def test_names_for_desks_are_in_their_modules() -> None:
    rows = re.findall(r"^\| `(rasa_handoff\.[\w.]+)` \| (.*) \|$", BY_HAND, flags=re.MULTILINE)
    assert len(rows) > 4
    for module, names in rows:
        source = (ROOT / (module.replace(".", "/") + ".py")).read_text()
        assert [name for name in re.findall(r"`(\w+)`", names) if not re.search(rf"\b{name}\b", source)] == []
