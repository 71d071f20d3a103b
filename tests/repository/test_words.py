"""Words of the dialect that this code was once written in don't come back: not in names, file names or log lines, nor in the
pages' class names and ids."""

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
        *("wish", "wishes", "wished", "thinking", "vocabulary", "tiding", "tidings"),
    }
)
"""Gone also as a part of a name."""
GONE_AS_NOUNS = frozenset({"hand", "hands", "told", "heard", "owed", "rasa_room"})
"""Gone as a whole name alone: in ``hand_over`` the word is a verb."""
FILES = sorted(path for folder in ("rasa_handoff", "tools", "tests") for path in (ROOT / folder).rglob("*.py"))
WEB_FOLDERS = ("rasa_handoff/server/web", "example_bot/web", "tests/web")
WEB_FILES = sorted(
    path
    for folder in WEB_FOLDERS
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".js", ".mjs", ".css", ".html", ".svg"} and "vendor" not in path.parts
)
LOGGING = {"debug", "info", "warning", "error", "exception", "critical"}


def words_of(name: str) -> set[str]:
    """The words a name is made of: ``_ring_lane``, ``DeskEdge`` and ``queue-list`` have two each."""
    return {
        word.lower() for part in re.split("[_-]", name) for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", part)
    }


def gone_from_names(source: str) -> set[str]:
    names = {
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NAME
    }
    return gone(names)


def gone(names: set[str]) -> set[str]:
    return {name for name in names if words_of(name) & GONE or name.strip("_").lower() in GONE_AS_NOUNS}


STRING = r'"[^"\n]*"|\'[^\'\n]*\''
IN_STYLE = re.compile(r"(?:--|[.#])([A-Za-z][\w-]*)")
IN_PAGE = re.compile(r'\b(?:class|id|data-testid)="([^"]*)"')
IN_SCRIPT = re.compile(r'\b(?:class|id|className|testid)"?: "([^"]*)"')


def names_in(source: str, kind: str) -> set[str]:
    """Names in a style sheet, a page or a script: a script's without those in comments and texts."""
    source = re.sub(r"/\*.*?\*/", " ", source, flags=re.DOTALL)
    if kind == ".css":
        return set(IN_STYLE.findall(source))
    marks = {name for found in (IN_PAGE, IN_SCRIPT) for text in found.findall(source) for name in text.split()}
    if kind in {".html", ".svg"}:
        return marks
    source = re.sub(rf"{STRING}|(?<!:)//[^\n]*", " ", source)
    return marks | set(re.findall(r"[A-Za-z_]\w*", re.sub(r"`[^`$]*`", " ", source)))


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


@pytest.mark.parametrize("path", WEB_FILES, ids=[str(path.relative_to(ROOT)) for path in WEB_FILES])
def test_no_word_comes_back_to_the_pages(path: Path) -> None:
    stem = path.name.split(".")[0]
    assert not gone({stem, *names_in(path.read_text("utf-8"), path.suffix)})


def test_the_check_can_fail() -> None:
    assert gone(names_in("const told = rungBell(at); // a door", ".js")) == {"told", "rungBell"}
    assert gone(names_in('el("p", { class: "row edge" }, "the road")', ".js")) == {"edge"}
    assert gone(names_in('<p class="bell" id="road">door</p>', ".html")) == {"bell", "road"}
    assert gone(names_in(".line { color: var(--edge-strong) } /* .door */", ".css")) == {"edge-strong"}
    assert gone_from_names("def _ring_bell(): Door = told = 1") == {"_ring_bell", "Door", "told"}
    assert gone_from_names("def hand_over(): pass") == set()
    assert list(log_lines("log.info('at the door: %s', x)")) == ["at the door: %s"]
