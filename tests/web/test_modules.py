"""The desk's pure modules (state, lists, slots, words, outbox), run by node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.npm import program
from tests.support.paths import ROOT

HERE = Path(__file__).parent
STATIC = Path("rasa_handoff/server/web/static")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules are committed as the browser runs them; a package.json beside a copy tells node what they are."""
    folder = tmp_path_factory.mktemp("modules")
    shutil.copytree(ROOT / STATIC, folder / STATIC)
    shutil.copytree(HERE, folder / "tests" / "web", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.mark.parametrize("module", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_module(module: str, copied: Path) -> None:
    command = [program("node"), "--test", str(copied / "tests" / "web" / module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
