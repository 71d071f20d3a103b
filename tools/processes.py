"""The demo's processes: each in a group of its own, with a log, and none left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import children

LOOPBACK = "127.0.0.1"
DOT_EVERY = 2.0  # seconds between the dots that show that something is going on
STOP_WITHIN = 10.0  # seconds; Rasa needs up to two with a websocket open


class DemoError(Exception):
    """Why the demo can't go on: one sentence, with the path of the log where there is one."""


class Server:
    """One process of the demo."""

    def __init__(self, title: str, command: Sequence[str], folder: Path, log: Path, health: str) -> None:
        self.title, self.log, self.health = title, log, health
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        children.end_with_us(self._process.pid)

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            DemoError: it has ended.
        """
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"{self.title} ended with exit code {code}. Its log: {self.log}")

    def is_healthy(self) -> bool:
        """Return whether it answers.

        Raises:
            DemoError: it has ended.
        """
        self.check()
        return answers(self.health)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the whole process group, so that workers end too."""
        self._signal(signal.SIGTERM)

    def wait_then_kill(self, deadline: float) -> None:
        """Wait until the process has ended, or the deadline; then kill what is left of its group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.1, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        self._process.wait()
        children.forget(self._process.pid)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@contextlib.contextmanager
def stopping_all(servers: Sequence[Server]) -> Iterator[None]:
    """Stop all servers of the list at the end, whatever happened inside."""
    try:
        yield
    finally:
        # a second Ctrl-C must not leave half of them running
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for server in reversed(servers):
            server.ask_to_stop()
        deadline = time.monotonic() + STOP_WITHIN
        for server in reversed(servers):
            server.wait_then_kill(deadline)


def environment() -> dict[str, str]:
    """Return our environment variables, changed so that logs are written at once and nothing calls home or listens elsewhere."""
    quiet = {"RASA_TELEMETRY_ENABLED": "false", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **quiet, "SANIC_HOST": LOOPBACK, "SANIC_WORKERS": "1"}


def is_free(port: int) -> bool:
    """Return whether we can listen on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(url: str) -> bool:
    """Return whether an HTTP request to this URL succeeds; it goes through no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """Wait until the condition holds, with a dot now and then, and return the seconds that it took.

    Raises:
        DemoError: it doesn't hold after ``seconds``; its sentence is ``otherwise``.
    """
    started = shown = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise DemoError(otherwise)
        if time.monotonic() - shown > DOT_EVERY:
            shown += DOT_EVERY
            print(".", end="", flush=True)
        time.sleep(0.2)
    return time.monotonic() - started
