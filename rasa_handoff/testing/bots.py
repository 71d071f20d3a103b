"""Bots for tests, trained with ``rasa train``, as users do, once per run."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

RASA: Final = (sys.executable, "-m", "rasa")


def train(folder: Path, out: Path, rasa: Sequence[str] = RASA) -> Path:
    """Train the bot in this folder and return the model.

    A copy is trained, since Rasa writes a cache beside the files it reads. ``rasa``: the command, if it isn't this Python's.

    Raises:
        AssertionError: training failed; with Rasa's whole output.
    """
    name = folder.name
    ignored = shutil.ignore_patterns(".rasa", "models")
    # The copy may exist, from a run that was killed while it trained.
    folder = shutil.copytree(folder, out / "source" / name, ignore=ignored, dirs_exist_ok=True)
    command = [*rasa, "train", "--out", str(out), "--fixed-model-name", name]
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{name}.tar.gz"


def once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Path]) -> Path:
    """Call ``make`` with a folder, once per run, and return the path that it returned.

    It is called once also if several workers run the tests (pytest-xdist). ``name``: of the result.
    """
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # what the workers share
    noted = folder / f"{name}.made"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not noted.exists():
            noted.write_text(str(make(folder / f"{name}-model")))
        return Path(noted.read_text())


def trained_once(folder: Path, factory: pytest.TempPathFactory, rasa: Sequence[str] = RASA) -> Path:
    """Return the model of the bot in this folder, trained once per run."""
    return once(f"{folder.name}-{_digest(folder)}", factory, lambda out: train(folder, out, rasa))


def _digest(folder: Path) -> str:
    """Return a digest of the bot's files: a bot that was changed, or another one with its name, has another model."""
    files = sorted(path for path in folder.rglob("*.yml") if ".rasa" not in path.parts)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
