"""The pure modules of the desk (reducer, selectors, outbox, ...) and of the customer's page, run by node's own test runner; and
copies that must agree."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.npm import program
from tests.support.paths import ROOT

HERE = Path(__file__).parent
STATIC = Path("rasa_handoff/server/web/static")
CUSTOMERS = Path("example_bot/web")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of the modules and their tests, and a package.json, which tells node that they are ES modules."""
    folder = tmp_path_factory.mktemp("modules")
    for modules in (STATIC, CUSTOMERS):
        shutil.copytree(ROOT / modules, folder / modules)
    shutil.copytree(HERE, folder / "tests" / "web", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.mark.parametrize("module", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_a_modules_own_tests_pass(module: str, copied: Path) -> None:
    command = [program("node"), "--test", str(copied / "tests" / "web" / module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_socket_listens_to_every_event_of_the_protocol() -> None:
    table = (ROOT / "docs" / "protocol.md").read_text()
    events = re.findall(r"^\| server -> desk \| `([^`]+)`", table, re.MULTILINE)
    module = (ROOT / STATIC / "desk-socket.js").read_text()
    listened = module.split("const EVENTS = {")[1].split("\n};")[0]
    assert events
    assert set(re.findall(r'^  "?([\w.]+)"?: ', listened, re.MULTILINE)) == set(events)


@pytest.mark.parametrize(
    "name",
    [
        "file-drop.js",
        "links.js",
        "message-scroller.js",
        "text-direction.js",
        "typing-indicator.js",
        "vendor/socket.io-client-4.8.4.MIT.esm.min.js",
    ],
)
def test_both_pages_have_the_same_copy(name: str) -> None:
    assert (ROOT / STATIC / name).read_bytes() == (ROOT / "example_bot" / "web" / name).read_bytes()


def test_a_vendored_module_has_its_licence_beside_it() -> None:
    for folder in (ROOT / STATIC / "vendor", ROOT / "example_bot" / "web" / "vendor"):
        modules = list(folder.glob("*.js"))
        assert modules
        for module in modules:
            licence = module.with_name(module.name.replace(".esm.min.js", ".LICENSE.txt"))
            assert "Permission is hereby granted" in licence.read_text()
