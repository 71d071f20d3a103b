"""What happens by itself, as an agent sees it: reminders, messages left, ends, a server that can't write."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import Desks, Server
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import say, take
from tests.rasa.handoff.test_database import locked

pytestmark = pytest.mark.asyncio(loop_scope="session")


def toast(page: Page, words: str) -> Locator:
    return page.get_by_test_id("toast").filter(has_text=words)


async def test_an_agent_is_reminded_then_the_others_are_told_and_may_take_over(
    desks: Desks, server: Server, relay: Relay
) -> None:
    mine, other = (await desks.open("thandi")).page, (await desks.open("pieter")).page
    handoff = await relay.offer()
    await take(mine)
    await relay.say(handoff, "Are you there?")
    server.ahead += 181
    await expect(toast(mine, "Naledi Dube has waited 3 minutes for your answer.")).to_be_visible()
    await expect(mine.get_by_test_id("mine-item")).to_have_attribute("data-overdue", "")
    await expect(mine.get_by_test_id("conversation")).to_contain_text("waits for your answer")
    server.ahead += 181
    await expect(toast(other, "Naledi Dube waits for an answer. You can take over.")).to_be_visible()
    await expect(other.get_by_test_id("others-item")).to_contain_text("waits for Thandi Nkosi")
    await toast(other, "You can take over.").get_by_test_id("toast-open").click()
    await expect(other.get_by_test_id("take-this")).to_have_text("Take over")
    await other.get_by_test_id("take-this").click()
    await expect(other.get_by_test_id("composer")).to_be_focused()
    await expect(toast(mine, "Pieter Botha took over: Naledi Dube.")).to_be_visible()
    await expect(mine.get_by_test_id("mine-item")).to_have_count(0)


async def test_an_answer_takes_the_highlight_away(desks: Desks, server: Server, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    server.ahead += 181
    await expect(page.get_by_test_id("mine-item")).to_have_attribute("data-overdue", "")
    await say(page, "Sorry, here I am.")
    await expect(page.get_by_test_id("mine-item")).not_to_have_attribute("data-overdue", "")


async def test_a_message_left_is_found_answered_and_resolved(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await expect(page.get_by_test_id("queue-item")).to_be_visible()
    await relay.say(handoff, "Please call me on Monday.")
    await relay.leave_message(handoff)
    item = page.get_by_test_id("left-item")
    await expect(item).to_contain_text("Please call me on Monday.")
    await expect(page.get_by_test_id("queue-item")).to_have_count(0)
    await page.reload()
    await expect(item.get_by_test_id("unread")).to_have_text("1")
    await expect(page).to_have_title("(1) Live desk")
    await item.click()
    await expect(page.get_by_test_id("left-hint")).to_have_text(
        "The customer left a message; your answer reaches them at once or when they are back."
    )
    await expect(page.get_by_test_id("transfer")).to_be_hidden()
    await say(page, "We will call at nine.")
    answer = await relay.one("message", handoff_id=handoff)
    assert answer["text"] == "We will call at nine."
    await relay.mark(handoff, answer["id"], "delivered")
    await expect(page.get_by_test_id("message").last.get_by_test_id("status")).to_have_text("Delivered")
    await expect(item).to_contain_text("Thandi Nkosi: We will call at nine.")
    await page.get_by_test_id("resolve").click()
    await expect(page.get_by_test_id("slot-street")).to_have_count(0)
    await page.get_by_test_id("resolve-confirm").click()
    await expect(item).to_have_count(0)
    assert relay.all("handoff.status", status="completed") == []


async def test_the_contact_of_a_message_that_was_left_is_shown(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer(left=True, contact={})
    await relay.say(handoff, "Please call me on Monday.")
    await relay.leave_message(handoff)
    await page.get_by_test_id("left-item").click()
    panel = page.locator("context-panel")
    await expect(panel).to_contain_text("not known")
    await relay.leave_message(handoff, phone="my sister has it")
    await expect(panel.get_by_text("my sister has it")).to_be_visible()
    await expect(panel.locator("a[href^='tel:']")).to_have_count(0)
    await relay.leave_message(handoff, email="naledi@example.org", phone="+27 82 555 0100")
    await expect(panel.get_by_role("link", name="naledi@example.org")).to_have_attribute(
        "href", "mailto:naledi%40example.org"
    )
    await expect(panel.get_by_role("link", name="+27 82 555 0100")).to_have_attribute(
        "href", "tel:%2B27%2082%20555%200100"
    )


async def test_words_of_a_silent_customer_after_the_end_are_shown(desks: Desks, server: Server, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await say(page, "Which order is it?")
    answer = await relay.one("message", handoff_id=handoff)
    await relay.mark(handoff, answer["id"], "delivered")
    await expect(page.get_by_test_id("message").get_by_test_id("status")).to_have_text("Delivered")
    server.ahead += 601
    await relay.one("handoff.status", handoff_id=handoff, status="customer_silent")
    server.ahead += 601
    await expect(toast(page, "Naledi Dube didn't answer any more")).to_be_visible()
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-state", "ended")
    other = await relay.offer("Sipho")
    await page.get_by_test_id("queue-open").click()
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-handoff", other)
    await relay.say(handoff, "The blue one!")
    late = toast(page, "Naledi Dube wrote after the end: The blue one!")
    await late.get_by_test_id("toast-open").click()
    await expect(page.get_by_test_id("message").last).to_contain_text("The blue one!")
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-state", "ended")


async def test_words_a_locked_server_refuses_are_sent_again_by_themselves(
    desks: Desks, server: Server, relay: Relay
) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    with locked(Path(server.database.removeprefix("sqlite:///"))):
        await say(page, "Good morning")
        await expect(page.get_by_test_id("unsent")).to_contain_text("Sending…")
        async with page.expect_response("**/health") as health:
            await page.evaluate("fetch('/health')")
        assert (await health.value).status == 503
    await expect(page.get_by_test_id("message").locator(".text")).to_have_text("Good morning")
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    await eventually(lambda: relay.all("message", handoff_id=handoff))
    assert [received["text"] for received in relay.all("message", handoff_id=handoff)] == ["Good morning"]
    desks.opened[-1].troubles.clear()  # the console tells of the 503


async def test_a_desk_opened_while_the_server_is_locked_comes_in_by_itself(
    desks: Desks, server: Server, relay: Relay
) -> None:
    desk = await desks.open("thandi")
    await server.stop()
    await expect(desk.page.get_by_test_id("connection")).to_be_visible()
    frames: list[str] = []
    desk.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
    await server.start()
    with locked(Path(server.database.removeprefix("sqlite:///"))):
        await eventually(lambda: any("unavailable" in frame for frame in frames))
        await expect(desk.page.get_by_test_id("connection")).to_contain_text("Reconnecting…")
    await expect(desk.page.get_by_test_id("connection")).to_be_hidden()
    desk.troubles.clear()  # the console tells of each try to connect
