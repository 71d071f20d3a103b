"""The world: Rasa, its action server, a live-agent server, proxies between them, customers and agents. 127.0.0.1 only."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from rasa_handoff.server import accounts
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD
from tests.chaos.agents import Agent
from tests.chaos.book import Book
from tests.chaos.browser import Chromium, Visitor
from tests.chaos.browser import missing as no_chromium
from tests.chaos.chaos_customers import Customer
from tests.chaos.mailbox import Mailbox, Rest
from tests.chaos.poison import Poison
from tests.chaos.process import Kept
from tests.chaos.proxy import Proxy
from tests.chaos.vendor import Vendor, VendorCustomer
from tests.chaos.webchat import WebChat
from tests.support.paths import ROOT
from tests.support.postgres_server import Database, Postgres

Tracker = Literal["sqlite", "postgres"]

DISK = 256 << 20
"""Bytes of the small disk: more than a run of a thousand faults writes, so that only a fault fills it."""
LEAP = 61 * 60
"""Seconds by which Rasa's clock leaps: a session expires after an hour."""
NEVER = 86400.0 * 365 * 20
"""Seconds of a timer that mustn't fall due."""


class World:
    """All of a run: ``async with World(folder, model, rng)``.

    ``size``: how many customers are on web chat, on ``rest``, with a mailbox and behind a vendor, and how many agents there are.
    ``pages``: further customers, in Chromium. ``pace``: seconds between two messages of one person, on average. ``latency``:
    seconds on the way from Rasa to the desk. ``disk``: whether the databases get a small disk, which can be filled. ``careless``:
    which guarantee ``careless.py`` breaks in the servers, if any. ``tracker``: where Rasa's trackers are.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        rng: random.Random,
        size: tuple[int, int, int, int, int] = (10, 2, 3, 4, 3),
        careless: str | None = None,
        disk: bool = True,
        pace: float = 0.7,
        pages: int = 2,
        latency: float = 0.0,
        tracker: Tracker = "sqlite",
    ) -> None:
        self.folder, self.rng, self.pace, self.size = folder, rng, pace, size
        self.careless, self.pages = careless, 0 if no_chromium() else pages
        self.chromium: Chromium | None = None
        self.book = Book(folder)
        self.models = [Path(shutil.copy(model, folder / f"model-{number}.tar.gz")) for number in (1, 2)]
        self.clock = folder / "clock"
        self.offset = 0
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.mounted = disk and _mount(self.disk)
        self.rasa_port, self.desk_port, self.actions_port = free_port(), free_port(), free_port()
        self.to_desk = Proxy(self.desk_port, latency)
        self.to_rasa, self.to_agents = Proxy(self.rasa_port), Proxy(self.desk_port)
        self.bot_id = "small"
        self.tracker = tracker
        self.to_tracker: Proxy | None = None
        self._postgres: Database | None = None
        self.poison = Poison({"relay": self.databases()["relay"], "desk": self.databases()["desk"]})
        self.vendor = Vendor(self.book, _branch(rng))
        self.customers: list[Customer] = []
        self.agents: list[Agent] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "World":
        self._stack.callback(self._tidy)
        try:
            if self.tracker == "postgres":
                self._start_postgres()
            for part in filter(None, (self.to_desk, self.to_rasa, self.to_agents, self.to_tracker, self.vendor)):
                await self._stack.enter_async_context(part)
            self._write_settings()
            self._add_agents()
            self.desk = await self._stack.enter_async_context(self._kept("desk", self._desk_command(), "health"))
            self.actions = await self._stack.enter_async_context(
                self._kept("actions", self._actions_command(), "health")
            )
            self.rasa = await self._stack.enter_async_context(self._kept("rasa", self._rasa_command(), ""))
            if self.pages:
                self.chromium = await self._stack.enter_async_context(Chromium())
            await self.desk.wait_until_up()
            await self.actions.wait_until_up()
            await self.rasa.wait_until_up()
            await self._people()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *problem: Any) -> None:
        await self._stack.aclose()

    @property
    def desk_url(self) -> str:
        return f"http://127.0.0.1:{self.desk_port}"

    @property
    def rasa_url(self) -> str:
        return f"http://127.0.0.1:{self.rasa_port}"

    def newer_model(self) -> None:
        """Give Rasa the other model file from its next start on."""
        self.models.reverse()
        os.utime(self.models[0])
        self.rasa.command = self._rasa_command()

    def move_clock(self) -> None:
        """Move Rasa's wall clock past the session's expiry."""
        self.offset += LEAP
        self.clock.write_text(str(self.offset))

    def databases(self) -> dict[str, Path]:
        return {"relay": self.disk / "relay.db", "desk": self.disk / "desk.db", "tracker": self.disk / "tracker.db"}

    def starts(self) -> dict[str, int]:
        """Return how often each server was started."""
        return {server.name: server.starts for server in (self.rasa, self.actions, self.desk)}

    # Setting up

    def _kept(self, name: str, command: Sequence[str], page: str) -> Kept:
        port = {"desk": self.desk_port, "actions": self.actions_port, "rasa": self.rasa_port}[name]
        environment = {"PYTHONPATH": str(ROOT)}
        return Kept(name, command, self.folder, f"http://127.0.0.1:{port}/{page}", **environment)

    def _python(self, module: str) -> list[str]:
        if self.careless is None:
            return [sys.executable, "-m", module]
        return [sys.executable, "-m", "tests.chaos.careless", self.careless, module]

    def _desk_command(self) -> list[str]:
        where = ["--port", str(self.desk_port), "--database", f"sqlite:///{self.databases()['desk']}"]
        return [*self._python("rasa_handoff.cli"), "serve", *where]

    def _actions_command(self) -> list[str]:
        return [sys.executable, "-m", "rasa_sdk", "--actions", "rasa_handoff.actions", "--port", str(self.actions_port)]

    def _rasa_command(self) -> list[str]:
        files = ["-m", str(self.models[0]), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml"]
        command = [sys.executable, "-m", "tests.chaos.clocked", str(self.clock), *self._python("rasa")[2:]]
        return [*command, "run", "--enable-api", "-i", "127.0.0.1", "-p", str(self.rasa_port), *files]

    def _start_postgres(self) -> None:
        """Put Rasa's tracker store on a real Postgres, behind a proxy."""
        server = self._stack.enter_context(Postgres())
        self._postgres = server.fresh()
        self.to_tracker = Proxy(server.port)

    def _tracker_store(self) -> dict[str, Any]:
        if self._postgres is not None and self.to_tracker is not None:
            return self._postgres.tracker_store(self.to_tracker.port)
        return {"type": "SQL", "dialect": "sqlite", "db": str(self.databases()["tracker"])}

    def _write_settings(self) -> None:
        channel = {
            "bot_id": self.bot_id,
            "desk": {"url": f"http://127.0.0.1:{self.to_desk.port}"},
            "store": f"sqlite:///{self.databases()['relay']}",
            "tracker_delay": 0.3,
            "channels": {"socketio": {"session_persistence": True}, "rest": None, "callback": {"url": self.vendor.url}},
            "delivery_timeout": None,
            # The clock leaps by hours; what is proved here isn't the timers.
            "timers": {"nobody_takes": None, "agent_silent": None, "customer_silent": None, "silence": NEVER},
        }
        actions = {"url": f"http://127.0.0.1:{self.actions_port}/webhook"}
        (self.folder / "credentials.yml").write_text(yaml.safe_dump({"rasa_handoff.HandoffChannel": channel}))
        (self.folder / "endpoints.yml").write_text(
            yaml.safe_dump({"tracker_store": self._tracker_store(), "action_endpoint": actions})
        )

    def _add_agents(self) -> None:
        database = f"sqlite:///{self.databases()['desk']}"
        for number in range(1, self.size[4] + 1):
            accounts.add_agent(database, f"a{number}@example.com", f"Agent {number}", PASSWORD, ())

    async def _people(self) -> None:
        web, rest, mailbox, vendor, agents = self.size
        for number in range(1, agents + 1):
            name = f"a{number}"
            agent = Agent(name, f"{name}@example.com", self.book, _branch(self.rng), self.pace, self._agents_url)
            self.agents.append(agent)
            await agent.open()
            self._stack.push_async_callback(agent.close)
        kinds: list[Callable[..., Customer]] = [WebChat] * web + [Rest] * rest + [Mailbox] * mailbox
        kinds += [partial(VendorCustomer, vendor=self.vendor)] * vendor
        kinds += [partial(Visitor, chromium=self.chromium)] * self.pages
        for number, kind in enumerate(kinds, start=1):
            customer = kind(f"c{number}", self.book, _branch(self.rng), self.pace, self._customers_url)
            self.customers.append(customer)
            await customer.open()
            self._stack.push_async_callback(customer.close)

    def _customers_url(self) -> str:
        return f"http://127.0.0.1:{self.to_rasa.port}"

    def _agents_url(self) -> str:
        return f"http://127.0.0.1:{self.to_agents.port}"

    def _tidy(self) -> None:
        self.book.close()
        if self.mounted:
            shutil.copytree(self.disk, self.folder / "databases", ignore=shutil.ignore_patterns("ballast*"))
            subprocess.run(["umount", "-l", str(self.disk)], check=False)


def _branch(rng: random.Random) -> random.Random:
    return random.Random(rng.getrandbits(64))


def _mount(folder: Path) -> bool:
    """Mount a small disk, which can be filled without harm, and return whether that worked; only root can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        return False
    if shutil.disk_usage(folder).total <= DISK:
        return True
    subprocess.run(["umount", "-l", str(folder)], check=False)  # not every kernel minds the size
    return False
