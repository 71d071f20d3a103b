"""What the class of a project's own channel says of it by its source, which is read and never run: doctor works without Rasa."""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Final

from rasa_handoff.protocol.channel_capabilities import capabilities_of

RASAS: Final = "rasa.core.channels."
"""How the names of Rasa's channels begin; their package has them by a shorter name too."""
BASE: Final = "InputChannel"
PUSHES: Final = "get_output_channel"


class _Unclear(Exception):
    """The source doesn't say it, or can't be read."""


def may_have_mailbox(folder: Path, path: str) -> bool:
    """Return whether the clients of a channel may wait for messages, since it can't push; no if its source doesn't say so.

    ``folder``: the project's. ``path``: of the channel's class.
    """
    with _beside(folder):
        try:
            rasas, pushes = _descent(path)
        except (
            Exception
        ):  # from the package that it is in, too, which is imported to find it; another check reports that
            return False
    return capabilities_of([rasas], pushes).mailbox


def _descent(path: str) -> tuple[str, bool]:
    """Return the channel of Rasa's that a class is derived from, by its full name, and whether a class on the way pushes.

    Raises:
        _Unclear: it isn't known.
    """
    module, _, name = path.rpartition(".")
    if path.startswith(RASAS):
        return _rasas(name), False
    tree = _source(module)
    found = next((one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name), None)
    names = _imported(tree, module)
    if found is None:
        if name not in names:
            raise _Unclear
        return _descent(names[name])
    pushes = any(getattr(one, "name", None) == PUSHES for one in found.body)
    for base in found.bases:
        first, _, rest = ast.unparse(base).partition(".")
        try:
            rasas, base_pushes = _descent(".".join(one for one in (names.get(first, f"{module}.{first}"), rest) if one))
        except _Unclear:
            continue  # a mixin
        return rasas, pushes or base_pushes
    raise _Unclear


def _rasas(name: str) -> str:
    """Return the full name of a class of Rasa's, whose modules are called after their channels."""
    modules = {"RestInput": "rest", BASE: "channel"}
    if name not in modules:
        raise _Unclear  # another of them has a client of its own that can't wait
    return f"{RASAS}{modules[name]}.{name}"


def _source(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise _Unclear
    return ast.parse(Path(spec.origin).read_bytes())


def _imported(tree: ast.Module, module: str) -> dict[str, str]:
    """Return what the names of a module stand for that it has imported, by their full names."""
    names: dict[str, str] = {}
    for one in tree.body:
        if isinstance(one, ast.Import):
            for each in one.names:
                first = each.name.partition(".")[0]
                names[each.asname or first] = each.name if each.asname else first
        elif isinstance(one, ast.ImportFrom):
            package = module.rpartition(".")[0]
            where = resolve_name("." * one.level + (one.module or ""), package) if one.level else one.module
            names |= {each.asname or each.name: f"{where}.{each.name}" for each in one.names}
    return names


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let modules of the project be found, as Rasa does."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
