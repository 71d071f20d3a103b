"""Pictures and files between the example's page and the desk, in two Chromium windows with real servers between."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import Server, connected
from tests.end_to_end.browser.test_desk_attachments import hand_over
from tests.end_to_end.browser.two_browsers import ARRIVED, answer, say, shown, talking
from tests.support.photos import photo
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = {"name": "invoice.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n" + b"x" * 2_000}
PHOTO = {"name": "dent.jpg", "mimeType": "image/jpeg", "buffer": photo((60, 40))}
SCRIPT = "<script>parent.alerted = top.alerted = 1</script>"
HTML = {"name": "page.html", "mimeType": "text/html", "buffer": SCRIPT.encode()}
SVG = {
    "name": "drawing.svg",
    "mimeType": "image/svg+xml",
    "buffer": f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}</svg>'.encode(),
}


async def downloaded(page: Page, folder: Path) -> bytes:
    """Return the file behind the last link to one, as a browser saves it."""
    async with page.expect_download() as waiting:
        await page.get_by_test_id("file").last.click()
    saved = folder / "saved"
    await (await waiting.value).save_as(saved)
    return saved.read_bytes()


@pytest.mark.parametrize("rasa", ["off", "required"], indirect=True)
async def test_a_photo_is_pasted_and_seen_at_the_desk_and_a_pdf_comes_back(
    customer: Page, chromium: Browser, server: Server, tmp_path: Path
) -> None:
    desk = await talking(customer, chromium, server)
    agent = desk.page
    await hand_over(customer.get_by_test_id("chat-input"), "paste", PHOTO)
    await expect(customer.get_by_test_id("chosen-file")).to_have_attribute("data-state", "there")
    await say(customer, "This one:")
    await expect(customer.get_by_test_id("chosen")).to_be_hidden()
    mine = customer.get_by_test_id("user-message").last
    await expect(mine.locator(".when")).to_contain_text(ARRIVED)
    await expect(agent.get_by_role("img", name="dent.jpg").first).to_be_visible()
    await expect(agent.locator("[data-testid=message][data-speaker=customer] .text")).to_have_text("This one:")
    await customer.reload()
    await connected(customer)
    await expect(mine.locator(".text")).to_have_text("This one:")
    seen = mine.get_by_test_id("picture")
    await expect(seen).to_have_attribute("alt", "dent.jpg")
    await eventually(lambda: seen.evaluate("picture => picture.naturalWidth > 0"))

    await hand_over(agent.get_by_test_id("conversation"), "drop", PDF)
    await answer(desk, "And here is mine.")
    await expect(shown(customer, "And here is mine.")).to_have_count(1)
    await expect(customer.get_by_test_id("file").last).to_contain_text("invoice.pdf")
    assert await downloaded(customer, tmp_path) == PDF["buffer"]
    await agent.context.close()


async def test_html_and_a_drawing_with_script_do_nothing(
    customer: Page, chromium: Browser, server: Server, tmp_path: Path
) -> None:
    desk = await talking(customer, chromium, server)
    await customer.get_by_test_id("attach-input").set_input_files([HTML, SVG])  # type: ignore[list-item]
    await customer.get_by_test_id("chat-send").click()  # while they may be on their way
    mine = customer.get_by_test_id("user-message").last
    await expect(mine.get_by_test_id("file")).to_have_count(2)
    await expect(mine.locator(".when")).to_contain_text(ARRIVED)
    assert b"script" in await downloaded(customer, tmp_path)
    await expect(desk.page.get_by_text("drawing.svg").first).to_be_visible()
    for page in (customer, desk.page):
        assert await page.evaluate("window.alerted") is None
        assert len(page.context.pages) == 1
    await desk.page.context.close()


async def test_a_file_is_taken_out_and_one_that_broke_off_is_sent_again_by_itself(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    desk = await talking(customer, chromium, server)
    chosen = customer.get_by_test_id("chosen-file")
    await customer.get_by_test_id("attach-input").set_input_files([PHOTO, PDF])  # type: ignore[list-item]
    await expect(chosen).to_have_count(2)
    await chosen.first.get_by_test_id("chosen-out").click()
    await expect(chosen).to_have_count(1)
    await expect(chosen).to_have_attribute("data-state", "there")
    wire.cut()
    await customer.get_by_test_id("attach-input").set_input_files([PHOTO])  # type: ignore[list-item]
    await expect(chosen.last).to_have_attribute("data-state", "waiting")
    await expect(chosen.last.get_by_role("status")).to_have_text(
        "It couldn't be sent yet. It is tried again by itself."
    )
    wire.mend()
    await expect(chosen.last).to_have_attribute("data-state", "there")
    await say(customer, "both")
    await expect(shown(customer, "both", "user")).to_have_count(1)
    mine = customer.get_by_test_id("user-message").last
    await expect(mine.locator(".when")).to_contain_text(ARRIVED)
    await expect(mine.get_by_test_id("picture")).to_have_count(1)
    await expect(mine.get_by_test_id("file")).to_have_text(["invoice.pdf2 kB"])
    await expect(desk.page.get_by_text("invoice.pdf").first).to_be_visible()
    await desk.page.context.close()


async def test_a_file_and_words_sent_without_a_network_arrive_once_it_is_back(
    customer: Page, chromium: Browser, server: Server
) -> None:
    desk = await talking(customer, chromium, server)
    await customer.context.set_offline(True)
    await expect(customer.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
    await customer.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await customer.get_by_test_id("chat-input").fill("my invoice")
    await customer.get_by_test_id("chat-input").press("Enter")
    await expect(customer.get_by_test_id("chosen-file")).to_have_attribute("data-state", "waiting")
    await customer.context.set_offline(False)
    await connected(customer)
    await expect(shown(customer, "my invoice", "user")).to_have_count(1)
    await expect(customer.get_by_test_id("chosen")).to_be_hidden()
    await expect(desk.page.get_by_text("invoice.pdf").first).to_be_visible()
    await desk.page.context.close()


async def test_send_says_that_a_file_can_never_be_sent_and_sends_once_it_is_out(customer: Page) -> None:
    refused = {"ok": False, "code": "too_large"}
    await customer.route("**/handoff/media?*", lambda route: route.fulfill(status=413, json=refused))
    await customer.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    chosen, warning = customer.get_by_test_id("chosen-file"), customer.get_by_test_id("cannot-send")
    await expect(chosen).to_have_attribute("data-state", "failed")
    await expect(warning).to_be_hidden()
    await say(customer, "hello")
    await expect(warning).to_contain_text("invoice.pdf")
    await expect(warning).to_contain_text("can't be sent. Please take it out")
    await chosen.get_by_test_id("chosen-out").click()
    await expect(warning).to_be_hidden()
    await customer.get_by_test_id("chat-send").click()
    await expect(shown(customer, "hello", "user")).to_have_count(1)


async def test_a_draft_and_its_files_survive_a_reload_and_the_files_no_new_conversation(customer: Page) -> None:
    field, chosen = customer.get_by_test_id("chat-input"), customer.get_by_test_id("chosen-file")
    await customer.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await expect(chosen).to_have_attribute("data-state", "there")
    await field.fill("half a sen")
    await customer.reload()
    await connected(customer)
    await expect(field).to_have_value("half a sen")
    await expect(chosen).to_contain_text("invoice.pdf")
    await say(customer, "half a sentence")
    await expect(customer.get_by_test_id("user-message").last.get_by_test_id("file")).to_contain_text("invoice.pdf")
    await field.fill("another")
    await customer.get_by_test_id("new-conversation").click()
    await customer.reload()
    await connected(customer)
    await expect(chosen).to_have_count(0)
