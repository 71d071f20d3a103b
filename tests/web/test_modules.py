"""The desk's pure modules (state, lists, slots, words, outbox), run by node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="needs node 20 or newer on PATH; the browser tests cover the same modules")
@pytest.mark.parametrize("module", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_module(module: Path) -> None:
    # The modules are committed as the browser runs them, without a package.json that would tell node what they are.
    command = [str(NODE), "--experimental-detect-module", "--test", str(module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
