"""The bots of tests/bots."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rasa_handoff.testing import bots
from tests.support.forked_rasa import forked_rasa

BOTS = Path(__file__).parents[1] / "bots"


def train_with_actions(bot: str, out: Path) -> Path:
    """Train a bot of tests/bots with the preset whose actions run on an action server, and return the model."""
    copy = shutil.copytree(BOTS / bot, out / "with-actions" / bot, ignore=shutil.ignore_patterns(".rasa"))
    config = YAML(typ="safe").load(copy / "config.yml")
    next(one for one in config["importers"] if one["name"] == "rasa_handoff.HandoffImporter")["actions"] = True
    (copy / "config.yml").write_text(json.dumps(config))  # JSON is valid YAML
    return bots.train(copy, out, forked_rasa())


def train(bot: str, out: Path) -> Path:
    """Train a bot of tests/bots, and return the model."""
    return bots.train(BOTS / bot, out, forked_rasa())


def trained_once(bot: str, factory: pytest.TempPathFactory, actions: bool = False) -> Path:
    """Return the bot's model, trained once per run; ``actions``: as :func:`train_with_actions` does."""
    if actions:
        return bots.once(f"{bot}-with-actions", factory, lambda out: train_with_actions(bot, out))
    return bots.trained_once(BOTS / bot, factory, forked_rasa())
