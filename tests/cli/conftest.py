"""A project exactly as ``rasa init --no-prompt`` leaves it, short of the training itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What `rasa init` does: copies its scaffold; then its training fills in an id and notes the pipeline it chose.
RASA_INIT = """
from rasa.cli.scaffold import create_initial_project
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.shared.utils.io import read_config_file
create_initial_project(".")
DefaultV1Recipe.auto_configure("config.yml", read_config_file("config.yml"))
"""


@pytest.fixture(scope="session")
def rasa_init_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rasa_init") / "my-bot"
    folder.mkdir()
    subprocess.run([sys.executable, "-W", "ignore", "-c", RASA_INIT], cwd=folder, check=True, timeout=120)
    assert "No configuration for the NLU pipeline was provided" in (folder / "config.yml").read_text()
    return folder


@pytest.fixture
def project(rasa_init_output: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rasa_init_output, tmp_path / "my-bot")


def command(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "rasa_handoff.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
