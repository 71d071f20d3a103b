"""What an agent does at the desk, in real Chromium against the real server, with a real ``/relay`` connection."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from rasa_handoff.server.administration import set_departments
from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import Desks, Server
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.two_browsers import read_back

pytestmark = pytest.mark.asyncio(loop_scope="session")

NASTY = "<b>bold</b><img src=x onerror=alert(1)> & friends"


async def take(page: Page) -> None:
    """Take the only one in the queue, and wait until it is open: another conversation may have been."""
    item, opened = page.get_by_test_id("queue-item"), page.get_by_test_id("conversation")
    handoff = str(await item.get_attribute("data-handoff"))
    await item.get_by_test_id("take").click()
    await expect(opened).to_have_attribute("data-handoff", handoff)
    await expect(opened).to_have_attribute("data-state", "assigned")


async def say(page: Page, text: str) -> None:
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("send").click()


async def test_a_wrong_password_is_told_and_the_right_one_signs_in_and_out(desks: Desks) -> None:
    desk = await desks.blank("thandi")
    page = desk.page
    await page.goto(desk.address)
    await page.get_by_test_id("email").fill(desk.email)
    await page.get_by_test_id("password").fill("a wrong one")
    await page.get_by_test_id("sign-in").click()
    await expect(page.get_by_test_id("login-message")).to_contain_text("isn't right")
    await expect(page.get_by_test_id("email")).to_have_value(desk.email)
    await expect(page.get_by_test_id("password")).to_be_focused()
    desk.troubles.clear()  # the console tells of the answer 401
    await desk.sign_in()
    await expect(page.locator(".me")).to_have_text("Thandi Nkosi")
    await page.get_by_test_id("sign-out").click()
    await expect(page.get_by_test_id("sign-in")).to_be_visible()


async def test_signing_out_in_one_tab_signs_the_other_out(desks: Desks) -> None:
    desk = await desks.open("thandi")
    other = await desk.page.context.new_page()
    await other.goto(desk.address)
    await expect(other.get_by_test_id("presence")).to_be_enabled()
    await other.get_by_test_id("sign-out").click()
    await expect(desk.page.get_by_test_id("sign-in")).to_be_visible()


async def test_an_arrival_shows_with_everything_an_agent_wants_to_know(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await expect(page).to_have_title("Live desk")
    await relay.offer(department="billing", priority="high", language="zu", reason="A refund")
    item = page.get_by_test_id("queue-item")
    for words in ("Naledi Dube", "A refund", "High", "Billing", "zu"):
        await expect(item).to_contain_text(words)
    await expect(item.get_by_test_id("queue-words")).to_have_text("A person, please")
    await expect(item.get_by_role("timer")).to_have_text("0:01")
    await expect(page).to_have_title("(1) Live desk")
    await expect(page.locator("#announcements")).to_have_text("Naledi Dube is waiting for Billing.")


@pytest.mark.parametrize("width", [1024, 900, 390])
async def test_the_details_cover_nothing_and_escape_hides_them(desks: Desks, relay: Relay, width: int) -> None:
    desk = await desks.open("thandi")
    await relay.offer()
    await take(desk.page)
    await desk.page.set_viewport_size({"width": width, "height": 760})
    details, panel = desk.page.get_by_role("button", name="Details"), desk.page.get_by_test_id("context")
    await expect(panel).to_be_hidden()
    await details.click()
    await expect(panel).to_be_visible()
    await desk.page.get_by_test_id("sign-out").click(trial=True)
    if width > 720:
        for button in ("send", "transfer", "resolve"):
            await desk.page.get_by_test_id(button).click(trial=True)
        await desk.page.get_by_test_id("composer").focus()
    await desk.page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(details).to_be_visible()


async def test_a_waiting_conversation_can_be_read_before_it_is_taken(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await page.get_by_test_id("queue-open").click()
    lines = page.get_by_test_id("transcript-line").locator(".text")
    await expect(lines).to_have_text(["Hi there", "Hello! What can I do for you?", "A person, please"])
    context = page.get_by_test_id("context")
    for words in ("naledi@example.org", "Asked for a person", "Address form", "Change address", "81 %"):
        await expect(context).to_contain_text(words)
    await expect(page.get_by_test_id("slot-value-order_number")).to_have_text("K-2041")
    await expect(page.get_by_test_id("composer")).to_be_hidden()
    await page.get_by_test_id("take-this").click()
    await expect(page.get_by_test_id("composer")).to_be_focused()


async def test_a_notice_in_a_transcript_is_nobodys_message(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    lines = [{"speaker": who, "text": who, "at": 1.0} for who in ("system", "customer", "bot", "agent")]
    await relay.offer(transcript=lines)
    await page.get_by_test_id("queue-open").click()
    by = page.get_by_test_id("transcript-line").locator(".by")
    await expect(by).to_have_count(len(lines))
    authors = await by.all_inner_texts()
    assert [" · " in author for author in authors] == [False, True, True, True]


async def test_a_transcript_that_comes_late_appears_in_its_place(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff_id = await relay.offer(name=None, transcript=[], transcript_follows=True)
    await take(page)
    await expect(page.get_by_test_id("transcript-follows")).to_be_visible()
    await relay.say(handoff_id, "are you there")
    await expect(page.get_by_test_id("message").locator(".by")).to_contain_text("naledi@example.org")
    await relay.follow(handoff_id, "my invoice is wrong")
    await expect(page.get_by_test_id("transcript-line")).to_contain_text("my invoice is wrong")
    await expect(page.get_by_test_id("transcript-follows")).to_be_hidden()
    await expect(page.get_by_test_id("message")).to_contain_text("are you there")
    for line in ("transcript-line", "message"):
        await expect(page.get_by_test_id(line).locator(".by")).to_contain_text("Naledi Dube")
    await expect(page.get_by_test_id("conversation")).not_to_contain_text("naledi@example.org")
    await relay.follow(handoff_id, "said twice")
    await page.reload()
    await expect(page.get_by_test_id("transcript-line")).to_have_count(1)


async def test_of_two_agents_exactly_one_gets_it_and_the_other_is_told(desks: Desks, relay: Relay) -> None:
    late = await desks.blank("pieter")
    # The slower agent's browser hears of the take only after its own click.
    await late.page.route_web_socket("**/socket.io/**", deaf_to('["conversation"'))
    await late.sign_in()
    one, two = (await desks.open("thandi")).page, late.page
    handoff = await relay.offer()
    await expect(two.get_by_test_id("queue-item")).to_be_visible()
    await take(one)
    await two.get_by_test_id("queue-item").get_by_test_id("take").click()
    await expect(two.get_by_test_id("toast")).to_contain_text("Thandi Nkosi took this conversation")
    await expect(one.get_by_test_id("mine-item")).to_have_count(1)
    await expect(two.get_by_test_id("mine-item")).to_have_count(0)
    accepted = await relay.one("handoff.status", handoff_id=handoff, status="accepted")
    assert accepted["agent"]["name"] == "Thandi Nkosi"
    assert len(relay.all("handoff.status", status="accepted")) == 1


def deaf_to(event: str) -> Any:
    """Return a route that keeps the frames with this text from the page."""

    def route(socket: Any) -> None:
        server = socket.connect_to_server()
        socket.on_message(server.send)
        server.on_message(lambda frame: None if event in frame else socket.send(frame))

    return route


async def test_a_colleagues_conversation_leaves_the_queue(desks: Desks, relay: Relay) -> None:
    one, two = (await desks.open("thandi")).page, (await desks.open("pieter")).page
    await relay.offer()
    await expect(two.get_by_test_id("queue-item")).to_be_visible()
    await take(one)
    await expect(two.get_by_test_id("queue-item")).to_have_count(0)
    await expect(two.get_by_test_id("others-item")).to_contain_text("with Thandi Nkosi")


async def test_words_go_both_ways_as_text_with_their_status(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer(name=NASTY)
    await take(page)
    await say(page, NASTY)
    received = await relay.one("message", handoff_id=handoff)
    assert (received["text"], received["agent"]) == (NASTY, "Thandi Nkosi")
    mine = page.locator("[data-testid=message][data-speaker=agent]")
    await expect(mine.locator(".text")).to_have_text(NASTY)
    await expect(mine.get_by_test_id("status")).to_have_text("Sent")
    for status, words in (
        ("waiting", "Not delivered yet: it waits until the customer can be reached"),
        ("delivered", "Delivered"),
        ("read", "Read"),
    ):
        await relay.mark(handoff, received["id"], status)
        await expect(mine.get_by_test_id("status")).to_have_text(words)
    await relay.say(handoff, NASTY)
    theirs = page.locator("[data-testid=message][data-speaker=customer]")
    await expect(theirs.locator(".text")).to_have_text(NASTY)
    assert await page.locator("img, b").count() == 0


async def test_an_undelivered_message_says_why(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await say(page, "Hello?")
    received = await relay.one("message", handoff_id=handoff)
    await relay.mark(handoff, received["id"], "failed", "the number is blocked")
    await expect(page.get_by_test_id("status")).to_have_text("Not delivered: the number is blocked")


async def test_each_side_sees_the_other_type(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await relay.typing(handoff, True)
    await expect(page.get_by_test_id("customer-typing")).to_be_visible()
    await expect(page.get_by_test_id("customer-typing")).to_have_text("Naledi Dube is typing…")
    await relay.typing(handoff, False)
    await expect(page.get_by_test_id("customer-typing")).to_be_hidden()
    await page.get_by_test_id("composer").press_sequentially("Hel")
    assert (await relay.one("typing"))["on"]
    await page.get_by_test_id("composer").press("Enter")
    await relay.one("typing", on=False)


async def test_unread_words_are_counted_until_they_are_seen(desks: Desks, relay: Relay) -> None:
    desk = await desks.open("thandi")
    page, other = desk.page, await desk.page.context.new_page()
    first = await relay.offer(reason="A person, please")
    await expect(page.get_by_test_id("queue-words")).to_be_empty()  # the reason says it
    await take(page)
    await relay.offer(name="Sipho")
    await take(page)
    await relay.say(first, "One")
    await relay.say(first, "Two")
    item = page.locator(f"[data-testid=mine-item][data-handoff='{first}']")
    await expect(item.get_by_test_id("unread")).to_have_text("2")
    await page.reload()
    await expect(item.get_by_test_id("unread")).to_be_visible()
    await expect(item.get_by_test_id("unread")).to_have_text("2")
    await other.goto(desk.address)
    elsewhere = other.locator(f"[data-testid=mine-item][data-handoff='{first}']")
    await expect(elsewhere.get_by_test_id("unread")).to_have_text("2")
    await item.click()
    await expect(item.get_by_test_id("unread")).to_be_hidden()
    await expect(page.get_by_test_id("message")).to_have_count(2)
    await expect(elsewhere.get_by_test_id("unread")).to_be_hidden()


async def test_a_reload_keeps_the_open_conversation_and_the_draft(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await relay.say(handoff, "Are you there?")
    await expect(page.get_by_test_id("message")).to_have_count(1)
    await page.get_by_test_id("composer").fill("Half a thou")
    await page.reload()
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-handoff", handoff)
    await expect(page.get_by_test_id("message").locator(".text")).to_have_text("Are you there?")
    await expect(page.get_by_test_id("transcript-line")).to_have_count(3)
    await expect(page.get_by_test_id("composer")).to_have_value("Half a thou")


async def test_the_next_agent_in_a_tab_finds_no_draft_of_the_one_whose_session_expired(
    desks: Desks, server: Server, relay: Relay
) -> None:
    desk = await desks.open("thandi")
    page, composer = desk.page, desk.page.get_by_test_id("composer")
    handoff = await relay.offer()
    await take(page)
    await relay.say(handoff, "Are you there?")
    await composer.fill("Between us")
    server.ahead += 181
    await expect(page.get_by_test_id("mine-item")).to_have_attribute("data-overdue", "")
    server.ahead += 181  # now a colleague may take over
    await page.context.clear_cookies()
    desk.email = "pieter@example.org"
    await desk.sign_in()
    await expect(page.get_by_test_id("others-item")).to_contain_text("waits for Thandi Nkosi")
    await page.get_by_test_id("others-item").click()
    await page.get_by_test_id("take-this").click()
    await expect(composer).to_be_focused()
    await expect(composer).to_have_value("")
    await composer.fill("My own")
    await page.reload()
    await expect(composer).to_have_value("My own")


async def test_resolving_brings_outcome_note_and_slots_to_the_relay(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await page.get_by_test_id("resolve").click()
    await page.get_by_test_id("resolve-outcome").select_option("follow_up")
    await page.get_by_test_id("resolve-note").fill("Moved house")
    await page.get_by_test_id("slot-street").fill("12 Long Street")
    await page.get_by_test_id("slot-express").select_option("false")
    await page.get_by_test_id("slot-shipping").select_option("courier")
    await page.get_by_test_id("slot-topics").fill("poetry, maps")
    await page.get_by_test_id("slot-copies").fill("many")
    await page.get_by_test_id("resolve-confirm").click()
    await expect(page.get_by_test_id("slot-copies-error")).to_contain_text("copies is a number")
    await page.get_by_test_id("slot-copies").fill("")
    await page.get_by_test_id("resolve-confirm").click()
    done = await relay.one("handoff.status", handoff_id=handoff, status="completed")
    slots = {"street": "12 Long Street", "express": False, "shipping": "courier", "topics": ["poetry", "maps"]}
    assert (done["outcome"], done["note"], done["slots"]) == ("follow_up", "Moved house", slots)
    await expect(page.get_by_test_id("mine-item")).to_have_count(0)
    await expect(page.get_by_test_id("toast")).to_contain_text("Resolved")


async def test_what_is_to_be_followed_up_stays_listed_until_it_is_done(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    await page.get_by_test_id("resolve").click()
    await page.get_by_test_id("resolve-outcome").select_option("follow_up")
    await page.get_by_test_id("resolve-note").fill("Call back on Monday")
    await page.get_by_test_id("resolve-confirm").click()
    item = page.get_by_test_id("follow-up-item")
    for _ in ("at once", "after a reload"):
        await expect(item.locator(".name")).to_have_text("Naledi Dube")
        await expect(item.locator(".reason")).to_have_text("Call back on Monday")
        await page.reload()
    await item.get_by_test_id("follow-up-open").click()
    await expect(page.get_by_test_id("transcript-line")).to_have_count(3)
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-state", "ended")
    await item.get_by_test_id("follow-up-done").click()
    await expect(item).to_have_count(0)
    await page.reload()
    await expect(page.get_by_test_id("presence")).to_be_enabled()
    await expect(item).to_have_count(0)


async def test_a_transfer_puts_it_into_the_other_departments_queue(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer(department="billing")
    await take(page)
    await page.get_by_test_id("transfer").click()
    await page.get_by_test_id("transfer-department").select_option("orders")
    await page.get_by_test_id("transfer-confirm").click()
    await relay.one("handoff.status", handoff_id=handoff, status="transferred", department="orders")
    await expect(page.get_by_test_id("toast")).to_contain_text("Transferred to Orders")
    await expect(page.get_by_test_id("queue-item")).to_contain_text("Orders")
    await expect(page.get_by_test_id("mine-item")).to_have_count(0)


async def test_a_transfer_to_a_department_with_nobody_online_is_asked_back(
    desks: Desks, relay: Relay, server: Server
) -> None:
    set_departments(server.database, "thandi@example.org", ["billing"])
    page = (await desks.open("thandi")).page
    handoff = await relay.offer(department="billing")
    await take(page)
    await page.get_by_test_id("transfer").click()
    await page.get_by_test_id("transfer-department").select_option("orders")
    await page.get_by_test_id("transfer-confirm").click()
    await expect(page.get_by_test_id("transfer-problem")).to_contain_text("has nobody online")
    await expect(page.get_by_test_id("transfer-dialog")).to_be_visible()
    await page.get_by_test_id("transfer-confirm").click()
    await relay.one("handoff.status", handoff_id=handoff, status="transferred", department="orders")
    await expect(page.get_by_test_id("transfer-dialog")).to_be_hidden()


async def test_the_customers_leaving_ends_it_before_the_agents_eyes(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await relay.leave(handoff)
    await expect(page.get_by_test_id("conversation")).to_have_attribute("data-state", "ended")
    await expect(page.get_by_test_id("transcript-line")).to_have_count(3)
    await expect(page.get_by_test_id("composer")).to_be_hidden()
    await expect(page.get_by_test_id("mine-item")).to_have_count(0)


async def test_what_ends_unread_stays_listed_until_it_was_opened_over_a_reload_too(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    first = await relay.offer()
    await take(page)
    second = await relay.offer(name="Sipho")
    await take(page)
    item = page.locator(f"[data-testid=mine-item][data-handoff='{first}']")
    await relay.say(first, "Look at this")
    await expect(item.get_by_test_id("unread")).to_have_text("1")
    await relay.leave(first)
    for _ in ("at once", "after a reload"):
        await expect(item).to_contain_text("Ended · Look at this")
        await expect(item.get_by_test_id("unread")).to_have_text("1")
        await page.reload()
    await item.click()
    await expect(page.get_by_test_id("message").locator(".text")).to_have_text(["Look at this"])
    await page.locator(f"[data-testid=mine-item][data-handoff='{second}']").click()
    await expect(item).to_have_count(0)


async def test_who_reads_back_is_told_of_new_messages_and_sees_their_own(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await relay.say(handoff, "\n".join(f"line {number}" for number in range(80)))
    shown = page.get_by_test_id("message").locator(".text")
    await expect(shown).to_have_count(1)
    scroller, news = page.locator("conversation-view .scroller"), page.get_by_test_id("new-messages")
    await read_back(scroller)
    await relay.say(handoff, "And on")
    await expect(news).to_be_visible()
    assert await scroller.evaluate("scroller => scroller.scrollTop") == 0
    await news.click()
    await expect(shown.filter(has_text="And on")).to_be_in_viewport()
    await expect(news).to_be_hidden()
    await read_back(scroller)
    await say(page, "Mine")
    await expect(shown.filter(has_text="Mine")).to_be_in_viewport()
    await expect(news).to_be_hidden()


async def test_a_text_that_is_too_long_is_told_while_it_is_written_and_stays(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    composer, problem = page.get_by_test_id("composer"), page.get_by_test_id("composer-problem")
    await composer.fill("x" * 20_001)
    await expect(problem).to_contain_text("at most 20,000 characters, this one has 20,001")
    await page.get_by_test_id("send").click()
    await relay.say(handoff, "hello?")
    await expect(page.get_by_test_id("message")).to_have_count(1)
    await expect(problem).to_contain_text("too long")
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    await composer.fill("x" * 20_000)
    await expect(problem).to_be_empty()
    await page.get_by_test_id("send").click()
    await relay.one("message", text="x" * 20_000)


async def test_away_is_told_to_the_bots(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await eventually(lambda: relay.all("availability", staffed=True))
    await page.get_by_test_id("presence").click()
    await expect(page.get_by_test_id("presence")).to_have_attribute("aria-checked", "false")
    await eventually(lambda: relay.received[-1][0] == "availability" and relay.received[-1][1]["staffed"] is False)


async def test_of_two_agents_each_reaches_their_own_customer(desks: Desks, relay: Relay) -> None:
    pages = [(await desks.open(name)).page for name in ("thandi", "pieter")]
    handoffs = []
    for page, name in zip(pages, ("Naledi", "Sipho"), strict=True):
        handoffs.append(await relay.offer(name=name))
        await take(page)
    await asyncio.gather(*(say(page, f"Hello {number}") for number, page in enumerate(pages)))
    for number, handoff in enumerate(handoffs):
        await relay.one("message", handoff_id=handoff, text=f"Hello {number}")
        assert len(relay.all("message", handoff_id=handoff)) == 1
