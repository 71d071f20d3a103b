"""Importing ``rasa_handoff.testing`` changes nothing in the process: a project's test suite stays as it was."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def changes() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What differs in a process of its own: after the imports, and after a change on purpose."""
    command = [sys.executable, "-m", "tests.support.process_state"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    by_importing, on_purpose = json.loads(done.stdout.splitlines()[-1])
    return by_importing, on_purpose


def test_nothing_changes(changes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert changes[0] == {}


def test_a_change_would_be_seen(changes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert set(changes[1]) == {"classes", "gc", "environment", "warnings", "loggers", "signals"}


SERVER_PACKAGES = {"starlette", "uvicorn", "argon2", "itsdangerous", "rasa_handoff.server"}
"""What only the live-agent server needs."""
PEOPLE = "rasa_handoff.testing.scripted_desk, rasa_handoff.testing.scripted_customer"


@pytest.mark.parametrize(
    ("imported", "needed"), [(PEOPLE, set()), ("rasa_handoff.server.app, rasa_handoff.server.run", SERVER_PACKAGES)]
)
def test_scripted_people_need_no_server_packages(imported: str, needed: set[str]) -> None:
    """The second case shows that they would be seen."""
    code = f"import json, sys, {imported}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert SERVER_PACKAGES & set(json.loads(done.stdout)) == needed
