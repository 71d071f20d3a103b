"""The world: Rasa, its action server, live-agent servers, proxies between them, customers and agents. 127.0.0.1 only."""

import asyncio
import contextlib
import os
import random
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rasa_handoff.server import accounts
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD
from rasa_handoff.testing.waiting import eventually
from tests.chaos.agents import Agent
from tests.chaos.book import Book
from tests.chaos.browser import Chromium, Visitor
from tests.chaos.browser import missing as no_chromium
from tests.chaos.chaos_customers import Customer
from tests.chaos.mailbox import SECRET, Mailbox, Rest, WaitingMailbox
from tests.chaos.poison import Poison
from tests.chaos.process import Kept
from tests.chaos.proxy import Proxy
from tests.chaos.topology import Topology
from tests.chaos.vendor import Vendor, VendorCustomer
from tests.chaos.webchat import WebChat
from tests.support.paths import ROOT
from tests.support.s3_server import BUCKET, CREDENTIALS

LEAP = 61 * 60
"""Seconds by which Rasa's clock leaps: a session expires after an hour."""
NEVER = 86400.0 * 365 * 20
"""Seconds of a timer that mustn't fall due."""


class World:
    """All of a run: ``async with World(folder, model, rng, topology)``. The relay keeps files in a folder, the desk in S3.

    ``size``: how many customers are on web chat, on ``rest``, with a mailbox and behind a vendor, and how many agents there are.
    ``pages``: further customers, in Chromium. ``pace``: seconds between two messages of one person, on average. ``latency``:
    seconds on the way from Rasa to the desk. ``careless``: which guarantee ``careless.py`` breaks in the servers, if any.

    Rasa servers, customers and agents reach the servers of a kind through one address, whose proxy goes to each in turn.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        rng: random.Random,
        topology: Topology,
        size: tuple[int, int, int, int, int] = (10, 2, 3, 4, 3),
        careless: str | None = None,
        pace: float = 0.7,
        pages: int = 2,
        latency: float = 0.0,
    ) -> None:
        self.folder, self.rng, self.pace, self.size = folder, rng, pace, size
        self.topology, self.careless = topology, careless
        self.pages = 0 if no_chromium() else pages
        self.chromium: Chromium | None = None
        self.book = Book(folder)
        self.models = [Path(shutil.copy(model, folder / f"model-{number}.tar.gz")) for number in (1, 2)]
        self.clock = folder / "clock"
        self.offset = 0
        rasa_ports = [free_port() for _ in range(topology.servers)]
        desk_ports = [free_port() for _ in range(topology.servers)]
        self.to_desk = Proxy(*desk_ports, latency=latency)
        self.to_rasa, self.to_agents = Proxy(*rasa_ports), Proxy(*desk_ports)
        self.rasas = [self._kept("rasa", number, port, "") for number, port in enumerate(rasa_ports, start=1)]
        self.desks = [self._kept("desk", number, port, "health") for number, port in enumerate(desk_ports, start=1)]
        self.actions = self._kept("actions", 1, free_port(), "health")
        self.s3 = self._kept("s3", 1, free_port(), "")
        self.to_s3 = Proxy(self.s3.port)
        self.media_folder = topology.media_disks["relay"] / "media"
        self.bot_id = "small"
        self.vendor = Vendor(self.book, _branch(rng))
        self.customers: list[Customer] = []
        self.agents: list[Agent] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "World":
        self._stack.callback(self.book.close)
        try:
            await self._stack.enter_async_context(self.topology)
            self.poison = Poison(self.topology.direct)
            self._stack.callback(self.poison.close)
            for part in (self.to_desk, self.to_rasa, self.to_agents, self.to_s3, self.vendor):
                await self._stack.enter_async_context(part)
            self._write_settings()
            self._add_agents()
            self._write_commands()
            for server in self.servers:
                await self._stack.enter_async_context(server)
            if self.pages:
                self.chromium = await self._stack.enter_async_context(Chromium())
            await self.wait_until_ready()
            await self._people()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *problem: Any) -> None:
        await self._stack.aclose()

    @property
    def servers(self) -> list[Kept]:
        return [self.s3, *self.desks, self.actions, *self.rasas]

    @property
    def desk_url(self) -> str:
        return self.desks[0].url

    @property
    def rasa_url(self) -> str:
        return self.rasas[0].url

    async def wait_until_ready(self, seconds: float = 120) -> None:
        """Wait until all servers serve and all their processes are at work.

        Raises:
            AssertionError: they don't, for so many seconds.
        """
        await asyncio.gather(*(server.wait_until_up(seconds) for server in self.servers))
        await eventually(self.topology.is_ready, seconds=seconds, what="all processes are at work and connected")

    def newer_model(self) -> None:
        """Give Rasa the other model file from its next start on."""
        self.models.reverse()
        os.utime(self.models[0])
        self._write_commands()

    def move_clock(self) -> None:
        """Move Rasa's wall clock past the session's expiry."""
        self.offset += LEAP
        self.clock.write_text(str(self.offset))

    def starts(self) -> dict[str, int]:
        """Return how often each server was started."""
        return {server.name: server.starts for server in self.servers}

    # Setting up

    def _kept(self, kind: str, number: int, port: int, page: str) -> Kept:
        name = kind if self.topology.servers == 1 or kind in ("actions", "s3") else f"{kind}-{number}"
        environment = {"PYTHONPATH": str(ROOT)}
        if kind == "desk":
            environment |= CREDENTIALS
        if kind == "rasa":
            environment["SANIC_WORKERS"] = str(self.topology.workers)
        return Kept(name, self.folder, port, page, **environment)

    def _write_commands(self) -> None:
        """Set the commands by which the servers are started from now on."""
        for desk in self.desks:
            where = ["--port", str(desk.port), "--database", self.topology.databases["desk"]]
            bus = ["--bus", self.topology.bus] if self.topology.bus else []
            media = f"s3://{BUCKET}/desk?endpoint_url=http://127.0.0.1:{self.to_s3.port}&region=us-east-1"
            desk.command = [*self._python("rasa_handoff.cli"), "serve", *where, *bus, "--media", media]
        objects = self.topology.media_disks["desk"] / "objects"
        self.s3.command = [sys.executable, "-m", "tests.chaos.s3_process", str(self.s3.port), str(objects), BUCKET]
        actions = ["rasa_sdk", "--actions", "rasa_handoff.actions", "--port", str(self.actions.port)]
        self.actions.command = [sys.executable, "-m", *actions]
        files = ["-m", str(self.models[0]), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml"]
        clocked = [sys.executable, "-m", "tests.chaos.clocked", str(self.clock), *self._python("rasa")[2:]]
        for rasa in self.rasas:
            rasa.command = [*clocked, "run", "--enable-api", "-i", "127.0.0.1", "-p", str(rasa.port), *files]

    def _python(self, module: str) -> list[str]:
        if self.careless is None:
            return [sys.executable, "-m", module]
        return [sys.executable, "-m", "tests.chaos.careless", self.careless, module]

    def _write_settings(self) -> None:
        channel = {
            "bot_id": self.bot_id,
            "desk": {"url": f"http://127.0.0.1:{self.to_desk.port}"},
            "store": self.topology.databases["relay"],
            "tracker_delay": 0.3,
            "channels": {"socketio": {"session_persistence": True}, "rest": None, "callback": {"url": self.vendor.url}},
            "media": str(self.media_folder),
            "delivery_timeout": None,
            "customer_tokens": "optional",
            "customer_token_secrets": [SECRET],
            # The clock leaps by hours; what is proved here isn't the timers.
            "timers": {"nobody_takes": None, "agent_silent": None, "customer_silent": None, "silence": NEVER},
        }
        if self.topology.bus:
            channel["bus"] = self.topology.bus
        actions = {"url": f"http://127.0.0.1:{self.actions.port}/webhook"}
        endpoints = {"tracker_store": self.topology.tracker_store(), "action_endpoint": actions}
        if self.topology.lock_store:
            endpoints["lock_store"] = self.topology.lock_store
        (self.folder / "credentials.yml").write_text(yaml.safe_dump({"rasa_handoff.HandoffChannel": channel}))
        (self.folder / "endpoints.yml").write_text(yaml.safe_dump(endpoints))

    def _add_agents(self) -> None:
        for number in range(1, self.size[4] + 1):
            email = f"a{number}@example.com"
            accounts.add_agent(self.topology.direct["desk"], email, f"Agent {number}", PASSWORD, ())

    async def _people(self) -> None:
        web, rest, mailbox, vendor, agents = self.size
        for number in range(1, agents + 1):
            name = f"a{number}"
            agent = Agent(name, f"{name}@example.com", self.book, _branch(self.rng), self.pace, self._agents_url)
            self.agents.append(agent)
            await agent.open()
            self._stack.push_async_callback(agent.close)
        kinds: list[Callable[..., Customer]] = [WebChat] * web + [Rest] * rest
        kinds += [Mailbox if number % 2 else partial(WaitingMailbox, bot_id=self.bot_id) for number in range(mailbox)]
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


def _branch(rng: random.Random) -> random.Random:
    return random.Random(rng.getrandbits(64))
