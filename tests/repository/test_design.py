"""The ways of a message in docs/design.md name files and functions that are there."""

import ast
import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "design.md").read_text()
STEPS = re.findall(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)


def names_in(source: str) -> set[str]:
    """The functions and methods defined at the top of a module and in its classes, methods as ``Class.method``."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, functions):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, functions)}
    return found


@pytest.mark.parametrize(("file", "function"), sorted(set(STEPS)))
def test_each_step_of_a_message_is_there(file: str, function: str) -> None:
    assert function in names_in((ROOT / "rasa_handoff" / file).read_text())


def test_both_ways_are_read() -> None:
    assert len(STEPS) > 15
    assert names_in("class A:\n    async def b(self): ...\ndef c(): ...") == {"A.b", "c"}


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_named_modules_are_there(page: str) -> None:
    """A page may name a module by its path below the package; each is one."""
    text = (ROOT / "docs" / page).read_text()
    for name in re.findall(r"`((?:rasa_handoff/)?(?:\w+/)+\w+\.py)`", text):
        places = (ROOT / name, ROOT / "rasa_handoff" / name)
        assert any(place.is_file() for place in places), f"docs/{page} names {name}, which isn't there"
