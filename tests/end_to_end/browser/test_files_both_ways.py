"""Pictures and files between a customer on the example's page and an agent at the desk, in two browsers, with a real Rasa."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.end_to_end.browser.conftest import Server
from tests.end_to_end.browser.test_desk_attachments import PDF, hand_over
from tests.end_to_end.browser.test_desk_media import HTML, SVG, downloaded
from tests.end_to_end.browser.two_browsers import talking

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_pdf_that_is_dropped_at_the_desk_is_opened_by_the_customer(
    customer: Page, chromium: Browser, server: Server, tmp_path: Path
) -> None:
    desk = await talking(customer, chromium, server)
    await hand_over(desk.page.get_by_test_id("conversation"), "drop", PDF)
    await desk.page.get_by_test_id("composer").fill("Your invoice:")
    await desk.page.get_by_test_id("send").click()
    link = customer.get_by_role("link", name="invoice.pdf")
    assert await downloaded(customer, link, tmp_path) == ("invoice.pdf", PDF["buffer"])
    await expect(desk.page.get_by_test_id("status")).to_have_text("Read")


async def test_an_html_file_and_a_drawing_with_scripts_do_nothing_at_the_customers(
    customer: Page, chromium: Browser, server: Server, tmp_path: Path
) -> None:
    desk = await talking(customer, chromium, server)
    asked: list[str] = []
    customer.context.on("request", lambda request: asked.append(request.url))
    for content, name, kind in ((HTML, "page.html", "text/html"), (SVG, "drawing.svg", "image/svg+xml")):
        await hand_over(
            desk.page.get_by_test_id("conversation"), "drop", {"name": name, "mimeType": kind, "buffer": content}
        )
        await desk.page.get_by_test_id("send").click()
        link = customer.get_by_role("link", name=name)
        assert await downloaded(customer, link, tmp_path) == (name, content)
    assert await customer.locator("iframe, object, embed, svg script").count() == 0
    assert not [url for url in asked if "evil" in url]
