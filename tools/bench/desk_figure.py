"""The figure ``desk``: the desk in Chromium with many who wait and a long conversation, beside a bare page with the same rows.

Measured in the pages: from a click until the conversation is painted, from a key until its letter is painted, and from the
arrival of a message's packet until the message is painted (``page_clock.js``). A relay without a bot brings the conversations.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from rasa_handoff.testing.scripted_desk import PASSWORD
from tests.end_to_end.browser.scripted_relay import Relay
from tests.support import chromium
from tools.bench.bare_page import BarePage
from tools.bench.bench import Bench
from tools.bench.measure import FigureError, Row, Samples, at_most, compared, in_turns
from tools.bench.measuring_people import Agent, few_at_a_time
from tools.bench.stack import BOT_ID, ServerProcess, Setup, name_of, prepare

CLOCK: Final = Path(__file__).with_name("page_clock.js").read_text()
KEYS: Final = 10
"""Keys that are typed in a turn."""
MESSAGES: Final = 5
"""Messages that are received in a turn."""
PATIENCE: Final = 60_000
"""Milliseconds until a page shows what it is to show."""


@dataclass
class MeasuredPage:
    """One of the two pages, and how a message is sent to it.

    ``ready``, ``open``, ``composer``: selectors of what shows that the page is loaded, of what opens the conversation, and of the
    field that is typed in. ``last``: the text of the conversation's last message.
    """

    page: Page
    send: Callable[[str], Awaitable[Any]]
    ready: str
    open: str
    composer: str
    last: str
    opened: Samples = field(default_factory=Samples)
    typed: Samples = field(default_factory=Samples)
    received: Samples = field(default_factory=Samples)
    sent: int = 0

    async def turn(self) -> None:
        """Load the page, open the conversation, type, and receive messages."""
        await self.page.evaluate("location.hash = ''")
        await self.page.reload()
        await self.page.wait_for_selector(self.ready, timeout=PATIENCE)
        await self._measure(self.opened, f"pageClock.opens({self.open!r}, {self.last!r})")
        await self.page.focus(self.composer)
        for _ in range(KEYS):
            await self._measure(self.typed, "pageClock.types()", lambda: self.page.keyboard.press("a"))
        for _ in range(MESSAGES):
            self.sent += 1
            self.last = f"another message, {self.sent}."
            await self._measure(self.received, f"pageClock.receives({self.last!r})", lambda: self.send(self.last))

    async def _measure(self, samples: Samples, begin: str, action: Callable[[], Awaitable[Any]] | None = None) -> None:
        await self.page.evaluate(f"() => {{ window.measured = {begin}; }}")
        if action is not None:
            await action()
        took = await asyncio.wait_for(self.page.evaluate("() => window.measured"), PATIENCE / 1000)
        samples.add(took / 1000)


async def desk(bench: Bench) -> list[Row]:
    """Measure opening the conversation, typing in it, and receiving messages."""
    waiting, messages = bench.sizes.waiting, bench.sizes.lines
    if chromium.EXECUTABLE is None:
        raise FigureError("There is no Chromium: install it (Debian and Ubuntu: sudo apt-get install chromium).")
    folder = bench.new_folder("desk")
    async with contextlib.AsyncExitStack() as stack:
        server = ServerProcess(folder, Setup())
        prepare(server.database, Setup())
        await stack.enter_async_context(server)
        relay = Relay(BOT_ID)
        await relay.connect(server.url)
        stack.push_async_callback(relay.close)
        handoff_id = await _fill(server.url, relay, waiting, messages)
        rows = [[f"Customer {number}", "Asked for a person", "A person, please"] for number in range(waiting)]
        bare = await stack.enter_async_context(BarePage(rows, [[text(number), "10:00"] for number in range(messages)]))
        browser = await stack.enter_async_context(chromium.launched())
        ours = await stack.enter_async_context(_desk_page(browser, server.url, messages))
        ours.send = lambda said: relay.say(handoff_id, said)
        theirs = await stack.enter_async_context(_bare_page(browser, bare, messages))
        for side in (ours, theirs):
            await side.turn()
            side.opened, side.typed, side.received = Samples(), Samples(), Samples()
        await in_turns(bench.seconds, [ours.turn, theirs.turn])
    what = f"desk with {waiting:,} waiting and a conversation of {messages:,} messages, beside a bare page"
    return [
        compared(f"{what}: {name}, p50", "ms", measured, reference, 0.5, at_most(2))
        for name, measured, reference in (
            ("open the conversation", ours.opened, theirs.opened),
            ("type", ours.typed, theirs.typed),
            ("receive", ours.received, theirs.received),
        )
    ]


def text(number: int) -> str:
    """Return the text of a message."""
    return f"This is message {number} of a long conversation."


async def _fill(url: str, relay: Relay, waiting: int, messages: int) -> str:
    """Have so many customers wait, and so many messages in a conversation of the agent; return the id of its handoff."""
    agent = Agent(url, name_of(0), answers=False)
    await agent.sign_in()
    await agent.connect()
    handoff_id = await relay.offer("Naledi Dube")
    await agent.must("take", handoff_id=handoff_id)
    await agent.close()
    await few_at_a_time(relay.offer, [f"Customer {number}" for number in range(waiting)])
    for number in range(messages):
        await relay.say(handoff_id, text(number))
        if number % 500 == 499:
            print(f"  {number + 1:,} of {messages:,} messages", file=sys.stderr, flush=True)
    return handoff_id


@contextlib.asynccontextmanager
async def _desk_page(browser: Browser, url: str, messages: int) -> AsyncIterator[MeasuredPage]:
    async with _page(browser, url) as page:
        await page.get_by_test_id("email").fill(f"{name_of(0)}@example.org")
        await page.get_by_test_id("password").fill(PASSWORD)
        await page.get_by_test_id("sign-in").click()
        mine, queued = "[data-testid=mine-item]", "[data-testid=queue-item]"
        ready = f"body:has({mine}):has({queued})"
        await page.wait_for_selector(ready, timeout=PATIENCE)
        yield MeasuredPage(page, _nothing, ready, mine, "[data-testid=composer]", text(messages - 1))


@contextlib.asynccontextmanager
async def _bare_page(browser: Browser, bare: BarePage, messages: int) -> AsyncIterator[MeasuredPage]:
    async with _page(browser, bare.url) as page:
        yield MeasuredPage(
            page, lambda said: bare.send([said, "10:00"]), "[data-ready]", "#open", "#composer", text(messages - 1)
        )


@contextlib.asynccontextmanager
async def _page(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    await context.add_init_script(CLOCK)
    page = await context.new_page()
    await page.goto(url)
    yield page
    await context.close()


async def _nothing(_: str) -> None:
    """Send nothing."""
