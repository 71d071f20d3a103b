"""Bots for tests, trained as a user does: by ``rasa train``, once per run."""

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
    """Train the bot in this folder and return the model. A copy is trained: Rasa writes a cache beside what it reads. ``rasa``:
    the command, if it isn't to be this Python's.

    Raises:
        AssertionError: with all that Rasa said.
    """
    name = folder.name
    ignored = shutil.ignore_patterns(".rasa", "models")
    # It may be there already: of a run that was killed while it trained.
    folder = shutil.copytree(folder, out / "source" / name, ignore=ignored, dirs_exist_ok=True)
    command = [*rasa, "train", "--out", str(out), "--fixed-model-name", name]
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{name}.tar.gz"


def once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Path]) -> Path:
    """What ``make`` makes in the folder it is given, made once per run, also when several workers run the tests
    (pytest-xdist)."""
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
    """The model of the bot in this folder, trained once per run."""
    return once(f"{folder.name}-{_digest(folder)}", factory, lambda out: train(folder, out, rasa))


def _digest(folder: Path) -> str:
    """Of the bot's files: a run that shares its folder with an earlier one doesn't take that one's model of another bot."""
    files = sorted(path for path in folder.rglob("*.yml") if ".rasa" not in path.parts)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
