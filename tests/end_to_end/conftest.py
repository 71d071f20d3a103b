"""The demo as ``make demo`` runs it: four processes, the example bot trained once, and browsers before it.

Chromium and its patience are those of ``browser/`` too.
"""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually
from tests.support.chromium import launched
from tests.support.paths import ROOT
from tests.support.started_processes import BIN, Process

PASSWORD = "correct horse battery"

expect.set_options(timeout=20_000 * slowness())


class Demo:
    """The running demo: its addresses, and the e-mail address and the password of the agent that it made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: str(free_port()) for name in ("RASA_PORT", "ACTIONS_PORT", "DESK_PORT", "CHAT_PORT")}
        self.process = Process(
            [str(BIN / "python"), str(ROOT / "tools" / "demo.py"), "--folder", str(folder)], folder, **self.ports
        )

    async def __aenter__(self) -> "Demo":
        await self.process.__aenter__()
        await eventually(lambda: "Ctrl-C ends the demo" in self.process.said(), seconds=170, what="the demo is up")
        said = self.process.said()
        self.page = re.findall(r"customer's page:\s+(\S+)", said)[0]
        self.desk = re.findall(r"The desk:\s+(\S+)", said)[0]
        self.email, self.password = re.findall(r"sign in as\s+(\S+)\s+with the password\s+(\S+)", said)[0]
        self.rest = f"http://127.0.0.1:{self.ports['RASA_PORT']}/webhooks/rest/webhook"
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.process.__aexit__(None, None, None)

    async def say(self, text: str, sender: str) -> list[str]:
        """Say something on ``rest`` and return the texts of the answers."""
        body = json.dumps({"sender": sender, "message": text})
        async with aiohttp.ClientSession() as http, http.post(self.rest, data=body) as answer:
            return [message.get("text", "") for message in await answer.json()]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """The demo, started once, with Pieter as a second agent."""
    async with Demo(tmp_path_factory.mktemp("demo")) as running:
        add = ["agent", "add", "pieter@karoo-books.example", "--name", "Pieter"]
        database = f"sqlite:///{running.folder / 'desk.db'}"
        command = f"echo '{PASSWORD}' | {BIN / 'rasa-handoff'} {' '.join(add)} --database {database}"
        async with Process(["sh", "-c", command], running.folder) as adding:
            await eventually(lambda: adding.process.poll() is not None)
            assert adding.process.returncode == 0, adding.said()
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, started once."""
    async with launched() as browser:
        yield browser


class Windows:
    """Browser windows of separate people. ``troubles`` collects their consoles' errors and warnings."""

    def __init__(self, browser: Browser, demo: Demo) -> None:
        self.browser, self.demo = browser, demo
        self.troubles: list[str] = []

    async def open(self, address: str, width: int, height: int) -> Page:
        """Open a window for a new person."""
        page = await (await self.browser.new_context(viewport={"width": width, "height": height})).new_page()
        page.on("console", lambda line: self.troubles.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda problem: self.troubles.append(str(problem)))
        await page.goto(address)
        return page

    async def customer(self) -> Page:
        """Open the page of a customer on a phone."""
        page = await self.open(self.demo.page, 400, 780)
        await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "online")
        return page

    async def agent(self, email: str, password: str) -> Page:
        """Open the desk of an agent, signed in."""
        page = await self.open(self.demo.desk, 1280, 800)
        await page.get_by_test_id("email").fill(email)
        await page.get_by_test_id("password").fill(password)
        await page.get_by_test_id("sign-in").click()
        await expect(page.get_by_test_id("presence")).to_be_visible()
        return page


@pytest_asyncio.fixture(loop_scope="session")
async def windows(chromium: Browser, demo: Demo) -> AsyncIterator[Windows]:
    """Browser windows for the demo, closed after the test."""
    opened = Windows(chromium, demo)
    yield opened
    for context in list(chromium.contexts):
        await context.close()
    assert opened.troubles == []
