"""Trains the demo's bot, but only if what it is made of changed."""

import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

import children
from processes import DemoError, environment, wait_until
from rasa_command import RASA

MODEL = "demo"
TRAINED_WITHIN = 600.0  # seconds


def trained_model(bot: Path, folder: Path, presets: Path) -> Path:
    """Return the model's path; train it first if the bot's data, the preset or Rasa changed since the last time."""
    model, stamp = folder / "models" / f"{MODEL}.tar.gz", folder / "trained-from"
    wanted = fingerprint(bot, presets)
    if model.exists() and stamp.exists() and stamp.read_text() == wanted:
        return model
    print("Training the bot (about half a minute) ", end="", flush=True)
    try:
        took = _train(bot, folder)
    except BaseException:
        print(flush=True)
        raise
    print(f" done ({took:.0f} s)", flush=True)
    stamp.write_text(wanted)
    return model


def fingerprint(bot: Path, presets: Path) -> str:
    """Return a hash of everything that training reads."""
    read = hashlib.sha256(version("rasa").encode())
    paths = [bot / "config.yml", bot / "domain.yml", *sorted((bot / "data").rglob("*.yml"))]
    for path in [*paths, *sorted(presets.rglob("*.yml")), *sorted(presets.rglob("*.py"))]:
        read.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return read.hexdigest()


def _train(bot: Path, folder: Path) -> float:
    """Train the model, and return the seconds that it took."""
    log = folder / "logs" / "training.log"
    command = [*RASA, "train", "--fixed-model-name", MODEL, "--out", str(folder / "models")]
    for option, name in (("--config", "config.yml"), ("--domain", "domain.yml"), ("--data", "data")):
        command += [option, str(bot / name)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=output)
    children.end_with_us(process.pid)
    try:
        took = wait_until(
            lambda: process.poll() is not None, TRAINED_WITHIN, f"Training takes too long. Its log: {log}"
        )
    finally:
        process.kill()
        process.wait()
        children.forget(process.pid)
    if process.returncode != 0:
        raise DemoError(f"Training the bot failed. Its log: {log}")
    return took
