"""The customer's page in real Chromium, against a real Rasa server with HandoffChannel and a real live-agent server."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from rasa_handoff.testing.rasa_server import RasaServer
from tests.end_to_end.browser.conftest import Desk, Server, connected
from tests.end_to_end.browser.two_browsers import answer, read_back, say, shown, talking
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_page_cut_while_it_loads_comes_by_itself(customer: Page) -> None:
    """Without its script it would stand there for good, and what was being sent with it."""
    await customer.route("**/conversation-storage.js", lambda route: route.abort(), times=2)
    await customer.reload()
    await expect(customer.get_by_test_id("connection")).to_have_attribute("data-state", "connecting")
    await connected(customer)


async def test_the_bot_answers_and_a_button_shows_its_title(customer: Page) -> None:
    await say(customer, "hello")
    await expect(customer.get_by_test_id("bot-message").locator(".text")).to_have_text("Hello.")
    await say(customer, "show me things")
    await customer.get_by_test_id("quick-reply").filter(has_text="The red one").click()
    mine = customer.get_by_test_id("user-message").locator(".text")
    await expect(mine).to_have_text(["hello", "show me things", "The red one"])
    await expect(customer.get_by_test_id("bot-message").locator(".text").last).to_have_text("Hello.")
    await expect(customer.get_by_test_id("quick-reply")).to_have_count(0)


async def test_addresses_and_numbers_are_links_and_a_phone_shows_the_whole_status(customer: Page) -> None:
    await customer.set_viewport_size({"width": 390, "height": 760})
    await say(customer, "write to help@karoo.example or call +27 82 555 0199")
    links = customer.get_by_test_id("user-message").get_by_role("link")
    await expect(links).to_have_count(2)
    addresses = [await link.get_attribute("href") for link in await links.all()]
    assert addresses == ["mailto:help%40karoo.example", "tel:+27825550199"]
    await customer.evaluate("document.querySelector('.connection').textContent = 'Offline: what you write is kept'")
    assert await customer.locator(".connection").evaluate("element => element.scrollWidth <= element.clientWidth")


async def test_a_reload_keeps_what_was_said_and_a_new_conversation_doesnt(customer: Page) -> None:
    await say(customer, "hello")
    await expect(customer.get_by_test_id("bot-message")).to_have_count(1)
    await customer.reload()
    await connected(customer)
    await expect(customer.get_by_test_id("bot-message").locator(".text")).to_have_text("Hello.")
    await customer.get_by_test_id("new-conversation").click()
    await expect(customer.get_by_test_id("bot-message")).to_have_count(0)
    await connected(customer)
    await say(customer, "hello")
    await expect(customer.get_by_test_id("bot-message").locator(".text")).to_have_text("Hello.")


async def test_a_customer_who_begins_anew_is_asked_first_and_the_agent_hears_of_it(
    customer: Page, chromium: Browser, server: Server
) -> None:
    agent = (await talking(customer, chromium, server)).page
    await customer.get_by_test_id("new-conversation").click()
    await expect(customer.get_by_test_id("leave")).to_contain_text("You are talking with Thandi Nkosi.")
    await customer.get_by_test_id("leave-no").click()
    await expect(customer.get_by_test_id("who")).to_have_text("Thandi Nkosi")
    await customer.get_by_test_id("new-conversation").click()
    await customer.get_by_test_id("leave-yes").click()
    await expect(customer.get_by_test_id("bot-message")).to_have_count(0)
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await expect(agent.locator("main")).to_contain_text("Ended")
    await agent.context.close()


async def test_a_customer_who_leaves_offline_has_left_when_they_are_online_again(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    agent = (await talking(customer, chromium, server)).page
    wire.cut()
    await expect(customer.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
    await say(customer, "one more thing")
    await customer.get_by_test_id("new-conversation").click()
    await customer.get_by_test_id("leave-yes").click()
    await expect(customer.get_by_test_id("who")).to_have_text("Leaving…")
    wire.mend()
    await expect(agent.locator("main")).to_contain_text("Customer left", timeout=30_000)
    await expect(agent.locator("main")).to_contain_text("one more thing")
    await expect(customer.get_by_test_id("user-message")).to_have_count(0)
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await agent.context.close()


async def test_the_agent_sees_that_the_customers_page_is_closed(
    customer: Page, chromium: Browser, server: Server
) -> None:
    agent = (await talking(customer, chromium, server)).page
    address = customer.url
    await customer.goto("about:blank")
    await expect(agent.get_by_test_id("customer-away").first).to_have_text("Page closed", timeout=30_000)
    await customer.goto(address)
    await expect(agent.get_by_test_id("customer-away")).to_have_count(0)
    await agent.context.close()


async def test_a_customer_and_an_agent_talk_in_two_browsers(customer: Page, chromium: Browser, server: Server) -> None:
    context = await chromium.new_context()
    desk = await Desk(await context.new_page(), server.address, "thandi@example.org").sign_in()
    agent = desk.page
    who = customer.get_by_test_id("who")
    await expect(who).to_have_text("Bot")
    await say(customer, '/execute_handoff{"department": "billing"}')
    await expect(who).to_have_text("Waiting for a person")
    await agent.get_by_test_id("take").click()
    await expect(customer.get_by_test_id("bot-message").last).to_contain_text("Thandi")
    await expect(who).to_have_text("Thandi Nkosi")
    await customer.reload()
    await expect(who).to_have_text("Thandi Nkosi")
    await agent.get_by_test_id("composer").press_sequentially("How are <b>you</b>?")
    await expect(customer.get_by_test_id("typing")).to_be_visible()
    await agent.get_by_test_id("composer").press("Enter")
    await expect(customer.get_by_test_id("bot-message").locator(".text").last).to_have_text("How are <b>you</b>?")
    await expect(agent.get_by_test_id("status")).to_have_text("Read")
    await customer.get_by_test_id("chat-input").press_sequentially("Well")
    await expect(agent.get_by_test_id("customer-typing")).to_be_visible()
    await customer.get_by_test_id("chat-input").press("Enter")
    theirs = agent.locator("[data-testid=message][data-speaker=customer]").locator(".text")
    await expect(theirs).to_have_text("Well")
    await agent.get_by_test_id("resolve").click()
    await agent.get_by_test_id("resolve-confirm").click()
    await expect(agent.get_by_test_id("mine-item")).to_have_count(0)
    await expect(who).to_have_text("Bot")
    await say(customer, "hello")
    await expect(customer.get_by_test_id("bot-message").locator(".text").last).to_have_text("Hello.")
    assert not desk.troubles
    await context.close()


async def test_a_customer_sees_who_says_what_and_still_after_a_reload(
    customer: Page, chromium: Browser, server: Server
) -> None:
    await say(customer, "hello")
    desk = await talking(customer, chromium, server)
    await answer(desk, "Hello from me.\n\nAnd once more.")
    for _ in ("as it comes", "after a reload"):
        agents = customer.locator("[data-testid=bot-message][data-speaker=agent]")
        await expect(agents.locator(".text")).to_have_text(["Hello from me.", "And once more."])
        await expect(agents.first.get_by_test_id("speaker-name")).to_have_text("Thandi Nkosi")
        await expect(customer.locator("[data-speaker=notice]").last).to_contain_text("Thandi Nkosi is here")
        await expect(customer.locator("[data-speaker=notice]").get_by_test_id("speaker-name")).to_have_count(0)
        await expect(customer.locator("[data-testid=bot-message][data-speaker=bot] .text")).to_have_text(["Hello."])
        await customer.reload()
        await connected(customer)
    assert not desk.troubles
    await desk.page.context.close()


async def test_what_was_accepted_but_not_acknowledged_is_sent_again_and_heard_once(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    desk = await talking(customer, chromium, server)
    theirs = desk.page.locator("[data-testid=message][data-speaker=customer]").locator(".text")
    wire.swallow_down = True
    await say(customer, "Are you there?")
    await expect(theirs).to_have_text(["Are you there?"])
    await expect(customer.get_by_test_id("user-message").last.locator(".when")).to_have_text("Sending…")
    await answer(desk, "Yes.")
    await expect(desk.page.get_by_test_id("status")).to_have_text("Sent")
    wire.cut()
    await expect(customer.get_by_test_id("user-message").last.locator(".when")).to_have_text("Waits for the connection")
    wire.mend()
    await expect(shown(customer, "Yes.")).to_have_count(1)
    await expect(desk.page.get_by_test_id("status")).to_have_text("Read")
    await say(customer, "Good.")
    await expect(theirs).to_have_text(["Are you there?", "Good."])
    await desk.page.context.close()


async def test_what_was_written_offline_outlives_a_reload_and_arrives_in_order(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    desk = await talking(customer, chromium, server)
    wire.cut()
    await expect(customer.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
    for text in ("One.", "Two.", "Three."):
        await say(customer, text)
    await customer.reload()
    await expect(shown(customer, "Three.", "user")).to_have_count(1)
    wire.mend()
    theirs = desk.page.locator("[data-testid=message][data-speaker=customer]").locator(".text")
    await expect(theirs).to_have_text(["One.", "Two.", "Three."])
    await expect(customer.get_by_text("Waits for the connection")).to_have_count(0)
    await desk.page.context.close()


async def test_words_shown_before_a_reload_are_not_shown_again(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    desk = await talking(customer, chromium, server)
    wire.swallow_up = True
    await answer(desk, "Only once.")
    await expect(shown(customer, "Only once.")).to_have_count(1)
    await expect(desk.page.get_by_test_id("status")).not_to_have_text("Delivered")
    wire.cut()
    wire.mend()
    await customer.reload()
    await expect(desk.page.get_by_test_id("status")).to_have_text("Read")
    await connected(customer)
    await expect(shown(customer, "Only once.")).to_have_count(1)
    await desk.page.context.close()


async def test_two_tabs_show_the_same_and_say_it_once(customer: Page, rasa: RasaServer) -> None:
    other = await customer.context.new_page()
    await other.goto(customer.url)
    await connected(other)
    await say(customer, "hello")
    await expect(shown(other, "Hello.")).to_have_count(1)
    await expect(shown(other, "hello", "user")).to_have_count(1)
    await say(other, "I want to move")
    await expect(shown(customer, "Which street?")).to_have_count(1)
    await expect(shown(customer, "Hello.")).to_have_count(1)
    session = await other.evaluate("JSON.parse(localStorage['karoo.conversation']).session")
    said = [event["text"] for event in await rasa.events(session) if event["event"] == "user"]
    assert said == ["hello", "I want to move"]


async def test_what_is_too_long_stays_in_its_place_with_a_sentence(customer: Page, rasa: RasaServer) -> None:
    await say(customer, "\N{GRINNING FACE}" * 20_001)
    await expect(customer.get_by_test_id("too-long")).to_contain_text("this one has 20,001")
    await expect(customer.get_by_test_id("user-message")).to_have_count(0)
    await say(customer, "hello")
    await expect(customer.get_by_test_id("too-long")).to_be_hidden()
    await expect(shown(customer, "Hello.")).to_have_count(1)


async def restored(customer: Page, chromium: Browser, kept: dict[str, Any]) -> Page:
    """Open the page in another browser whose storage has this conversation."""
    context = await chromium.new_context()
    other = await context.new_page()
    await other.route("**/chat.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    await other.goto(customer.url)
    await other.evaluate("kept => localStorage.setItem('karoo.conversation', JSON.stringify(kept))", kept)
    await other.unroute("**/chat.js")
    await other.reload()
    return other


async def kept_by(page: Page) -> dict[str, Any]:
    """Return the conversation that a page keeps in its browser's storage."""
    return dict(await page.evaluate("JSON.parse(localStorage['karoo.conversation'])"))


