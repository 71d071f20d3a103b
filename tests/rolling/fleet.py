"""Two live-agent servers and two Rasa servers on one Postgres and one Redis, behind a load balancer for each side."""

import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import yaml

from rasa_handoff.server import accounts
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD
from rasa_handoff.testing.waiting import eventually
from tests.rolling.balancer import Balancer
from tests.support.paths import ROOT
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer
from tests.support.started_processes import Process
from tools import children

OF_EACH: Final = 2
ENDS_WITHIN: Final = 30.0
AGENTS: Final = ("thandi", "pieter", "naledi")
"""Two who are scripted, and one for a desk in a browser."""
SERVER_HEALTH: Final = ("/health",)
RASA_HEALTH: Final = ("/webhooks/handoff/ready", "/webhooks/handoff/")


class Member(Process):
    """One process of the fleet, which runs the package of ``tree``."""

    def __init__(self, name: str, url: str, command: Sequence[str], folder: Path, tree: Path) -> None:
        super().__init__(command, folder, PYTHONPATH=str(tree))
        self.name, self.url = name, url
        self.log = folder / f"{name}-{self.log.name}"

    async def end(self) -> int:
        """End it as a service manager does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        await eventually(lambda: self.process.poll() is not None, ENDS_WITHIN, what=f"the end of {self.name}")
        children.forget(self.process.pid)
        return int(self.process.returncode)


class Fleet:
    """``async with Fleet(folder, model, rasa, tree, ...) as fleet``: all processes run the package of ``tree``.

    ``rasa``: the beginning of Rasa's command. ``desk`` and ``bot``: the load balancers, to which customers, agents and relays
    connect.
    """

    def __init__(
        self, folder: Path, model: Path, rasa: Sequence[str], tree: Path, postgres: Postgres, redis: RedisServer
    ) -> None:
        self.folder, self._model, self._rasa, self.tree, self._redis = folder, model, list(rasa), tree, redis
        self._postgres = postgres
        self._desk_urls = [_address() for _ in range(OF_EACH)]
        self._rasa_urls = [_address() for _ in range(OF_EACH)]
        self.desk, self.bot = Balancer(self._desk_urls, SERVER_HEALTH), Balancer(self._rasa_urls, RASA_HEALTH)
        self.members: dict[str, Member] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Fleet":
        async with contextlib.AsyncExitStack() as stack:
            relay, trackers, self.database = (self._database(stack) for _ in range(3))
            for name in AGENTS:
                accounts.add_agent(self.database.url, f"{name}@example.org", name.title(), PASSWORD, ())
            self._configure(relay, trackers)
            stack.push_async_callback(self._end_all)
            for balancer in (self.desk, self.bot):
                await stack.enter_async_context(balancer)
            for url in self._desk_urls:
                await self._start(url, self.tree)
            for url in self._rasa_urls:
                await self._start(url, self.tree, waits=False)
            await eventually(lambda: len(self.bot.up) == len(self.desk.up) == OF_EACH, 120, what="all are ready")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    @property
    def urls(self) -> list[str]:
        """The processes in the order in which they are updated: those of the live-agent server first."""
        return [*self._desk_urls, *self._rasa_urls]

    def name(self, url: str) -> str:
        """Return what a process is called in reports."""
        side, urls = ("server", self._desk_urls) if url in self._desk_urls else ("rasa", self._rasa_urls)
        return f"{side} {urls.index(url) + 1}"

    async def replace(self, url: str, tree: Path) -> int:
        """End the process at this address, start that of another version in its place, and return the exit code."""
        code = await self.members[url].end()
        await self._start(url, tree)
        return code

    def said(self) -> str:
        """What all processes have logged so far."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def _database(self, stack: contextlib.AsyncExitStack) -> Database:
        database = self._postgres.fresh()
        stack.callback(self._postgres.drop, database)
        return database

    def _configure(self, relay: Database, trackers: Database) -> None:
        locks = {"type": "redis", "url": "127.0.0.1", "port": self._redis.port}
        endpoints = {"tracker_store": trackers.tracker_store(), "lock_store": locks}
        settings: dict[str, Any] = {
            "bot_id": "small",
            "desk": {"url": self.desk.url},
            "store": relay.url,
            "bus": self._redis.url_at(self._redis.port),
            "channels": {"socketio": {"session_persistence": True}, "rest": None},
        }
        (self.folder / "endpoints.yml").write_text(yaml.safe_dump(endpoints))
        (self.folder / "credentials.yml").write_text(yaml.safe_dump({"rasa_handoff.HandoffChannel": settings}))

    async def _start(self, url: str, tree: Path, waits: bool = True) -> None:
        port, balancer = url.rpartition(":")[2], self.desk if url in self._desk_urls else self.bot
        command = self._serve(port) if balancer is self.desk else self._run(port)
        member = self.members[url] = Member(self.name(url).replace(" ", "-"), url, command, self.folder, tree)
        await member.__aenter__()

        def is_ready() -> bool:
            assert member.process.poll() is None, f"{member.name} ended: {member.said()}"
            return url in balancer.up

        if waits:
            await eventually(is_ready, 120, what=f"{member.name} is ready; see {member.log}")

    def _serve(self, port: str) -> list[str]:
        bus = self._redis.url_at(self._redis.port)
        places = ["--port", port, "--database", self.database.url, "--bus", bus]
        return [sys.executable, "-m", "rasa_handoff.cli", "serve", *places]

    def _run(self, port: str) -> list[str]:
        files = ["-m", str(self._model), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml"]
        return [*self._rasa, "run", "-i", "127.0.0.1", "-p", port, "--enable-api", *files]

    async def _end_all(self) -> None:
        for member in self.members.values():
            await member.__aexit__(None, None, None)


def _address() -> str:
    return f"http://127.0.0.1:{free_port()}"


NEW: Final = ROOT
"""The version of this checkout."""
