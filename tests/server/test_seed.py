"""The seed's own snippet, address aside, with socket.io-client 3.1.3 in real Chromium, from a page of another origin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from rasa_handoff.server.run import running
from tests.support.chromium import launched

from .peers import until

HERE = Path(__file__).parent


@pytest.fixture
async def front_end() -> AsyncIterator[str]:
    folders = {f"/{name}": HERE / name for name in ("seed", "vendor")}
    app = Starlette(routes=[Mount(path, StaticFiles(directory=at, html=True)) for path, at in folders.items()])
    async with running(app) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with launched() as browser:
        yield await browser.new_page()


async def test_the_snippet_talks_to_an_agent(server, desk, front_end, page):
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    thandi = await desk()
    await page.goto(f"{front_end}/seed/?address={server.address}&conversation=conv-51af")
    assert await page.evaluate("socket.connected") is False
    await page.evaluate("socket.connect()")
    arrival = (await until(lambda: thandi.all("arrival")))[0]
    assert (arrival["conversation_id"], arrival["bot_id"]) == ("conv-51af", "seed-bot")
    handoff = arrival["handoff_id"]
    await thandi.take(handoff)
    await page.evaluate("send('I want a person')")
    await until(lambda: [said["text"] for said in thandi.all("message")] == ["I want a person"])
    await thandi.say(handoff, "Good day")
    await expect(page.locator("#shown")).to_have_text("Good day|")

    await page.reload()
    await thandi.say(handoff, "Are you back?")
    await page.evaluate("socket.connect()")
    await expect(page.locator("#shown")).to_have_text("Are you back?|")
    assert len(thandi.all("arrival")) == 1

    await thandi.resolve(handoff)
    await page.wait_for_function("!socket.connected")
    assert await page.evaluate("socket.disconnected") is True
    assert troubles == []
