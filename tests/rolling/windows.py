"""A customer's page and an agent's desk in a real browser, watched for anything that tells of an interruption."""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final

from aiohttp import web
from playwright.async_api import Browser, Page, expect

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD
from tests.rolling.fleet import Fleet
from tests.support.paths import ROOT

AGENT: Final = "naledi"
PAGE: Final = ROOT / "example_bot" / "web"
PAUSE: Final = 0.7
"""Seconds between two messages of one person."""
ARRIVES_WITHIN: Final = 60_000
WATCH: Final = """(shown) => {
  const look = () => shown.map((selector) => [...document.querySelectorAll(selector)]
    .filter((one) => one.checkVisibility()).map((one) => `${selector}: ${one.textContent}`)).flat().join(" | ");
  let last = look();
  window.noticed = [];
  new MutationObserver(() => {
    const now = look();
    if (now !== last) window.noticed.push(now);
    last = now;
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
"""Notes each change of what these selectors show."""
OF_PAGE: Final = (".connection", ".who")
OF_DESK: Final = (
    "connection-banner",
    "[data-testid=toast][data-kind=problem]",
    "[data-testid=resolve]:disabled",
    "[data-testid=presence]:disabled",
)


class Windows:
    """``async with Windows(fleet, browser)``: a customer and an agent who talk until ``stop``."""

    def __init__(self, fleet: Fleet, browser: Browser) -> None:
        self._fleet, self._browser = fleet, browser
        self.typed: dict[str, list[str]] = {"customer": [], "agent": []}
        self._tasks: list[asyncio.Task[None]] = []
        self._going = True
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Windows":
        async with contextlib.AsyncExitStack() as stack:
            address = await _serve_page(stack)
            self.page = await self._open(stack, f"{address}/index.html?rasa={self._fleet.bot.url}")
            await expect(self.page.get_by_test_id("connection")).to_have_attribute("data-state", "online")
            self.desk = await self._open(stack, self._fleet.desk.url)
            await self._sign_in()
            await _write(self.page, "chat-input", "/execute_handoff")
            await self.desk.get_by_test_id("take").click(timeout=ARRIVES_WITHIN)
            await expect(self.page.locator(".who")).to_have_text(AGENT.title(), timeout=ARRIVES_WITHIN)
            stack.push_async_callback(self._end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def talk(self) -> None:
        """Begin to watch and to talk."""
        await self.page.evaluate(WATCH, OF_PAGE)
        await self.desk.evaluate(WATCH, OF_DESK)
        self._tasks = [
            asyncio.create_task(self._type(self.page, "chat-input", "customer")),
            asyncio.create_task(self._type(self.desk, "composer", "agent")),
        ]

    async def stop(self) -> None:
        """Stop talking, and check that everything arrived, once and in order."""
        self._going = False
        await asyncio.gather(*self._tasks)
        of_agent = self.page.locator("[data-speaker=agent] .text")
        await expect(of_agent).to_have_text(self.typed["agent"], timeout=ARRIVES_WITHIN)
        of_customer = self.desk.locator("[data-testid=message][data-speaker=customer] .text")
        await expect(of_customer).to_have_text(self.typed["customer"], timeout=ARRIVES_WITHIN)

    async def noticed(self) -> dict[str, Any]:
        """Return what was shown otherwise for a moment, of the page and of the desk."""
        windows = {"page": self.page, "desk": self.desk}
        return {name: found for name, one in windows.items() if (found := await one.evaluate("window.noticed"))}

    async def _type(self, page: Page, field: str, speaker: str) -> None:
        while self._going:
            word = f"{speaker} {len(self.typed[speaker]) + 1}"
            self.typed[speaker].append(word)
            await _write(page, field, word)
            await asyncio.sleep(PAUSE)

    async def _open(self, stack: contextlib.AsyncExitStack, address: str) -> Page:
        context = await self._browser.new_context(viewport={"width": 1280, "height": 800})
        stack.push_async_callback(context.close)
        page = await context.new_page()
        await page.goto(address)
        return page

    async def _sign_in(self) -> None:
        await self.desk.get_by_test_id("email").fill(f"{AGENT}@example.org")
        await self.desk.get_by_test_id("password").fill(PASSWORD)
        await self.desk.get_by_test_id("sign-in").click()
        await expect(self.desk.get_by_test_id("presence")).to_be_enabled()

    async def _end(self) -> None:
        await cancel_all(*self._tasks)


async def _write(page: Page, field: str, text: str) -> None:
    await page.get_by_test_id(field).fill(text)
    await page.get_by_test_id(field).press("Enter")


async def _serve_page(stack: contextlib.AsyncExitStack) -> str:
    app = web.Application()
    app.router.add_static("/", PAGE)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return f"http://127.0.0.1:{port}"
