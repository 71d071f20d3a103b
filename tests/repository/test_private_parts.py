"""Private parts of the hosts are used in the ``compat`` folders alone, and nothing of a host is replaced elsewhere."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import PACKAGE

HOSTS = ("rasa", "sanic", "sanic_routing", "socketio", "engineio")
ELSEWHERE = {
    "server/storage/handoffs.py": {"_mapping"},  # SQLAlchemy's, and documented in spite of its name
}
"""Files that use what only looks like a private part."""
FILES = sorted(
    str(path)
    for path in (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    # rasa_handoff.testing starts real Rasa servers inside a test's process, and no user's process loads it
    if "compat" not in path.parts and path.parts[0] != "testing"
)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.AST) -> set[str]:
    """Return what a module defines itself: functions, methods, classes, and attributes of ``self``."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    return found | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_itself(node.value)}


def is_itself(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def from_hosts(tree: ast.AST) -> set[str]:
    """The names that this module imports from a host."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in HOSTS
        for alias in node.names
    }


def used_privately(source: str) -> Iterator[str]:
    """The private names of others that a module uses, and the host's names whose attributes it sets."""
    tree = ast.parse(source)
    own, hosts = own_names(tree), from_hosts(tree)
    yield from (name for name in hosts if is_private(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_itself(node.value):
            if is_private(node.attr) and node.attr not in own:
                yield node.attr
            if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id in hosts:
                yield f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            target = ast.unparse(node.args[0])
            if target in hosts:
                yield f"{ast.unparse(node.func)} of {target}"


@pytest.mark.parametrize("file", FILES)
def test_no_private_part_of_a_host_is_used_here(file: str) -> None:
    used = set(used_privately((PACKAGE / file).read_text()))
    assert used <= ELSEWHERE.get(file, set()), "it belongs in channel/compat or guard/compat"


def test_the_check_can_fail() -> None:
    source = "from rasa.core.lock import TicketLock, _hidden\nTicketLock.lock = 1\nsetattr(TicketLock, 'a', 1)\nx.store._engine"
    assert set(used_privately(source)) == {"_hidden", "TicketLock.lock", "setattr of TicketLock", "_engine"}
    assert not set(used_privately("class A:\n    def f(self, other):\n        return self._x == other._x"))
