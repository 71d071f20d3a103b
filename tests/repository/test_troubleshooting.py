"""The lines of the log that docs/troubleshooting.md explains are those that the code writes."""

import ast
import re
from typing import Final

import pytest

from tests.support.paths import PACKAGE, ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
PART = PAGE.partition("## What logs say")[2]
LINES: Final = sorted(
    {line for row in re.findall(r"^\| (`.*?`(?:, then `.*?`)*) \|", PART, re.M) for line in re.findall(r"`(.*?)`", row)}
)
HOLE: Final = re.compile(r"%[-\w.]*[srdgf]|\{\w*[:\w.]*\}")


def texts_of(source: str) -> set[str]:
    """All texts of a module, with ``...`` where a value is put in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
            found.add("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(HOLE.sub("...", node.value))
    return found


TEXTS: Final = set().union(*(texts_of(path.read_text()) for path in PACKAGE.rglob("*.py")))


def is_written(line: str, texts: set[str]) -> bool:
    """Whether the code has this line; one that ends with ``...`` may go on."""
    wanted = line.removesuffix("...").rstrip()
    return any(text == wanted or (wanted != line and text.startswith(wanted)) for text in texts)


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_explained_is_written(line: str) -> None:
    assert is_written(line, TEXTS)


def test_the_check_can_fail() -> None:
    texts = texts_of("log.info('%s waits for %s.', a, b)\nx = f'It is {y}: {z}'")
    assert is_written("... waits for ....", texts)
    assert is_written("It is ...", texts)
    assert not is_written("It was ...", texts)
    assert len(LINES) > 15
