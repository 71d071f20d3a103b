"""Names tell what they name: no two classes or named types of the package share one, and single letters stay within one line."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.support.paths import PACKAGE, ROOT

TYPES_NAME = re.compile(r"[A-Z][a-z]\w*")
ONE_LINE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FILES = sorted(
    path
    for folder in ("rasa_handoff", "tests", "tools", "example_bot")
    for path in (ROOT / folder).rglob("*.py")
    if "models" not in path.parts
)


def single_letters(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of every single-letter name that is bound outside a comprehension of one line.

    Capitals are type variables; ``_`` is a value that nobody reads.
    """
    short = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ONE_LINE) and node.lineno == node.end_lineno
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.alias):
            name = node.asname
        elif isinstance(node, ast.ExceptHandler):
            name = node.name
        if name is not None and len(name) == 1 and name.islower() and id(node) not in short:
            yield getattr(node, "lineno", 0), name


def test_no_name_is_a_single_letter() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for line, name in single_letters(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source", ["x = 1", "def work(x): ...", "import os as o", "from protocol import events as e", "[x\n for x in y]"]
)
def test_a_single_letter_is_found(source: str) -> None:
    assert len(list(single_letters(ast.parse(source)))) == 1


@pytest.mark.parametrize("source", ["T = TypeVar('T')", "_ = 1", "[x for x in y]", "sum(n for n in numbers)"])
def test_what_may_be_a_single_letter_is_not_found(source: str) -> None:
    assert list(single_letters(ast.parse(source))) == []


def named_types(tree: ast.Module) -> Iterator[str]:
    """The names of the classes, and of the types that have been given a name, such as ``Work = Callable[...]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for one in tree.body:
        targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
        for target in targets:
            if isinstance(target, ast.Name) and TYPES_NAME.fullmatch(target.id):
                yield target.id


def test_a_named_type_is_found() -> None:
    tree = ast.parse(
        "class One: ...\nTwo = dict[str, int]\nThree: TypeAlias = int\nFOUR = 4\nfive = 5\nT = TypeVar('T')"
    )
    assert list(named_types(tree)) == ["One", "Two", "Three"]


def test_each_class_and_each_named_type_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for name in named_types(ast.parse(path.read_text(encoding="utf-8"))):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
