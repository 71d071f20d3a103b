"""Processes as a user starts them: on free ports, with a log, ended by their own id."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rasa_handoff.testing.waiting import eventually
from tools import children

BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}

_numbers = itertools.count(1)


class Process:
    """A process in a group of its own, which is ended with it: ``async with Process(command, folder)``.

    ``up``: an address that answers 200 once it serves; without one it isn't waited for.
    """

    def __init__(self, command: Sequence[str], folder: Path, up: str | None = None, **environment: str) -> None:
        self.command, self.folder, self.up = [str(word) for word in command], folder, up
        self.environment = {**ENVIRONMENT, **environment}
        self.log = folder / f"{Path(self.command[0]).name}-{next(_numbers)}.log"

    async def __aenter__(self) -> "Process":
        with self.log.open("w") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - starting is quick, and its end is awaited by condition
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        children.end_with_us(self.process.pid)
        if self.up is not None:
            await eventually(self._answers, seconds=120, what=f"{self.up} of {self.command}")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(OSError), urllib.request.urlopen(str(self.up), timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def said(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Kill the process and its group (kill -9)."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            await eventually(lambda: self.process.poll() is not None, seconds=20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            children.forget(self.process.pid)
