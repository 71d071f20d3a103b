"""What customers do on the example's page, and an agent who talks with them, in two browsers."""

import re

from playwright.async_api import Browser, Locator, Page, expect

from tests.end_to_end.browser.conftest import Desk, Server

ARRIVED = re.compile("Delivered|Read")
"""What stands beside a customer's message that the desk has; which of them, the agent's page decides."""


async def say(page: Page, text: str) -> None:
    await page.get_by_test_id("chat-input").fill(text)
    await page.get_by_test_id("chat-send").click()


async def talking(customer: Page, chromium: Browser, server: Server) -> Desk:
    """Have the customer ask for a person and an agent take it in a browser of their own, and return that desk."""
    context = await chromium.new_context()
    desk = await Desk(await context.new_page(), server.address, "thandi@example.org").sign_in()
    await say(customer, '/execute_handoff{"department": "billing"}')
    await desk.page.get_by_test_id("take").click()
    await expect(customer.get_by_test_id("bot-message").last).to_contain_text("Thandi")
    return desk


async def answer(desk: Desk, text: str) -> None:
    await desk.page.get_by_test_id("composer").fill(text)
    await desk.page.get_by_test_id("composer").press("Enter")


async def read_back(scroller: Locator) -> None:
    """Scroll to the beginning, and wait until the page has noticed."""
    await scroller.evaluate(
        """scroller => new Promise((done) => {
            scroller.addEventListener("scroll", () => done(), {once: true});
            scroller.scrollTo({top: 0});
        })"""
    )


def shown(page: Page, text: str, who: str = "bot") -> Locator:
    return page.get_by_test_id(f"{who}-message").locator(".text").filter(has_text=text)
