"""The forked Rasa is one as a user starts it: arguments, folder, environment, output, exit code, signals, and its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rasa_handoff.testing.waiting import eventually_blocking
from tests.support.forked_rasa import forked_rasa
from tests.support.paths import ROOT

ACTIONS = """import os, sys, time
print("imported", flush=True)
from rasa.core.channels.channel import InputChannel
class Shown(InputChannel):
    @classmethod
    def from_credentials(cls, credentials):
        print(os.getcwd(), os.environ["SHOWN"], sys.argv, flush=True)
        print("on stderr", file=sys.stderr)
        if os.environ["SHOWN"] == "waits":
            time.sleep(100)
        sys.exit(7)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shown.py").write_text(ACTIONS)
    (tmp_path / "credentials.yml").write_text("shown.Shown:\n  a: b\n")
    return tmp_path


def run(project: Path, shown: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SHOWN": shown, "RASA_TELEMETRY_ENABLED": "false"}
    command = [*forked_rasa(), "run", "--enable-api", "--credentials", "credentials.yml"]
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_it_has_the_clients_folder_environment_arguments_and_output(project: Path) -> None:
    with run(project, "once") as process:
        out, problems = process.communicate(timeout=120)
    arguments = ["rasa", "run", "--enable-api", "--credentials", "credentials.yml"]
    assert out.splitlines()[-1] == f"{project} once {arguments}"
    assert "on stderr" in problems
    assert process.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_with_its_client(project: Path, number: signal.Signals) -> None:
    with run(project, "waits") as process:
        assert process.stdout is not None
        while "waits" not in (line := process.stdout.readline()):
            assert line, process.communicate()
        process.send_signal(number)
        assert process.wait(20) == -number
        process.stdout.read()  # returns once the child has ended too, which has the other end


def test_the_server_ends_with_the_run_of_the_tests(tmp_path: Path) -> None:
    script = "from tests.support.forked_rasa import forked_rasa, _started; forked_rasa(); print(_started[0].pid)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    server = Path("/proc") / done.stdout.strip()
    eventually_blocking(lambda: not server.exists() or "Z" in (server / "stat").read_text().split()[2], seconds=120)
    assert list(tmp_path.glob("*.socket")) == []
