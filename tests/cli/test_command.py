"""The command as a whole: light, and with sentences instead of tracebacks."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import command


def test_help_loads_no_heavy_package() -> None:
    script = (
        "import sys\nfrom rasa_handoff.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'rasa', 'rasa_sdk', 'ruamel.yaml', 'sqlalchemy', 'socketio', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


@pytest.mark.parametrize("arguments", [["serve"], ["department", "add", "billing"], ["token", "add", "bot"]])
def test_without_the_server_extra_it_names_the_extra(arguments: list[str]) -> None:
    script = (
        "import sys\nfor name in ('sqlalchemy', 'starlette', 'uvicorn', 'argon2', 'socketio'): sys.modules[name] = None\n"
        f"from rasa_handoff.cli import main\nsys.exit(main({arguments!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'rasa-handoff[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_and_doctor_work_without_rasa(project: Path) -> None:
    script = (
        "import sys\nfor name in ('rasa', 'rasa_sdk', 'sqlalchemy', 'socketio'): sys.modules[name] = None\n"
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'rasa' else find(name, *rest)\n"
        f"from rasa_handoff.cli import main\nmain(['doctor', {str(project)!r}])\n"
        f"sys.exit(main(['init', {str(project)!r}, '--yes']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "pip install 'rasa-handoff[rasa]'" in done.stdout
    assert "rasa_handoff.HandoffChannel" in (project / "credentials.yml").read_text()


def test_agents_departments_and_tokens_are_added(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    assert command("department", "add", "billing", "--title", "Billing", RASA_HANDOFF_DATABASE=database).returncode == 0
    agent = [
        "agent",
        "add",
        "thandi@example.com",
        "--name",
        "Thandi",
        "--department",
        "billing",
        "--database",
        database,
    ]
    assert command(*agent, stdin="a long enough password\n").returncode == 0
    again = command(*agent, stdin="a long enough password\n")
    assert again.returncode == 1
    assert "already" in again.stderr
    token = command("token", "add", "shop", "--database", database)
    assert token.returncode == 0
    assert len(token.stdout.strip()) > 20
