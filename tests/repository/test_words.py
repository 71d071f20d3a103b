"""Words of the dialect that this code was once written in don't come back: not in names, file names or log lines."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

GONE = frozenset(
    {
        *(
            "door",
            "doors",
            "edge",
            "edges",
            "road",
            "roads",
            "bell",
            "bells",
            "rung",
            "board",
            "boards",
            "errand",
            "errands",
        ),
        *(
            "fate",
            "fates",
            "stray",
            "strays",
            "deed",
            "deeds",
            "witness",
            "witnesses",
            "knock",
            "knocks",
            "faded",
            "untake",
        ),
        *("wish", "wishes", "wished", "thinking", "vocabulary"),
    }
)
"""As a part of a name, too."""
GONE_AS_NOUNS = frozenset({"hand", "hands", "told", "heard", "owed", "rasa_room"})
"""As a whole name: 'hand_over' is a verb."""
FILES = sorted(path for folder in ("rasa_handoff", "tools") for path in (ROOT / folder).rglob("*.py"))
LOGGING = {"debug", "info", "warning", "error", "exception", "critical"}


def words_of(name: str) -> set[str]:
    """The words a name is made of: ``_ring_lane`` and ``DeskEdge`` have two each."""
    return {word.lower() for part in name.split("_") for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", part)}


def gone_from_names(source: str) -> set[str]:
    names = {
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NAME
    }
    return {name for name in names if words_of(name) & GONE or name.strip("_").lower() in GONE_AS_NOUNS}


def log_lines(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGING:
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_no_word_comes_back(path: Path) -> None:
    source = path.read_text()
    assert not words_of(path.stem) & GONE
    assert path.stem not in GONE_AS_NOUNS
    assert not gone_from_names(source)
    for line in log_lines(source):
        assert not set(re.findall(r"[a-z]+", line.lower())) & GONE, line


def test_the_check_can_fail() -> None:
    assert gone_from_names("def _ring_bell(): Door = told = 1") == {"_ring_bell", "Door", "told"}
    assert gone_from_names("def hand_over(): pass") == set()
    assert list(log_lines("log.info('at the door: %s', x)")) == ["at the door: %s"]