@pytest.mark.parametrize("rasa", ["required", "optional"], indirect=True)
async def test_a_page_keeps_its_token_and_who_knows_the_id_alone_is_refused_aloud(
    customer: Page, chromium: Browser
) -> None:
    await say(customer, "hello")
    await expect(shown(customer, "Hello.")).to_have_count(1)
    kept = await kept_by(customer)
    assert kept["token"].startswith("1p.0.")
    await customer.reload()
    await connected(customer)
    await say(customer, "hello")
    await expect(shown(customer, "Hello.")).to_have_count(2)
    second_tab = await customer.context.new_page()
    await second_tab.goto(customer.url)
    await connected(second_tab)

    thief = await restored(customer, chromium, {"session": kept["session"], "lines": []})
    await expect(thief.get_by_test_id("refused")).to_contain_text("begun in another browser")
    await expect(thief.get_by_test_id("connection")).to_have_attribute("data-state", "refused")
    await expect(thief.get_by_test_id("chat-input")).to_be_hidden()
    await say(customer, "hello")
    await expect(shown(customer, "Hello.")).to_have_count(3)
    await expect(thief.get_by_test_id("bot-message")).to_have_count(0)
    await thief.get_by_test_id("new-conversation").click()
    await connected(thief)
    await expect(thief.get_by_test_id("refused")).to_be_hidden()
    await say(thief, "hello")
    await expect(shown(thief, "Hello.")).to_have_count(1)
    assert (await kept_by(thief))["session"] != kept["session"]
    await thief.context.close()

    owner = await restored(customer, chromium, {**kept, "lines": []})
    await connected(owner)
    await say(owner, "hello")
    await expect(shown(owner, "Hello.")).to_have_count(1)
    await owner.context.close()

    await customer.get_by_test_id("new-conversation").click()  # both tabs ask for its token, one is given it
    await connected(customer)
    await connected(second_tab)
    await say(second_tab, "hello")
    await expect(shown(customer, "Hello.")).to_have_count(1)


