"""The bots of tests/bots, trained as a user does."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BOTS = Path(__file__).parents[1] / "bots"


def train_with_actions(bot: str, out: Path) -> Path:
    """Train a bot of tests/bots with the preset whose actions run on an action server, and return the model."""
    folder = shutil.copytree(BOTS / bot, out / f"{bot}-with-actions", ignore=shutil.ignore_patterns(".rasa"))
    config = yaml.safe_load((folder / "config.yml").read_text())
    next(one for one in config["importers"] if one["name"] == "rasa_handoff.HandoffImporter")["actions"] = True
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return train(bot, out, folder)


def train(bot: str, out: Path, folder: Path | None = None) -> Path:
    """Train a bot of tests/bots, or a copy of one, and return the model."""
    command = [sys.executable, "-m", "rasa", "train", "--out", str(out), "--fixed-model-name", bot]
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=folder or BOTS / bot, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{bot}.tar.gz"


def trained_once(bot: str, factory: pytest.TempPathFactory, actions: bool = False) -> Path:
    """The bot's model, trained once per run, also when several workers run the tests (pytest-xdist)."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # what the workers share
    name = f"{bot}-with-actions" if actions else bot
    model = folder / f"{name}-model" / f"{bot}.tar.gz"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not model.exists():
            (train_with_actions if actions else train)(bot, model.parent)
        return model
