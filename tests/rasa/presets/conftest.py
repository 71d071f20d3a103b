"""Rasa's own starter project with the preset in it, trained once a session, and a real action server."""

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasa

import rasa_handoff.presets
from rasa_handoff.testing.bots import once
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.waiting import eventually_blocking
from tests.support.forked_rasa import forked_rasa
from tools import children

PRESETS = Path(rasa_handoff.presets.__file__).parent
STARTER = Path(rasa.__file__).parent / "cli" / "initial_project"

CONFIG = """recipe: default.v1
assistant_id: preset-test
language: en
importers:
- name: RasaFileImporter
- name: rasa_handoff.HandoffImporter
{settings}
pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 4
- name: LogisticRegressionClassifier
- name: FallbackClassifier
  threshold: 0.5
  ambiguity_threshold: 0.1
policies:
- name: MemoizationPolicy
- name: RulePolicy
"""


def environment() -> dict[str, str]:
    return {**os.environ, "RASA_TELEMETRY_ENABLED": "false"}


def run_rasa(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*forked_rasa(), *arguments], cwd=project, env=environment(), capture_output=True, text=True, timeout=170
    )


def starter_project(folder: Path, **settings: bool) -> Path:
    shutil.copytree(STARTER, folder)
    lines = "\n".join(f"  {name}: {str(value).lower()}" for name, value in settings.items())
    (folder / "config.yml").write_text(CONFIG.format(settings=lines))
    (folder / "actions" / "actions.py").write_text("from rasa_handoff.actions import *\n")
    return folder


def trained(name: str, factory: pytest.TempPathFactory, **settings: bool) -> Path:
    """Return the starter project with these settings and a model, made once per run."""

    def make(out: Path) -> Path:
        shutil.rmtree(out, ignore_errors=True)  # left by a run that was killed while it trained
        folder = starter_project(out / "bot", **settings)
        done = run_rasa(folder, "train", "--fixed-model-name", "model")
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    made_of = hashlib.sha256(CONFIG.encode())
    for path in sorted(PRESETS.rglob("*.*")):
        made_of.update(path.read_bytes() if path.suffix in (".yml", ".py") else b"")
    return once(f"starter-{name}-{made_of.hexdigest()[:12]}", factory, make)


@pytest.fixture(scope="session")
def plain_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("plain", tmp_path_factory, actions=False)


@pytest.fixture(scope="session")
def contact_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("contact", tmp_path_factory, actions=True, contact=True)


@pytest.fixture(scope="session")
def action_server(contact_project: Path) -> Iterator[str]:
    """The address of a real ``rasa_sdk`` server that has our actions by the starred import."""
    port = free_port()
    command = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "--port", str(port)]
    with (contact_project / "actions.log").open("w") as log:
        server = subprocess.Popen(command, cwd=contact_project, env=environment(), stdout=log, stderr=log)
    children.end_with_us(server.pid)
    try:
        eventually_blocking(lambda: answers(f"http://127.0.0.1:{port}/health"), seconds=40)
        yield f"http://127.0.0.1:{port}/webhook"
    finally:
        server.terminate()
        server.wait(10)
        children.forget(server.pid)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
