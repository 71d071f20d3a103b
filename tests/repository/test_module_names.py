"""A module's name is used once: who looks for a file by its name finds the one."""

from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

IN_BOTH_PAGES: Final = frozenset(
    {"file-drop.js", "links.js", "message-scroller.js", "text-direction.js", "typing-indicator.js"}
)
"""The same files in both pages, which share no folder (``tests/web/test_modules.py``)."""
ALLOWED: Final = frozenset({"__init__.py", "__main__.py", "base.py", "conftest.py"}) | IN_BOTH_PAGES
PARALLEL: Final = (frozenset({"kommunicate", "liveperson"}), frozenset({"desks", "platforms"}))
"""Folders whose files have the same names because they do the same job, each for its system."""


def modules() -> list[Path]:
    """All modules but the tests themselves, which are named for what they test, and a bot's, which Rasa names."""
    found = [
        path.relative_to(ROOT)
        for folder in ("rasa_handoff", "tools", "tests", "example_bot/web")
        for pattern in ("*.py", "*.js", "*.mjs")
        for path in (ROOT / folder).rglob(pattern)
    ]
    skipped = {"vendor", "__pycache__", "models", "node_modules", "bots"}
    return [path for path in found if not path.name.startswith("test_") and not skipped & set(path.parts)]


def used_twice(paths: list[Path]) -> dict[str, list[str]]:
    """Names that more than one module has. Parallel folders count as one."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        if path.name not in ALLOWED:
            parent = str(path.parent)
            for folders in PARALLEL:
                parent = "/".join(min(folders) if part in folders else part for part in parent.split("/"))
            places[path.name].setdefault(parent, str(path))
    return {name: sorted(found.values()) for name, found in places.items() if len(found) > 1}


def test_no_name_is_used_for_two_jobs() -> None:
    assert used_twice(modules()) == {}


def test_the_check_can_fail() -> None:
    systems = [Path("platforms", name, "requests.py") for name in ("kommunicate", "liveperson")]
    assert used_twice([*systems, Path("a/base.py"), Path("b/base.py")]) == {}
    assert used_twice([*systems, Path("server/requests.py")]) == {
        "requests.py": ["platforms/kommunicate/requests.py", "server/requests.py"]
    }
