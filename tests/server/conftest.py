"""A live-agent server in the test's event loop, and its clients: relays, desks and Botlhale's clients."""

import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.server.accounts import Role, add_agent, add_department
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import RecordingClient
from rasa_handoff.testing.scripted_desk import PASSWORD, ScriptedAgent
from tests.server.peers import ASKED, OldClient, Relay, agent_at
from tests.support.databases import Databases, current
from tests.support.postgres_server import Database, Postgres

GRACE = 0.3
"""Seconds for which agents count as there after their desk was closed; much shorter than a real server's."""


class Server:
    """A server that can be restarted at the same address, with the same database. ``ahead``: how far its clock is moved."""

    def __init__(self, database: str, timers: DeskTimers | None = None, **more: Any) -> None:
        """``more``: further settings of the server."""
        self.database, self.address, self.timers, self.ahead = database, "", timers or DeskTimers(), 0.0
        self._more = more
        self._runs = contextlib.AsyncExitStack()

    async def start(self, grace: float = GRACE) -> None:
        port = urlsplit(self.address).port or free_port()
        settings = ServerSettings(timers=self.timers, bus=current().bus, **self._more)
        app = create_app(self.database, settings, grace=grace, now=lambda: time.time() + self.ahead)
        self.address = await self._runs.enter_async_context(running(app, port=port))

    async def stop(self) -> None:
        await self._runs.aclose()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two departments and two agents: hashing passwords is slow on purpose, so it's done once."""
    file = tmp_path_factory.mktemp("furnished") / "server.db"
    _furnish(f"sqlite:///{file}")
    return file


def _furnish(url: str) -> None:
    add_department(url, "billing", "Billing")
    add_department(url, "orders", "Orders")
    add_agent(url, "thandi@example.org", "Thandi", PASSWORD, role=Role.AGENT)
    add_agent(url, "sipho@example.org", "Sipho", PASSWORD, ["billing"], Role.AGENT)


@pytest.fixture(scope="session")
def furnished_postgres(postgres_server: Postgres) -> Database:
    """The same database on Postgres."""
    database = postgres_server.fresh()
    _furnish(database.url)
    return database


@pytest.fixture
def no_periodic_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server's periodic checks so rare that a test sees only what is done at once."""
    monkeypatch.setattr("rasa_handoff.server.service.scheduler.EVERY", 3_600.0)


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the servers' clocks stand still: for the brake no time passes, however slow the machine is."""
    started = time.time()
    monkeypatch.setattr("tests.server.conftest.time", SimpleNamespace(time=lambda: started))


@pytest.fixture
def database(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path, furnished: Path) -> Iterator[str]:
    """The server's database: what the test runs on, unless it is parametrised."""
    if getattr(request, "param", "postgres" if databases.shared else "sqlite") == "sqlite":
        yield f"sqlite:///{shutil.copy(furnished, tmp_path / 'server.db')}"
        return
    copied: Database = request.getfixturevalue("furnished_postgres")
    one = copied.server.fresh(copied.name)
    yield one.url
    one.server.go_on()
    one.server.drop(one)


@pytest.fixture
async def server(database: str) -> AsyncIterator[Server]:
    one = Server(database)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def second(server: Server) -> AsyncIterator[Server]:
    """A second server over the same database, which must be Postgres."""
    one = Server(server.database)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def opened() -> AsyncIterator[list[RecordingClient]]:
    """The clients that connect in a test; they are closed after it."""
    some: list[RecordingClient] = []
    yield some
    for peer in some:
        await peer.close()


@pytest.fixture
def relay(server: Server, opened: list[RecordingClient]) -> Callable[..., Awaitable[Relay]]:
    """``await relay()`` connects a relay; of the bot ``karoo``, unless another is named."""

    async def connect(bot_id: str = "karoo", token: str | None = None, open: Sequence[Any] = ()) -> Relay:
        one = Relay(bot_id, open)
        opened.append(one)
        await one.connect(server.address, token)
        return one

    return connect


@pytest.fixture
def desk(server: Server, opened: list[RecordingClient]) -> Callable[..., Awaitable[ScriptedAgent]]:
    """``await desk()`` signs an agent in and connects their desk; Thandi's, unless another is named."""

    async def connect(name: str = "thandi") -> ScriptedAgent:
        one = agent_at(server.address, name)
        opened.append(one)
        await one.sign_in()
        await one.connect()
        return one

    return connect


@pytest.fixture
def old_client(server: Server, opened: list[RecordingClient]) -> Callable[..., Awaitable[OldClient]]:
    """``await old_client()`` connects a client that was written for Botlhale's live agent."""

    async def connect(
        conversation_id: str = "c-1", namespace: str = "/live_agent", answers: Sequence[str] = ASKED
    ) -> OldClient:
        one = OldClient(conversation_id, namespace, answers)
        opened.append(one)
        await one.connect(server.address)
        return one

    return connect
