"""The bots of tests/bots, trained as a user does."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

BOTS = Path(__file__).parents[1] / "bots"


def train(bot: str, out: Path) -> Path:
    """Train a bot of tests/bots and return the model."""
    command = [sys.executable, "-m", "rasa", "train", "--out", str(out), "--fixed-model-name", bot]
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=BOTS / bot, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{bot}.tar.gz"


def trained_once(bot: str, factory: pytest.TempPathFactory) -> Path:
    """The bot's model, trained once per run, also when several workers run the tests (pytest-xdist)."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # what the workers share
    model = folder / f"{bot}-model" / f"{bot}.tar.gz"
    with (folder / f"{bot}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return model if model.exists() else train(bot, model.parent)
