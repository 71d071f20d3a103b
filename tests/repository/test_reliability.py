"""Every channel has its promise in docs/reliability.md, and every promise its test."""

import re

import pytest
from rasa.core.channels import BUILTIN_CHANNELS

from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text()
PART = re.split(r"^## ", TEXT.partition("## The last hop, channel by channel\n")[2], flags=re.MULTILINE)[0]
ROWS = [line for line in PART.splitlines() if line.startswith("| `")]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize("channel", sorted(set(BUILTIN_CHANNELS) - {"cmdline"}))
def test_every_channel_has_its_line_with_a_test(channel: str) -> None:
    rows = [row for row in ROWS if row.startswith(f"| `{channel}`")]
    assert rows, f"docs/reliability.md has no line for {channel}"
    for row in rows:
        _, _, incoming, outgoing, tests, _ = (cell.strip() for cell in row.split("|"))
        assert incoming
        assert outgoing
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), row


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), flags=re.MULTILINE), f"{file}::{name}"
