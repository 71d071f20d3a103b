"""``make demo``: it starts, tells, ends without a trace, and says in one sentence why it can't."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rasa_handoff.protocol.handshake import PROTOCOL
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.waiting import eventually_blocking
from tests.support.paths import ROOT

DEMO = ROOT / "tools" / "demo.py"


@pytest.fixture
def ports() -> dict[str, str]:
    names = ("RASA_PORT", "ACTIONS_PORT", "DESK_PORT", "CHAT_PORT")
    return {name: str(free_port()) for name in names}


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    left_out = shutil.ignore_patterns("models", ".rasa", "*.db*")
    return shutil.copytree(ROOT / "example_bot", tmp_path_factory.mktemp("demo") / "bot", ignore=left_out)


@pytest.fixture
def trained(bot: Path) -> Path:
    """The bot with its model; the test before has made it, unless this one runs alone."""
    (bot.parent / "files" / "logs").mkdir(parents=True, exist_ok=True)
    script = (
        "import sys\nfrom pathlib import Path\nfrom training import trained_model\n"
        f"bot = Path({str(bot)!r})\ntrained_model(bot, bot.parent / 'files', Path({str(ROOT)!r}) / 'rasa_handoff/presets')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=DEMO.parent, check=True, timeout=170)
    return bot


def demo(bot: Path, ports: dict[str, str]) -> "subprocess.Popen[str]":
    """Start the demo as a shell's ``&`` does, which has a program ignore Ctrl-C until it says otherwise."""
    return subprocess.Popen(
        [
            "sh",
            "-c",
            "trap '' INT; exec \"$@\"",
            "sh",
            sys.executable,
            str(DEMO),
            "--bot",
            str(bot),
            "--folder",
            str(bot.parent / "files"),
        ],
        env={**os.environ, **ports},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: "subprocess.Popen[str]", wanted: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(seen)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def is_free(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) != 0


def mentioning(words: str) -> list[str]:
    """Return the command lines of running processes with these words, zombies aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found


@pytest.mark.timeout(400)
def test_it_starts_tells_and_leaves_nothing_behind(bot: Path, ports: dict[str, str]) -> None:
    process = demo(bot, ports)
    try:
        seen = read_until(process, "Ctrl-C ends the demo.")
        assert "Training the bot" in seen
        assert f"http://localhost:{ports['CHAT_PORT']}/?rasa=http://localhost:{ports['RASA_PORT']}" in seen
        assert "Karoo Books" in get(f"http://127.0.0.1:{ports['CHAT_PORT']}/")
        files = bot.parent / "files"
        logs, databases = sorted((files / "logs").iterdir()), sorted(files.glob("*.db*"))
        assert {path.name for path in logs} >= {"rasa.log", "actions.log", "desk.log"}
        assert len([path for path in databases if path.suffix == ".db"]) == 3  # the desk's, the relay's and Rasa's
        open_to_others = [path.name for path in [*logs, *databases] if path.stat().st_mode & 0o077]
        assert open_to_others == []
        assert f'"protocol":{PROTOCOL}' in get(f"http://127.0.0.1:{ports['DESK_PORT']}/health").replace(" ", "")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
    eventually_blocking(lambda: all(is_free(port) for port in ports.values()), seconds=20)
    assert mentioning(str(bot.parent)) == []


@pytest.mark.timeout(200)
def test_a_process_that_dies_is_named_with_its_log_and_nothing_is_trained_again(
    trained: Path, ports: dict[str, str]
) -> None:
    bot = trained
    broken = bot / "actions" / "broken.py"
    broken.write_text("import no_such_module\n")
    process = demo(bot, ports)
    try:
        seen, _ = process.communicate(timeout=120)
    finally:
        broken.unlink()
        process.kill()
    assert process.returncode == 1
    log = bot.parent / "files" / "logs" / "actions.log"
    assert seen.rstrip().endswith(f"The action server ended with exit code 1. Its log: {log}")
    assert "Training" not in seen
    assert "Traceback" not in seen
    assert "no_such_module" in log.read_text()
    eventually_blocking(lambda: all(is_free(port) for port in ports.values()), seconds=20)


def test_a_failed_training_is_said_with_its_log(tmp_path: Path, ports: dict[str, str]) -> None:
    (tmp_path / "bot" / "data").mkdir(parents=True)
    (tmp_path / "bot" / "config.yml").write_text("importers: 3\n")
    (tmp_path / "bot" / "domain.yml").write_text("version: '3.1'\n")
    process = demo(tmp_path / "bot", ports)
    seen, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert seen.rstrip().endswith(f"Training the bot failed. Its log: {tmp_path / 'files' / 'logs' / 'training.log'}")


def test_a_busy_port_is_said_before_anything_starts(bot: Path, ports: dict[str, str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(ports["DESK_PORT"])))
        holder.listen()
        process = demo(bot, ports)
        seen, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert seen.startswith(f"Port {ports['DESK_PORT']} is busy: stop what runs there, or choose another, DESK_PORT=")
    assert len(seen.splitlines()) == 1


def test_a_port_that_is_none_is_said(bot: Path, ports: dict[str, str]) -> None:
    seen, _ = demo(bot, {**ports, "RASA_PORT": "five"}).communicate(timeout=60)
    assert seen == "RASA_PORT is 'five', and should be a port such as 5005.\n"


def test_a_python_310_is_found() -> None:
    done = subprocess.run(["sh", str(ROOT / "tools" / "python310.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version = subprocess.run([done.stdout.strip(), "--version"], capture_output=True, text=True).stdout
    assert version.startswith("Python 3.10")


def test_without_a_python_310_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "python310.sh")], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("No Python 3.10 was found, which Rasa 3.6 needs, and there is no other Python")


def test_servers_end_with_a_demo_that_is_killed(trained: Path, ports: dict[str, str]) -> None:
    def running() -> list[str]:
        """Find the ports as whole words, since a browser's command line has longer numbers in which their digits may stand."""
        mine = [ports[name] for name in ("RASA_PORT", "ACTIONS_PORT", "DESK_PORT")]
        return [line for port in mine for line in mentioning(port) if port in line.split()]

    process = demo(trained, ports)
    try:
        eventually_blocking(lambda: len(running()) >= 3, seconds=60)
    finally:
        process.kill()
        process.communicate()
    eventually_blocking(lambda: not running(), seconds=20)
