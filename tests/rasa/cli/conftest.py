"""A project as ``rasa init --no-prompt`` makes it, but without training, and the command under test."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
from rasa.cli.scaffold import create_initial_project
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.shared.utils.io import read_config_file

from rasa_handoff.cli import main


@pytest.fixture(scope="session")
def rasa_init_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rasa_init") / "my-bot"
    folder.mkdir()
    config = folder / "config.yml"
    # What `rasa init` does: copies its scaffold; then its training fills in an id and notes the pipeline it chose.
    create_initial_project(str(folder))
    DefaultV1Recipe.auto_configure(str(config), read_config_file(config))
    assert "No configuration for the NLU pipeline was provided" in config.read_text()
    return folder


@pytest.fixture
def project(rasa_init_output: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rasa_init_output, tmp_path / "my-bot")


class Done(NamedTuple):
    """The result of a command, as ``subprocess.run`` returns it."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """Run the command in this process, which saves the seconds that a process takes to start.

    An error that it lets through fails the test; in a process of its own it would be a traceback.
    """
    out, err = _Written(io.BytesIO(), encoding="utf-8"), _Written(io.BytesIO(), encoding="utf-8")
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    with mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err), mock.patch.dict(os.environ, environment):
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse, which has written its sentence
            code = end.code if isinstance(end.code, int) else 0
    return Done(code, out.text(), err.text())


class _Written(io.TextIOWrapper):
    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


def process(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, for tests that need one."""
    return subprocess.run(
        [sys.executable, "-m", "rasa_handoff.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
