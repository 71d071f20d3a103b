"""What an agent sends beside words, as a customer on the example's page gets it: two browsers, with a real Rasa between."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.end_to_end.browser.conftest import Server, connected
from tests.end_to_end.browser.test_desk_attachments import hand_over
from tests.end_to_end.browser.test_desk_media import HTML, SVG, downloaded
from tests.end_to_end.browser.two_browsers import answer, talking
from tests.support.photos import photo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_picture_a_card_and_buttons_are_seen_and_what_is_pressed_comes_back(
    customer: Page, chromium: Browser, server: Server
) -> None:
    desk = await talking(customer, chromium, server)
    page = desk.page
    pasted = {"name": "cover.jpg", "mimeType": "image/jpeg", "buffer": photo((320, 240))}
    await hand_over(page.get_by_test_id("composer"), "paste", pasted)
    await page.get_by_test_id("choices").click()
    await page.get_by_test_id("choices-kind").select_option("card")
    await page.get_by_test_id("choices-title").fill("The Grass Is Singing")
    await page.get_by_test_id("choices-confirm").click()
    await page.get_by_test_id("choices").click()
    await page.get_by_test_id("choices-titles").fill("By courier\nBy post")
    await page.get_by_test_id("choices-confirm").click()
    await expect(page.get_by_test_id("channel-hints")).to_be_hidden()  # this page shows all as it is
    await answer(desk, "How shall we send it?")
    await expect(customer.get_by_test_id("picture")).not_to_have_js_property("naturalWidth", 0)
    await expect(customer.get_by_text("The Grass Is Singing")).to_be_visible()
    await customer.get_by_role("button", name="By post").click()
    said = page.locator("[data-testid=message][data-speaker=customer] .text")
    await expect(said).to_have_text("By post")
    await expect(page.get_by_test_id("status")).to_have_text("Read")
    await page.context.close()


async def test_buttons_that_stay_are_there_for_another_choice_and_quick_replies_are_gone(
    customer: Page, chromium: Browser, server: Server
) -> None:
    desk = await talking(customer, chromium, server)
    page = desk.page
    for kind, titles, question in (("buttons", "By courier\nBy post", "How?"), ("quick", "Today\nTomorrow", "When?")):
        await page.get_by_test_id("choices").click()
        await page.get_by_test_id("choices-kind").select_option(kind)
        await page.get_by_test_id("choices-titles").fill(titles)
        await page.get_by_test_id("choices-confirm").click()
        await answer(desk, question)
    await customer.get_by_role("button", name="Tomorrow").click()
    await customer.get_by_role("button", name="By post").click()
    await customer.reload()
    await connected(customer)
    await customer.get_by_role("button", name="By courier").click()
    said = page.locator("[data-testid=message][data-speaker=customer] .text")
    await expect(said).to_have_text(["Tomorrow", "By post", "By courier"])
    await expect(customer.get_by_test_id("quick-reply")).to_have_text(["By courier", "By post"])
    await page.context.close()


async def test_an_agents_html_file_and_drawing_with_scripts_do_nothing(
    customer: Page, chromium: Browser, server: Server, tmp_path: Path
) -> None:
    desk = await talking(customer, chromium, server)
    asked: list[str] = []
    customer.context.on("request", lambda request: asked.append(request.url))
    for content, name, kind in ((HTML, "page.html", "text/html"), (SVG, "drawing.svg", "image/svg+xml")):
        file = {"name": name, "mimeType": kind, "buffer": content}
        await hand_over(desk.page.get_by_test_id("conversation"), "drop", file)
        await desk.page.get_by_test_id("send").click()
        link = customer.get_by_role("link", name=name)
        assert await downloaded(customer, link, tmp_path) == (name, content)
    assert await customer.locator("iframe, object, embed, svg script").count() == 0
    assert not [url for url in asked if "evil" in url]
    await desk.page.context.close()