async def resolved(agent: Page) -> None:
    await agent.get_by_test_id("resolve").click()
    await agent.get_by_test_id("resolve-confirm").click()
    await expect(agent.get_by_test_id("mine-item")).to_have_count(0)


async def test_a_customer_is_asked_after_the_chat_and_the_agent_reads_the_answer(
    customer: Page, chromium: Browser, server: Server, wire: Wire
) -> None:
    agent = (await talking(customer, chromium, server)).page
    question, state = customer.get_by_test_id("rate"), customer.get_by_test_id("rate-state")
    await expect(question).to_be_hidden()
    await resolved(agent)
    await expect(question.get_by_role("group", name="How was the chat?")).to_be_visible()
    await customer.reload()
    await expect(question).to_be_visible()
    await connected(customer)
    wire.cut()
    await expect(customer.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
    await question.get_by_role("radio", name="4 of 5").check()
    await question.get_by_test_id("rate-comment").fill("Quick & <b>kind</b>")
    mine = await customer.get_by_test_id("user-message").count()
    await question.get_by_test_id("rate-send").click()
    await expect(question).to_be_hidden()
    await expect(state).to_have_text("Waits for the connection")
    await customer.reload()
    wire.mend()
    await expect(agent.get_by_test_id("toast").last).to_contain_text("The customer gave 4 of 5: Quick & <b>kind</b>")
    await connected(customer)
    await expect(state).to_have_text("Thank you for telling us.")
    await expect(customer.get_by_test_id("user-message")).to_have_count(mine)
    await customer.reload()
    await connected(customer)
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await expect(question).to_be_hidden()
    await agent.context.close()


async def test_the_question_can_be_waved_away_and_goes_when_another_handoff_begins(
    customer: Page, chromium: Browser, server: Server
) -> None:
    await customer.goto(f"{customer.url}&lang=af")
    await connected(customer)
    agent = (await talking(customer, chromium, server)).page
    question = customer.get_by_test_id("rate")
    await resolved(agent)
    await expect(question.get_by_role("group", name="Hoe was die gesprek?")).to_be_visible()
    await say(customer, '/execute_handoff{"department": "billing"}')
    await expect(question).to_be_hidden()
    await agent.get_by_test_id("take").click()
    await expect(customer.get_by_test_id("who")).to_have_text("Thandi Nkosi")
    await customer.get_by_test_id("end").click()
    await customer.get_by_test_id("leave-yes").click()
    await expect(question).to_be_visible()
    await question.get_by_test_id("rate-dismiss").click()
    await expect(question).to_be_hidden()
    await customer.reload()
    await connected(customer)
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await expect(question).to_be_hidden()
    await agent.context.close()


async def test_the_customer_sees_what_the_agent_has_read_once_they_look_at_it(
    customer: Page, chromium: Browser, server: Server
) -> None:
    agent = (await talking(customer, chromium, server)).page
    states = customer.get_by_test_id("user-message").locator(".when")
    await say(customer, "first")
    await expect(states.last).to_contain_text("Read")
    await agent.get_by_test_id("mine-item").first.wait_for()
    await agent.keyboard.press("Escape")
    await agent.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    await say(customer, "second")
    await say(customer, "third")
    await expect(agent.locator("[data-testid=message][data-speaker=customer]")).to_have_count(3)
    await expect(states.last).to_contain_text("Delivered")
    await agent.evaluate("delete document.hidden, document.dispatchEvent(new Event('visibilitychange'))")
    for state in await states.all():
        await expect(state).to_contain_text("Read")
    await customer.goto(f"{customer.url}&lang=af")
    await expect(states.last).to_contain_text("Gelees")
    await agent.context.close()


async def test_who_reads_back_stays_there_and_is_told_of_new_messages(
    customer: Page, chromium: Browser, server: Server
) -> None:
    desk = await talking(customer, chromium, server)
    await answer(desk, "\n".join(f"line {number}" for number in range(60)))
    await expect(shown(customer, "line 59")).to_have_count(1)
    scroller, news = customer.locator(".scroller"), customer.get_by_test_id("new-messages")
    await read_back(scroller)
    await answer(desk, "And on.")
    await expect(news).to_be_visible()
    assert await scroller.evaluate("scroller => scroller.scrollTop") == 0
    await news.click()
    await expect(news).to_be_hidden()
    await expect(shown(customer, "And on.")).to_be_in_viewport()
    await read_back(scroller)
    await say(customer, "Mine")
    await expect(shown(customer, "Mine", "user")).to_be_in_viewport()
    await expect(news).to_be_hidden()
    await desk.page.context.close()
