"""A server as a service manager keeps it: started again whenever it ends. Only processes started here are signalled."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import aiohttp

from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import children_of
from tests.support.started_processes import ENVIRONMENT
from tools import children

AGAIN_AFTER = 0.3
"""Seconds until an ended process is started again."""


class Kept:
    """A server that is kept running, with the processes that it starts: ``async with Kept(name, folder, port, page)``.

    ``command``: what starts it, from its next start on. ``page``: of its address, answers 200 once it serves.
    """

    command: Sequence[str]

    def __init__(self, name: str, folder: Path, port: int, page: str, **environment: str) -> None:
        self.name, self.folder, self.port = name, folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.up = f"{self.url}/{page}"
        self.environment = {**ENVIRONMENT, **environment}
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Kept":
        self._start()
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        assert self._keeper is not None
        assert self._process is not None
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(AssertionError):
            await eventually(lambda: self._process is not None and self._process.poll() is not None, seconds=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        children.forget(self._process.pid)

    async def is_up(self) -> bool:
        """Return whether the process serves now."""
        with contextlib.suppress(OSError, aiohttp.ClientError, asyncio.TimeoutError):
            timeout = aiohttp.ClientTimeout(total=2)
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(self.up) as answer:
                return answer.status == 200
        return False

    async def wait_until_up(self, seconds: float = 120) -> None:
        await eventually(self.is_up, seconds=seconds, what=f"{self.name} answers at {self.up}; see {self.log}")

    def kill(self) -> None:
        """Kill the server with its workers (kill -9); it is started again."""
        self._signal_all(signal.SIGKILL)

    def end(self) -> None:
        """End the server (SIGTERM); it is started again."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    async def stop(self, seconds: float) -> None:
        """Stop the server with its workers (SIGSTOP), and continue it after a while (SIGCONT)."""
        self._signal_all(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal_all(signal.SIGCONT)

    def workers(self) -> list[int]:
        """Return the ids of the processes that the server has started."""
        return [] if self._process is None else sorted(children_of(self._process.pid))

    async def wait_until_started_again(self, starts: int, seconds: float = 60) -> None:
        """Wait until it serves after more than so many starts.

        Raises:
            AssertionError: it doesn't.
        """
        await eventually(lambda: self.starts > starts, seconds=seconds, what=f"{self.name} has ended; see {self.log}")
        await self.wait_until_up()

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _start(self) -> None:
        self.starts += 1
        with self.log.open("a") as log:
            log.write(f"--- start {self.starts}\n")
            log.flush()
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        children.end_with_us(self._process.pid)

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)  # its workers, as a service manager does
                children.forget(self._process.pid)
                await asyncio.sleep(AGAIN_AFTER)
                self._start()
            await asyncio.sleep(0.05)
