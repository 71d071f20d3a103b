"""The live-agent server with its own SQLite file, a relay, and agents in real Chromium.

All run in one loop for the whole session, so that Chromium starts only once.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from rasa_handoff.server.accounts import add_agent, add_department
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from tests.end_to_end.browser.scripted_relay import Relay

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
