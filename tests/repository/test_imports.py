"""Imports point downwards (the table of folders in docs/design.md), read from the code."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

MAY_IMPORT: dict[str, set[str]] = {
    "protocol": set(),
    "core": {"protocol"},
    "store": {"protocol"},
    "guard": {"protocol"},
    "media": {"protocol", "store"},
    "admin": {"protocol", "store", "guard"},
    "relay": {"protocol", "core", "store", "media", "admin"},
    "desks": {"protocol", "core", "store", "guard", "media", "relay"},
    "channel": {"protocol", "core", "store", "guard", "media", "admin", "relay", "desks", "presets"},
    "platforms": {"protocol", "core", "store", "admin", "relay", "desks", "channel"},
    "actions": {"protocol"},
    "server": {"protocol", "core", "store", "guard", "media", "admin"},
    "presets": {"protocol"},
    "cli": {"protocol", "presets", "guard", "store", "media", "admin", "relay", "server", "platforms"},
    "testing": {"protocol", "core", "store", "relay", "desks", "channel", "platforms", "server"},
}
"""Which folder may import which others."""
FOREIGN = {
    "rasa": {"channel", "platforms", "presets", "testing"},
    "rasa_sdk": {"actions"},
    "sanic": {"channel", "platforms", "testing"},
    "socketio": {"channel", "desks", "guard", "server", "testing"},
    "jwt": {"platforms"},
    "starlette": {"server"},
    "sqlalchemy": {"store", "media", "admin", "relay", "platforms", "server", "cli"},
    "redis": {"store"},
    "PIL": {"media"},
    "boto3": {"media"},
    "botocore": {"media"},
}
"""Which folders may import a library that not every environment has."""
LAYERS: dict[str, tuple[str, ...]] = {
    "channel": (
        "vendors",
        "message_ids",
        "closing",
        "compat",
        "hosted",
        "tracker",
        "outbound",
        "turn",
        "inbound",
        "channel",
    ),
    "server": ("storage", "service", "http", "gateways", "app"),
}
"""Within a folder, lowest first: none imports one that comes after it. What isn't named here may be imported by all."""
FILES = sorted(PACKAGE.rglob("*.py"))


def folder_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_point_downwards(path: Path) -> None:
    folder = folder_of(path)
    if folder == "__init__":
        return
    assert folder in MAY_IMPORT, f"{path.name} is in no folder: give it one in docs/design.md and here"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "rasa_handoff" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] == folder or parts[1] in MAY_IMPORT[folder], f"{folder} must not import {parts[1]}"
        if parts[0] in FOREIGN:
            assert folder in FOREIGN[parts[0]], f"{folder} must not import {parts[0]}"


@pytest.mark.parametrize("folder", LAYERS)
def test_layers_of_a_folder_point_downwards(folder: str) -> None:
    layers = LAYERS[folder]
    for path in (PACKAGE / folder).rglob("*.py"):
        own = path.relative_to(PACKAGE / folder).parts[0].removesuffix(".py")
        if own not in layers:
            continue
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["rasa_handoff", folder] and len(parts) > 2 and parts[2] in layers:
                where = path.relative_to(PACKAGE)
                assert layers.index(parts[2]) <= layers.index(own), f"{where} must not import {folder}.{parts[2]}"


def test_the_check_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from rasa_handoff.server import app\nimport rasa.core.agent\n")
    assert {"rasa_handoff.server", "rasa.core.agent"} <= imported(bad)
    assert "server" not in MAY_IMPORT["relay"]
    assert "relay" not in FOREIGN["rasa"]
