"""The ways of a message in docs/design.md name files and functions that are there, and cross few files."""

import ast
import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "design.md").read_text()
STEP = re.compile(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)
STEPS = STEP.findall(PAGE)
WAYS = ("A customer's message to the agent", "An agent's message to the customer")
MOST = {"rasa": 6, "server": 4}
"""Files that a message may cross on each side; ``store/``, which both sides share, isn't counted."""

COMPAT_ROWS = re.findall(r"^\| `(\w+/compat/\w+\.py)` \|.*\| `([\w/]+\.py)` `(\w+)` \|$", PAGE, re.MULTILINE)


def functions_in(source: str) -> set[str]:
    """Return the functions of a module and the methods of its classes, these as ``Class.method``."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, functions):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, functions)}
    return found


def files_of(way: str, page: str) -> dict[str, set[str]]:
    """Return the files of a way, by side. ``way``: how the sentence above its table begins."""
    table = page.partition(f"\n{way}")[2].partition("\n\n")[2].partition("\n\n")[0]
    found: dict[str, set[str]] = {"rasa": set(), "server": set()}
    for file, _ in STEP.findall(table):
        if not file.startswith("store/"):
            found["server" if file.startswith("server/") or file == "core/assignment.py" else "rasa"].add(file)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", MOST)
def test_a_message_crosses_few_files(way: str, side: str) -> None:
    assert 3 <= len(files_of(way, PAGE)[side]) <= MOST[side]


def test_files_are_counted_once_and_by_side() -> None:
    rows = ("server/a.py", "server/a.py", "core/assignment.py", "store/x.py", "relay/y.py")
    page = "\nA way:\n\n" + "\n".join(f"| `{file}` | `f` | |" for file in rows) + "\n\n| `server/b.py` | `f` | |\n"
    assert files_of("A way", page) == {"rasa": {"relay/y.py"}, "server": {"server/a.py", "core/assignment.py"}}


@pytest.mark.parametrize(("file", "function"), sorted(set(STEPS)))
def test_each_step_of_a_message_is_there(file: str, function: str) -> None:
    assert function in functions_in((ROOT / "rasa_handoff" / file).read_text())


def test_both_ways_are_read() -> None:
    assert len(STEPS) > 15
    assert functions_in("class A:\n    async def b(self): ...\ndef c(): ...") == {"A.b", "c"}


@pytest.mark.parametrize("row", COMPAT_ROWS, ids=[file for file, _, _ in COMPAT_ROWS])
def test_what_is_replaced_in_the_hosts_has_its_test(row: tuple[str, str, str]) -> None:
    file, test_file, test = row
    assert (ROOT / "rasa_handoff" / file).is_file()
    assert test in functions_in((ROOT / test_file).read_text())


def test_the_table_of_what_is_replaced_is_read() -> None:
    assert len(COMPAT_ROWS) > 15


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_named_modules_are_there(page: str) -> None:
    """A page names a module by its path from the top of the repository or below the package."""
    text = (ROOT / "docs" / page).read_text()
    for name in re.findall(r"`((?:rasa_handoff/)?(?:\w+/)+\w+\.py)`", text):
        places = (ROOT / name, ROOT / "rasa_handoff" / name)
        assert any(place.is_file() for place in places), f"docs/{page} names {name}, which isn't there"
