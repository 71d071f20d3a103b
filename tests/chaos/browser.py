"""Customers in a real Chromium, on the example bot's page. What the page shows is what they received."""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page
from playwright.async_api import Error as PlaywrightError
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from rasa_handoff.server.run import running
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.ports import free_port
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer
from tests.support.chromium import EXECUTABLE, launched
from tests.support.paths import ROOT

PAGE: Final = ROOT / "example_bot" / "web"
LOOKS_EVERY: Final = 0.15
PATIENCE: Final = 10.0
"""Seconds a page may take to answer the harness; a stopped one takes up to seven."""
LINES: Final = """() => [...document.querySelectorAll("#lines > li")].map((line) => [
  line.dataset.key, line.dataset.testid, line.querySelector(".text")?.textContent ?? "",
  [...line.querySelectorAll("[src], [href]")].map((shown) => shown.src || shown.href),
  line.querySelector(".when").textContent])"""
NOT_YET: Final = ("Sending…", "Waits for the connection")
REFUSED: Final = "Couldn't be sent"
TROUBLES: Final = (PlaywrightError, asyncio.TimeoutError)


class Chromium:
    """The browser, the page's address, and the browser's processes, which may be killed and stopped: ``async with
    Chromium()``."""

    page: str
    browser: Browser

    async def __aenter__(self) -> "Chromium":
        self._stack = AsyncExitStack()
        app = Starlette(routes=[Mount("/", StaticFiles(directory=PAGE, html=True))])
        self.page = await self._stack.enter_async_context(running(app, port=free_port()))
        self.browser = await self._stack.enter_async_context(launched())
        self._session = await self.browser.new_browser_cdp_session()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def kill(self, pick: float) -> None:
        """Kill the process of a page (kill -9). ``pick``: between 0 and 1, whose."""
        os.kill(await self._process(pick), signal.SIGKILL)

    async def stop(self, pick: float, seconds: float) -> None:
        """Stop the process of a page (SIGSTOP), and continue it after a while (SIGCONT)."""
        process = await self._process(pick)
        os.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(process, signal.SIGCONT)

    async def _process(self, pick: float) -> int:
        information: dict[str, Any] = await self._session.send("SystemInfo.getProcessInfo")
        pages = [int(process["id"]) for process in information["processInfo"] if process["type"] == "renderer"]
        if not pages:
            raise ProcessLookupError("no page has a process now")
        return sorted(pages)[int(pick * len(pages))]


def missing() -> str | None:
    """Return why Chromium can't run here; None if it can."""
    return None if EXECUTABLE else "no Chromium is installed"


class Visitor(Customer):
    """A customer in the browser: exactly once, both ways, across reloads and kills of the page."""

    channel = "socketio"
    types_into_a_page = True
    sends_files = False

    def __init__(
        self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str], chromium: Chromium
    ) -> None:
        super().__init__(name, book, rng, pace)
        self._url, self._chromium = url, chromium
        self._page: Page | None = None
        self._visits, self._spoiled = 0, False
        self._closed_until = 0.0
        # Looks at the page: the last begun, the last done, and the last begun before this page was opened.
        self._begun, self._done, self._came = 0, 0, 0
        self._reloads, self._typing = asyncio.Event(), asyncio.Lock()
        self._seen: set[str] = set()
        self._mine: dict[str, str] = {}
        """The customer's messages, as the page shows them: each message's key and the state below it."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._context: BrowserContext = await self._chromium.browser.new_context()
        fresh = json.dumps(json.dumps({"session": self.name, "lines": []}))
        key = '"karoo.conversation"'
        await self._context.add_init_script(f"localStorage.getItem({key}) ?? localStorage.setItem({key}, {fresh})")
        self._task = asyncio.create_task(self._stay())

    async def close(self) -> None:
        for task in (self._task, *self._tasks):
            await cancel_all(task)
        with contextlib.suppress(*TROUBLES):
            await asyncio.wait_for(self._context.close(), PATIENCE)
        await super().close()

    def state(self) -> str:
        looks = (self._came, self._begun, self._done)
        here = f"page {self._page is not None}, visit {self._visits}, looks {looks}, spoiled {self._spoiled}"
        return f"{here}, last lines {list(self._mine.items())[-3:]}"

    def reload(self) -> None:
        self._reloads.set()

    def close_tab(self, seconds: float) -> None:
        self._closed_until = time.monotonic() + seconds

    def drop(self) -> None:
        task = asyncio.create_task(self._go_offline())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_offline(self) -> None:
        with contextlib.suppress(*TROUBLES):
            await self._context.set_offline(True)
            await asyncio.sleep(self.rng.random())
            await self._context.set_offline(False)

    def rasa(self) -> str:
        return self._url()

    async def send(self, text: str, file: str | None = None) -> bool:
        async with self._typing:
            index = len(self._mine)
            while len(self._mine) <= index:
                await self._type(text, index)
        key = list(self._mine)[index]
        while self._mine[key] in NOT_YET:  # noqa: ASYNC110 - the page is looked at by another task
            await asyncio.sleep(LOOKS_EVERY)
        return self._mine[key] != REFUSED

    async def _type(self, text: str, index: int) -> None:
        """Type a message, and wait until the page shows it, as the customer's message of this index, or is another one."""
        page, visit = self._page, self._visits
        if page is None:
            await asyncio.sleep(LOOKS_EVERY)
            return
        try:
            box = page.get_by_test_id("chat-input")
            await asyncio.wait_for(box.fill(text), PATIENCE)
            await asyncio.wait_for(box.press("Enter"), PATIENCE)
        except TROUBLES:
            self._spoiled, visit = True, visit + 1  # only the page after this one shows whether it was typed
        after = self._begun
        while len(self._mine) <= index and (self._visits < visit or self._done <= max(after, self._came)):  # noqa: ASYNC110
            await asyncio.sleep(LOOKS_EVERY)

    async def _stay(self) -> None:
        """Keep a page open, and read it."""
        while True:
            if time.monotonic() < self._closed_until and not self.stopping:
                self._spoiled = True  # only the next page shows whether what was being typed was sent
                await self._leave()
                await asyncio.sleep(LOOKS_EVERY)
                continue
            try:
                if self._page is None:
                    await asyncio.wait_for(self._come_in(), 2 * PATIENCE)
                if self._reloads.is_set():
                    self._reloads.clear()
                    assert self._page is not None
                    await asyncio.wait_for(self._page.reload(), PATIENCE)
                await asyncio.wait_for(self._look(), PATIENCE)
            except TROUBLES as problem:
                self.book.note("page gone", self.name, why=repr(problem)[:200])
                self._spoiled = True
            if self._spoiled:
                await self._leave()
            await asyncio.sleep(LOOKS_EVERY)

    async def _come_in(self) -> None:
        self._came, self._spoiled = self._begun, False
        await self._context.set_offline(False)  # a page that crashed meanwhile may have kept it from coming back
        page = self._page = await self._context.new_page()
        page.on("crash", self._on_crash)
        self._visits += 1
        await page.goto(f"{self._chromium.page}/?rasa={self._url()}")

    def _on_crash(self, *_: Any) -> None:
        self._spoiled = True

    async def _leave(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            with contextlib.suppress(*TROUBLES):
                await asyncio.wait_for(page.close(), PATIENCE)

    async def _look(self) -> None:
        assert self._page is not None
        self._begun = number = self._begun + 1
        for key, kind, text, addresses, below in await self._page.evaluate(LINES):
            if kind == "user-message":
                self._mine[key] = below
            elif key not in self._seen:
                self._seen.add(key)
                self.show({"text": text, "addresses": addresses})
        self._done = number
