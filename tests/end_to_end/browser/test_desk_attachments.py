"""What an agent puts beside their words: files that are chosen, pasted or dropped, buttons and cards; in real Chromium."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.end_to_end.browser.conftest import Desks
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import say, take

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = {"name": "invoice.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 not much of one"}


async def hand_over(target: Locator, event: str, *files: dict[str, Any], text: str | None = None) -> None:
    """Paste or drop files (and a text) as a browser does: with an event that carries them."""
    await target.evaluate(
        """(target, [event, files, text]) => {
            const data = new DataTransfer();
            for (const {name, mimeType, buffer} of files)
                data.items.add(new File([Uint8Array.from(buffer)], name, {type: mimeType}));
            if (text !== null) data.setData("text/plain", text);
            const options = {bubbles: true, cancelable: true};
            target.dispatchEvent(
                event === "paste"
                    ? new ClipboardEvent(event, {...options, clipboardData: data})
                    : new DragEvent(event, {...options, dataTransfer: data}),
            );
        }""",
        [event, [{**file, "buffer": list(file["buffer"])} for file in files], text],
    )


async def picture(page: Page, name: str = "screen.png") -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": await page.locator("header.bar").screenshot()}


async def test_files_are_chosen_pasted_and_dropped_and_a_reload_keeps_them(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    attached = page.get_by_test_id("attached")
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await expect(attached).to_have_count(1)
    await hand_over(page.get_by_test_id("composer"), "paste", await picture(page))
    await expect(attached.locator("canvas")).to_have_count(1)
    area = page.get_by_test_id("conversation")
    await hand_over(area, "dragover", PDF)
    await expect(page.locator("[data-dropping]")).to_have_count(1)
    await hand_over(area, "drop", {**PDF, "name": "terms.pdf"})
    await expect(page.locator("[data-dropping]")).to_have_count(0)
    for _ in ("at once", "after a reload"):
        await expect(attached.locator(".file-name")).to_have_text(["invoice.pdf", "screen.png", "terms.pdf"])
        await expect(attached.locator("canvas")).to_have_count(1)
        await page.reload()
    await attached.first.get_by_test_id("attached-remove").click()
    await expect(attached.locator(".file-name")).to_have_text(["screen.png", "terms.pdf"])


async def test_what_is_attached_stays_with_its_conversation(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    for name in ("Naledi", "Sipho"):
        await relay.offer(name=name)
        await take(page)
        await expect(page.get_by_test_id("conversation")).to_contain_text(name)  # another one was open before
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await expect(page.get_by_test_id("attached")).to_have_count(1)
    await page.get_by_test_id("mine-item").filter(has_text="Naledi").click()
    await expect(page.get_by_test_id("attached")).to_have_count(0)
    await page.get_by_test_id("mine-item").filter(has_text="Sipho").click()
    await expect(page.get_by_test_id("attached")).to_have_count(1)


async def test_a_file_dropped_beside_the_conversation_does_not_replace_the_desk(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await page.get_by_test_id("queue-open").click()
    prevented = """(target) => {
        const data = new DataTransfer();
        data.items.add(new File(["<script>"], "page.html", {type: "text/html"}));
        return !target.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
    }"""
    assert await page.locator("header.bar").evaluate(prevented)
    assert await page.get_by_test_id("conversation").evaluate(prevented)  # it isn't this agent's yet
    await take(page)
    assert await page.get_by_test_id("context").evaluate(prevented)
    await expect(page.get_by_test_id("attached")).to_have_count(0)


async def test_text_with_a_picture_of_it_is_pasted_as_text(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    composer = page.get_by_test_id("composer")
    await hand_over(composer, "paste", await picture(page), text="a cell of a sheet")
    await hand_over(composer, "paste", await picture(page, "second.png"))
    await expect(page.get_by_test_id("attached").locator(".file-name")).to_have_text(["second.png"])


async def test_buttons_and_a_card_go_with_a_message(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoff = await relay.offer()
    await take(page)
    await page.get_by_test_id("choices").click()
    await page.get_by_test_id("choices-confirm").click()
    await expect(page.get_by_test_id("choices-titles-error")).to_contain_text("Write the title")
    await page.get_by_test_id("choices-titles").fill("By post\nBy courier\n by Post ")
    await page.get_by_test_id("choices-confirm").click()
    await expect(page.get_by_test_id("choices-titles-error")).to_contain_text("is there twice")
    await page.get_by_test_id("choices-titles").fill("By courier\n\n  By post ")
    await page.get_by_test_id("choices-confirm").click()
    await page.get_by_test_id("choices").click()
    await page.get_by_test_id("choices-kind").select_option("card")
    await page.get_by_test_id("choices-title").fill("The Grass Is Singing")
    await page.get_by_test_id("choices-subtitle").fill("R 180")
    await page.get_by_test_id("choices-confirm").click()
    await expect(page.get_by_test_id("attached")).to_have_count(2)
    await page.get_by_test_id("send").click()
    await expect(page.get_by_test_id("composer-problem")).to_contain_text("buttons go with a question")
    await say(page, "How shall we send it?")
    received = await relay.one("message", handoff_id=handoff)
    card = {"type": "card", "title": "The Grass Is Singing", "subtitle": "R 180"}
    buttons = {"type": "buttons", "buttons": [{"title": "By courier"}, {"title": "By post"}], "quick": True}
    assert received["parts"] == [{"type": "text", "text": "How shall we send it?"}, card, buttons]
    assert received["text"] == "How shall we send it? The Grass Is Singing: R 180 [By courier] [By post]"
    await expect(page.get_by_test_id("message").get_by_test_id("part-buttons")).to_contain_text("By post")
    await expect(page.get_by_test_id("attached")).to_have_count(0)


async def test_before_sending_the_desk_says_what_the_channel_makes_of_it(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    sms = {"images": "link", "files": "link", "buttons": "numbered", "longest_text": 1600, "costly": True}
    await relay.offer(channel={"name": "twilio", "push": True, "presentation": {"name": "twilio", **sms}})
    await take(page)
    hints = page.get_by_test_id("channel-hints")
    await expect(hints).to_be_hidden()
    await page.get_by_test_id("composer").fill("word " * 700)
    await expect(hints).to_have_text(
        "On SMS this text is too long for one message: it is cut into about 3, and each costs money."
    )
    await page.get_by_test_id("composer").fill("Your invoice:")
    await expect(hints).to_be_hidden()
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await expect(hints).to_have_text("On SMS the customer gets a link to invoice.pdf.")
    await page.get_by_test_id("attached-remove").click()
    await expect(hints).to_be_hidden()


@pytest.mark.parametrize("survives", [False, True], ids=["cut", "websocket-survives"])
async def test_an_upload_without_a_network_is_tried_again_by_itself_and_goes_before_later_words(
    desks: Desks, relay: Relay, survives: bool
) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    if survives:  # as a websocket does on some networks: only the uploads fail
        await page.route("**/desk/media?*", lambda route: route.abort())
    await page.context.set_offline(not survives)
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await say(page, "Your invoice")
    await say(page, "And on")
    waits = (
        "Not uploaded yet: it is tried again by itself" if survives else "Kept, and sent when the connection is back"
    )
    await expect(page.get_by_test_id("unsent").first).to_contain_text(waits)
    await page.unroute_all()
    await page.context.set_offline(False)
    await page.evaluate("dispatchEvent(new Event('online'))")
    await relay.one("message", text="And on")
    first, second = relay.all("message", handoff_id=handoff)
    assert ([part["type"] for part in first["parts"]], second["text"]) == (["text", "file"], "And on")
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    desk.troubles.clear()  # the console tells of each try


async def test_a_cancelled_upload_gives_the_words_and_the_buttons_back(desks: Desks, relay: Relay) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    await page.route("**/desk/media?*", lambda route: route.abort())
    await page.get_by_test_id("attach-input").set_input_files([PDF])  # type: ignore[list-item]
    await page.get_by_test_id("choices").click()
    await page.get_by_test_id("choices-titles").fill("Yes")
    await page.get_by_test_id("choices-confirm").click()
    await say(page, "Is it this one?")
    await page.get_by_test_id("composer").fill("And more")
    await page.get_by_test_id("cancel-upload").click()
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    await expect(page.get_by_test_id("composer")).to_have_value("Is it this one?\nAnd more")
    await expect(page.get_by_test_id("attached")).to_have_count(1)
    await page.get_by_test_id("send").click()
    received = await relay.one("message", handoff_id=handoff)
    assert [part["type"] for part in received["parts"]] == ["text", "buttons"]
    desk.troubles.clear()  # the console tells of each try
