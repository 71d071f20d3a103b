"""What docs/security.md promises names tests that exist, and the guard's limits as they are."""

import re

import pytest

from rasa_handoff.guard.refusals import LINES_A_MINUTE, LINES_OF_ALL
from rasa_handoff.protocol.limits import Limits
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
FILES = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::\w+)?`", TEXT)))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
PROMISES = [line for line in TEXT.splitlines() if line.startswith("| ") and "`test" in line.rpartition(" | ")[2]]


def test_tests_are_named_with_their_whole_path() -> None:
    assert len(PROMISES) > 30
    assert len(NAMED) > 40
    assert not re.findall(r"`::\w+`|`(?!tests/)[\w/]+\.(?:py|mjs)(?:::\w+)?`", TEXT)


@pytest.mark.parametrize("file", FILES)
def test_every_named_file_exists(file: str) -> None:
    assert (ROOT / file).is_file()


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), flags=re.MULTILINE), f"{file}::{name}"


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_every_limit_is_there_with_its_number(name: str) -> None:
    number = getattr(Limits(), name)
    assert f"\n| `{name}` | {number:,.0f} | " in TEXT
    assert re.search(rf"^\| `limits\.{name}` \| {number:.0f} \| ", SETTINGS, flags=re.MULTILINE)


def test_every_table_of_limits_names_no_other() -> None:
    part = TEXT.partition("## The guard's limits\n")[2].partition("| refused whatever")[0]
    assert re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE) == list(Limits.__struct_fields__)
    assert f"at most {LINES_A_MINUTE} a minute for one address and {LINES_OF_ALL} for all" in TEXT
