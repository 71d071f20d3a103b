"""The rooms of the house: imports point downwards (docs/design.md), read from the code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "rasa_handoff"

ROOMS: dict[str, set[str]] = {
    "vocabulary": set(),
    "thinking": {"vocabulary"},
    "store": {"vocabulary"},
    "guard": {"vocabulary"},
    "admin": {"vocabulary", "store", "guard"},
    "relay": {"vocabulary", "thinking", "store", "admin"},
    "desks": {"vocabulary", "thinking", "store", "relay"},
    "rasa_room": {"vocabulary", "thinking", "store", "guard", "admin", "relay", "desks"},
    "platforms": {"vocabulary", "thinking", "store", "relay", "desks", "rasa_room"},
    "actions": {"vocabulary"},
    "server": {"vocabulary", "thinking", "store", "guard", "admin"},
    "presets": {"vocabulary"},
    "cli": {"vocabulary", "presets", "guard", "store", "admin", "relay", "server"},
    "testing": {"vocabulary", "thinking", "store", "relay", "desks", "rasa_room", "platforms"},
}
FOREIGN = {
    "rasa": {"rasa_room", "platforms", "presets", "testing"},
    "rasa_sdk": {"actions"},
    "sanic": {"rasa_room", "platforms", "testing"},
    "socketio": {"desks", "guard", "server"},
    "jwt": {"platforms"},
    "starlette": {"server"},
    "sqlalchemy": {"store", "admin", "relay", "server", "cli"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in ROOMS, f"{path.name} stands in no room: give it one in docs/design.md and here"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "rasa_handoff" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] == room or parts[1] in ROOMS[room], f"{room} must not import {parts[1]}"
        if parts[0] in FOREIGN:
            assert room in FOREIGN[parts[0]], f"{room} must not import {parts[0]}"


def test_the_check_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from rasa_handoff.server import app\nimport rasa.core.agent\n")
    assert {"rasa_handoff.server", "rasa.core.agent"} <= imported(bad)
    assert "server" not in ROOMS["relay"]
    assert "relay" not in FOREIGN["rasa"]
