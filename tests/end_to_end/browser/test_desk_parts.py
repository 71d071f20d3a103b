"""What an agent sees of pictures, files, places, contacts, buttons and cards, in real Chromium."""

import time
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.end_to_end.browser.conftest import Desks
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import take

pytestmark = pytest.mark.asyncio(loop_scope="session")

NASTY = "<img src=x onerror=alert(1)>"
ELSEWHERE = "https://pictures.example/dent.jpg"
PLACE = {"type": "location", "latitude": -33.92, "longitude": 18.42, "name": "Karoo Books", "address": "12 Long Street"}
CONTACT = {"type": "contact", "name": "Sipho Dlamini", "phone": "+27 21 555 0100", "email": "sipho@example.org"}
BUTTONS = {
    "type": "buttons",
    "buttons": [{"title": "Track my parcel", "payload": "/track"}, {"title": "Shop", "url": "https://shop.example/"}],
}
CARD = {"type": "card", "title": "The Grass Is Singing", "subtitle": "R 180", "buttons": [{"title": "Buy"}]}
CUSTOM = {"type": "custom", "json": {"chart": [1, 2, 3]}}
PICTURE = {"type": "image", "media": {"url": ELSEWHERE, "name": "dent.jpg", "type": "image/jpeg", "size": 1_234_567}}
ACTIVE = (
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    " javascript:alert(1)",
    "file:///etc/passwd",
)


def asked_of_others(page: Page, address: str) -> list[str]:
    """Return a list of the addresses, other than the desk's own, that the page asks from now on."""
    asked: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(address) else asked.append(request.url))
    return asked


async def test_each_part_is_shown_live_and_in_the_transcript(desks: Desks, relay: Relay) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    asked = asked_of_others(page, desk.address)
    parts = [{"type": "text", "text": "Look:"}, PICTURE, PLACE, CONTACT, BUTTONS, CARD, CUSTOM]
    said = {"speaker": "bot", "text": "in words", "at": time.time() - 60, "parts": parts}
    handoff = await relay.offer(transcript=[said])
    await take(page)
    await relay.say(handoff, "in words", *parts)
    for line in (page.get_by_test_id("message"), page.get_by_test_id("transcript-line")):
        await expect(line.locator(".text")).to_have_text(["Look:"])
        picture = line.get_by_test_id("part-elsewhere")
        await expect(picture).to_contain_text("dent.jpg")
        await expect(picture).to_contain_text("Picture on pictures.example · JPEG · 1.2 MB")
        await expect(picture).to_have_attribute("href", ELSEWHERE)
        await expect(picture).to_have_attribute("rel", "noopener noreferrer")
        await expect(line.get_by_test_id("part-location")).to_contain_text("12 Long Street")
        map_link = line.get_by_role("link", name="Show on a map")
        await expect(map_link).to_have_attribute(
            "href", "https://www.openstreetmap.org/?mlat=-33.92&mlon=18.42#map=16/-33.92/18.42"
        )
        contact = line.get_by_test_id("part-contact")
        await expect(contact).to_contain_text("Sipho Dlamini")
        await expect(contact.get_by_role("link", name="sipho@example.org")).to_have_attribute(
            "href", "mailto:sipho%40example.org"
        )
        await expect(line.get_by_test_id("part-buttons").first.get_by_role("listitem")).to_have_text(
            ["Track my parcel", "Shop https://shop.example/"]
        )
        await expect(line.get_by_test_id("part-card")).to_contain_text("The Grass Is Singing")
        await expect(line.get_by_role("button")).to_have_count(0)
        await expect(line.get_by_test_id("part-custom").locator("pre")).to_be_hidden()
        await line.locator("summary").click()
        await expect(line.get_by_test_id("part-custom").locator("pre")).to_contain_text("chart")
    assert not asked


async def test_parts_made_to_break_the_desk_are_words_and_lead_nowhere(desks: Desks, relay: Relay) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    asked = asked_of_others(page, desk.address)
    handoff = await relay.offer(transcript=[])
    await take(page)
    media: list[dict[str, Any]] = [{"url": url, "name": NASTY, "type": "image/svg+xml"} for url in ACTIVE]
    files = [{"type": kind, "media": one} for one in media for kind in ("image", "file", "video")]
    buttons = {"type": "buttons", "buttons": [{"title": NASTY, "url": url} for url in ACTIVE]}
    card = {"type": "card", "title": NASTY, "subtitle": NASTY, "image": media[0], "buttons": buttons["buttons"]}
    contact = {"type": "contact", "name": NASTY, "phone": ACTIVE[0], "email": f"{ACTIVE[0]}@x"}
    custom = {"type": "custom", "json": {"text": NASTY, "<b>": {"__proto__": NASTY}}}
    await relay.say(handoff, "words", *files, buttons, card, contact, {**PLACE, "name": NASTY}, custom)
    message = page.get_by_test_id("message")
    await expect(message.get_by_test_id("part-custom")).to_contain_text(NASTY)
    links = await message.locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert {link.partition(":")[0] for link in links} <= {"https", "mailto"}
    assert await message.locator("img, b, script, iframe, object, embed, video, audio").count() == 0
    assert not asked


async def test_a_files_name_that_is_turned_around_is_read_as_it_is_written(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer(transcript=[])
    await take(page)
    turned = {"url": "https://files.example/1", "name": "photo\u202egpj.exe"}
    await relay.say(handoff, "words", {"type": "file", "media": turned})
    await expect(page.get_by_test_id("part-elsewhere").locator(".file-name")).to_have_text("photogpj.exe")
