"""Ids, names, links, addresses and storages made to break a page, in real Chromium: the desk and the example's page go on."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from rasa_handoff.server.run import running
from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import PAGE, Desks
from tests.end_to_end.browser.scripted_relay import BOT_STATE, Relay
from tests.end_to_end.browser.two_browsers import say

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("constructor", "__proto__", "toString")
CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TURNED = "Naledi \u202eevil\u2066 Dube"
LINK = "https://example.org/\u202egpj.exe"
BROKEN = ("{not json", "5", '"text"', "[null, 5, {}]", '{"session": 5, "lines": [7]}', '{"h": "x"}')
HASHES = ("#c=%E0%A4%A", "#c=%", "#c=nobody", "#%E0%A4%A")


async def spoil(page: Page, value: str, *keys: str) -> None:
    """Put the value under these keys, and under all there are."""
    await page.evaluate(
        """([value, keys]) => {
            for (const storage of [localStorage, sessionStorage])
                for (const key of [...keys, ...Object.keys(storage)]) storage.setItem(key, value);
        }""",
        [value, keys],
    )


async def test_ids_and_names_that_javascript_has_itself_are_like_any_other(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    for name in NAMES:
        bot = {
            **BOT_STATE,
            "slots": dict.fromkeys(NAMES, name),
            "form": name,
            "intents": [{"name": name, "confidence": 1}],
        }
        about = {"conversation_id": name, "reason": name, "language": name, "bot": bot}
        assert await relay.offer(name, handoff_id=name, **about) == name
    for name in NAMES:
        await page.locator(f"[data-testid=queue-item][data-handoff={name}]").get_by_test_id("take").click()
        await expect(page.get_by_test_id("conversation")).to_have_attribute("data-state", "assigned")
        await expect(page.get_by_test_id(f"slot-value-{name}")).to_have_text(name)
        await relay.typing(name, True)
        await relay.say(name, f"words of {name}")
        await expect(page.get_by_test_id("message").locator(".text")).to_have_text(f"words of {name}")
        await page.get_by_test_id("composer").fill("Good day")
        await page.get_by_test_id("send").click()
        reported = await relay.one("message", handoff_id=name)
        await relay.mark(name, reported["id"], "read")
        await expect(page.get_by_test_id("status")).to_have_text("Read")
        assert urlsplit(page.url).fragment == f"c={name}"
    await page.reload()
    await expect(page.get_by_test_id("mine-item")).to_have_count(len(NAMES))
    await expect(page.get_by_test_id("message").first).to_have_text(re.compile(f"words of {NAMES[-1]}"))


async def test_marks_that_turn_writing_around_reach_neither_names_nor_links(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff_id = await relay.offer(
        TURNED, reason=f"\u202e{TURNED}", contact={"name": TURNED, "email": LINK, "phone": None}
    )
    await page.get_by_test_id("queue-item").get_by_test_id("take").click()
    await relay.say(handoff_id, f"Look: {LINK} \u202e and on")
    link = page.get_by_test_id("message").locator("a")
    await expect(link).to_have_attribute("href", "https://example.org/gpj.exe")
    await expect(link).to_have_text("https://example.org/gpj.exe")
    for element in (page.get_by_test_id("mine-item"), page.get_by_test_id("context")):
        shown = await element.first.inner_text()
        assert "Naledi evil Dube" in shown.replace("\n", " ")
        assert not CONTROLS.search(shown), shown
    assert not CONTROLS.search(await page.title())


async def test_a_broken_address_or_storage_does_not_stop_the_desk(desks: Desks, relay: Relay) -> None:
    desk = await desks.open("thandi")
    await relay.offer()
    for number, value in enumerate(BROKEN):
        await spoil(desk.page, value, "desk.seen", "desk.sound", "desk.unsent", "desk.draft.nobody")
        await desk.page.goto("about:blank")
        await desk.page.goto(desk.address + HASHES[number % len(HASHES)])
        await desk.ready()
        await expect(desk.page.get_by_test_id("queue-item")).to_have_count(1)


async def test_a_broken_address_or_storage_does_not_stop_the_examples_page_nor_lead_elsewhere(
    chromium: Browser,
) -> None:
    async with running(Starlette(routes=[Mount("/", StaticFiles(directory=PAGE, html=True))])) as address:
        context = await chromium.new_context()
        page, troubles, asked = await context.new_page(), [], []
        page.on("pageerror", lambda problem: troubles.append(str(problem)))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.on("request", lambda request: asked.append(request.url))
        elsewhere = (
            "http://evil.example",
            "//evil.example",
            "http://127.0.0.1@evil.example",
            "http://127.0.0.1.evil.example",
            "%",
        )
        for number, value in enumerate(BROKEN):
            await page.goto(f"{address}/?rasa={elsewhere[number % len(elsewhere)]}{HASHES[number % len(HASHES)]}")
            await say(page, f"hello {number}")
            await expect(page.get_by_test_id("user-message").last).to_contain_text(f"hello {number}")
            await eventually(lambda: any(":5005/" in url for url in asked))
            assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
            asked.clear()
            await spoil(page, value, "karoo.conversation")
        await context.close()
    assert not troubles
