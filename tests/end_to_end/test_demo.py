"""The main job as a user sees it: the demo's real processes, real browsers on both sides."""

import os
import re
import uuid
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.conftest import PASSWORD, Demo, Windows
from tests.support.paths import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

PICTURES = os.environ.get("HANDOFF_PICTURES")
"""A folder for the README's screenshots, if they are wanted."""


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")


async def says(page: Page, text: str, answer: str) -> None:
    before = await page.get_by_test_id("bot-message").count()
    await page.get_by_test_id("chat-input").fill(text)
    await page.get_by_test_id("chat-send").click()
    await expect(page.get_by_test_id("bot-message").nth(before)).to_contain_text(answer)


async def hears(page: Page, text: str) -> None:
    await expect(page.get_by_test_id("bot-message").filter(has_text=text).last).to_be_visible()


async def test_a_customer_two_agents_and_a_form_that_goes_on(demo: Demo, windows: Windows) -> None:
    thandi = await windows.agent(demo.email, demo.password)
    pieter = await windows.agent("pieter@karoo-books.example", PASSWORD)
    customer = await windows.customer()

    await says(customer, "hello", "Karoo Books")
    await says(customer, "I want to change my delivery address", "Which street")
    await says(customer, "12 Long Street", "town or city")
    await says(customer, "I want to talk to a person", "Who would you like to talk to?")
    await customer.get_by_test_id("quick-reply").filter(has_text="Orders and delivery").click()
    await hears(customer, "You are number 1 in the queue")

    for desk in (thandi, pieter):
        await expect(desk.get_by_test_id("queue-item")).to_have_count(1)
    await thandi.get_by_test_id("take").click()
    await expect(pieter.get_by_test_id("queue-item")).to_have_count(0)
    await hears(customer, "Thandi is here")
    await expect(thandi.get_by_test_id("transcript-line").filter(has_text="12 Long Street")).to_be_visible()

    await thandi.get_by_test_id("composer").fill("Hello, I'm Thandi. I see you are moving to Long Street.")
    await thandi.get_by_test_id("send").click()
    await hears(customer, "I see you are moving")
    await customer.get_by_test_id("chat-input").fill("Yes, in Cape Town. What was the postcode there?")
    await customer.get_by_test_id("chat-send").click()
    await expect(thandi.get_by_test_id("message").filter(has_text="What was the postcode")).to_be_visible()
    await expect(thandi.get_by_test_id("status").last).to_contain_text("Read")
    await picture(thandi, "desk")
    await picture(customer, "customer")

    await thandi.get_by_test_id("resolve").click()
    await thandi.get_by_test_id("slot-city").fill("Cape Town")
    await thandi.get_by_test_id("resolve-note").fill("Told them the postcode is 8001.")
    await picture(thandi, "resolve")
    await thandi.get_by_test_id("resolve-confirm").click()
    await hears(customer, "Thandi has ended the chat")
    await hears(customer, "back with me")
    await hears(customer, "postcode?")
    await says(customer, "8001", "Cape Town")
    await picture(customer, "back")


async def test_on_rest_the_handoff_and_the_form_go_on_too(demo: Demo, windows: Windows) -> None:
    thandi = await windows.agent(demo.email, demo.password)
    assert "Karoo Books" in (await demo.say("hello", "lerato"))[0]
    assert "Which street" in (await demo.say("I want to change my delivery address", "lerato"))[0]
    assert "town or city" in (await demo.say("12 Long Street", "lerato"))[0]
    assert "number 1" in (await demo.say('/execute_handoff{"department": "orders"}', "lerato"))[0]

    await thandi.get_by_test_id("take").click()
    lines = thandi.get_by_test_id("transcript-line").locator(".text")
    await expect(lines).to_have_count(6)
    assert [await lines.nth(number).inner_text() for number in (0, 2, 4)] == [
        "hello",
        "I want to change my delivery address",
        "12 Long Street",
    ]
    await thandi.get_by_test_id("composer").fill("This waits for you.")
    await thandi.get_by_test_id("send").click()
    await expect(thandi.get_by_test_id("status").last).to_contain_text("Waits")
    answers = await demo.say("anybody?", "lerato")
    assert answers == ["Thandi is here and can read what we wrote so far.", "This waits for you."]
    await expect(thandi.get_by_test_id("status").last).to_contain_text("Delivered")

    await thandi.get_by_test_id("resolve").click()
    await thandi.get_by_test_id("resolve-confirm").click()
    await expect(thandi.get_by_test_id("mine-item")).to_have_count(0)
    said: list[str] = []

    async def received() -> bool:
        said.extend(await demo.say("Cape Town", "lerato"))
        return any("postcode" in text for text in said)

    await eventually(received, seconds=20)
    assert said[0] == "Thandi has ended the chat."
    assert "back with me" in said[1]


async def test_the_projects_own_actions_still_answer(demo: Demo) -> None:
    (answer,) = await demo.say("where is my order 1001", "sipho")
    assert "is packed and leaves the shop tomorrow morning" in answer


async def test_what_the_page_suggests_is_understood_in_each_of_its_languages(demo: Demo) -> None:
    suggested = re.findall(r'suggest[A-Z]\w+: "(.+)"', (ROOT / "example_bot" / "web" / "texts.js").read_text())
    assert len(suggested) == 8
    answers = {text: " ".join(await demo.say(text, uuid.uuid4().hex)) for text in suggested}
    person = "nobody is there|Who would you like to talk to"  # whether an agent of another test is still there
    expected = ("We're open Monday to Friday", "order number", "I'll change the delivery address", person)
    for number, (text, answer) in enumerate(answers.items()):
        assert re.search(expected[number % 4], answer), f"{text}: {answer}"
