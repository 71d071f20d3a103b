"""The live-agent server with its own SQLite file, a relay, and agents in real Chromium; Rasa, and a customer's page.

All run in one loop for the whole session, so that Chromium starts only once.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from rasa_handoff.server.accounts import add_agent, add_department
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.scripted_relay import Relay
from tests.support.paths import ROOT
from tests.support.wire import Wire

PAGE = ROOT / "example_bot" / "web"
PASSWORD = "a long enough one"
AGENTS = {"thandi": "Thandi Nkosi", "pieter": "Pieter Botha"}


class Server:
    """A server that can be restarted at the same address, with the same database."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.address = ""
        self.ahead = 0.0  # seconds by which its clock is ahead
        self.settings = ServerSettings()  # from the next start on
        self._runs = contextlib.AsyncExitStack()

    async def start(self) -> None:
        port = urlsplit(self.address).port or free_port()
        app = create_app(self.database, self.settings, now=lambda: time.time() + self.ahead)
        self.address = await self._runs.enter_async_context(running(app, port=port))

    async def stop(self) -> None:
        await self._runs.aclose()


class Desk:
    """An agent's browser. ``troubles`` collects the console's errors and warnings, such as CSP violations."""

    def __init__(self, page: Page, address: str, email: str) -> None:
        self.page, self.address, self.email = page, address, email
        self.troubles: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda problem: self.troubles.append(str(problem)))

    async def sign_in(self) -> "Desk":
        await self.page.goto(self.address)
        await self.page.get_by_test_id("email").fill(self.email)
        await self.page.get_by_test_id("password").fill(PASSWORD)
        await self.page.get_by_test_id("sign-in").click()
        await self.ready()
        return self

    async def ready(self) -> None:
        """Wait until the desk is connected."""
        await expect(self.page.get_by_test_id("presence")).to_be_enabled()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    add_department(database, "billing", "Billing")
    add_department(database, "orders", "Orders")
    for name, full in AGENTS.items():
        add_agent(database, f"{name}@example.org", full, PASSWORD)
    one = Server(database)
    await one.start()
    yield one
    await one.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def relay(server: Server) -> AsyncIterator[Relay]:
    one = Relay()
    await one.connect(server.address)
    yield one
    await one.close()


class Desks:
    """Open desks, and check at the end that none had errors in its console."""

    def __init__(self, chromium: Browser, server: Server) -> None:
        self._chromium, self._server = chromium, server
        self.opened: list[Desk] = []

    async def blank(self, name: str) -> Desk:
        """Open a browser for an agent who hasn't signed in."""
        context = await self._chromium.new_context(viewport={"width": 1280, "height": 800})
        desk = Desk(await context.new_page(), self._server.address, f"{name}@example.org")
        self.opened.append(desk)
        return desk

    async def open(self, name: str) -> Desk:
        return await (await self.blank(name)).sign_in()


@pytest_asyncio.fixture(loop_scope="session")
async def desks(chromium: Browser, server: Server, relay: Relay) -> AsyncIterator[Desks]:
    some = Desks(chromium, server)
    yield some
    troubles = [trouble for desk in some.opened for trouble in desk.troubles]
    for desk in some.opened:
        await desk.page.context.close()
    assert not troubles


async def connected(page: Page) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "online")


@pytest_asyncio.fixture(loop_scope="session")
async def rasa(
    small_model: Path, server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[RasaServer]:
    """Rasa with the small bot, on socketio. A test may set its ``customer_tokens`` by an indirect parameter."""
    settings = {
        "customer_tokens": getattr(request, "param", "off"),
        "customer_token_secrets": ["s" * 32],
        "bot_id": "small",
        "desk": {"url": server.address},
        "store": f"sqlite:///{tmp_path / 'relay.db'}",
        "settable_slots": ["town"],
        "channels": {"socketio": {"session_persistence": True}},
    }
    async with RasaServer(small_model, tmp_path, {"rasa_handoff.HandoffChannel": settings}) as one:
        await eventually(lambda: one.channel.desk.connected)
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def wire(rasa: RasaServer) -> AsyncIterator[Wire]:
    """A wire between the customer and Rasa."""
    async with Wire(rasa.url) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def customer(chromium: Browser, wire: Wire) -> AsyncIterator[Page]:
    """A customer's phone, connected; its console must have nothing to complain about."""
    troubles: list[str] = []
    async with running(Starlette(routes=[Mount("/", StaticFiles(directory=PAGE, html=True))])) as address:
        context = await chromium.new_context(viewport={"width": 390, "height": 760})
        page = await context.new_page()
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda problem: troubles.append(str(problem)))
        await page.goto(f"{address}/?rasa={wire.url}")
        await connected(page)
        yield page
        await context.close()
    expected = ("picture.png", "ERR_", "WebSocket connection", "status of 413")
    assert not [trouble for trouble in troubles if not any(part in trouble for part in expected)]
