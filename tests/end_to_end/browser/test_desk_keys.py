"""The desk's shortcuts on keyboards from elsewhere, dialogs by keyboard, and an event that redraws its own row only."""

import pytest
from playwright.async_api import CDPSession, Page, expect

from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import Desks
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import take

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALT = 1
"""Chrome DevTools' number of the modifier."""


async def press(keyboard: CDPSession, key: str, code: str, repeats: bool = False) -> None:
    """Press a key with Alt as another keyboard sends it: what it types, and where it is on QWERTY."""
    body = {"key": key, "code": code, "modifiers": ALT, "autoRepeat": repeats}
    await keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **body})
    if not repeats:
        await keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **body})


async def keyboard_of(page: Page) -> CDPSession:
    return await page.context.new_cdp_session(page)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("q", "KeyQ"),
        ("Q", "KeyQ"),
        ("q", "KeyA"),
        ("q", "KeyX"),
        ("й", "KeyQ"),
        ("/", "KeyQ"),
        ("œ", "KeyQ"),
        ("Dead", "KeyQ"),
    ],
    ids=["qwerty", "capitals", "azerty", "dvorak", "cyrillic", "hebrew", "mac", "dead key"],
)
async def test_a_shortcut_is_the_letter_typed_else_the_keys_place(
    desks: Desks, relay: Relay, key: str, code: str
) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await expect(page.get_by_test_id("queue-open")).not_to_be_focused()
    await press(await keyboard_of(page), key, code)
    await expect(page.get_by_test_id("queue-open")).to_be_focused()


async def test_a_letter_in_the_place_of_another_is_not_mistaken_for_it(desks: Desks, relay: Relay) -> None:
    """AZERTY's A is where QWERTY has its Q, and has no shortcut; T is everywhere where it is."""
    page = (await desks.open("thandi")).page
    await relay.offer()
    await expect(page.get_by_test_id("queue-open")).to_be_visible()
    keyboard = await keyboard_of(page)
    await press(keyboard, "a", "KeyQ")
    await expect(page.get_by_test_id("queue-open")).not_to_be_focused()
    await press(keyboard, "t", "KeyT")
    await expect(page.get_by_test_id("composer")).to_be_focused()


async def test_a_key_held_down_takes_one_conversation(desks: Desks, relay: Relay) -> None:
    desk, frames = await desks.blank("thandi"), list[str]()
    page = desk.page
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(str(frame))))
    await desk.sign_in()
    for name in ("Naledi", "Sipho", "Anele"):
        await relay.offer(name)
    await expect(page.get_by_test_id("queue-item")).to_have_count(3)
    keyboard = await keyboard_of(page)
    await press(keyboard, "t", "KeyT")
    await expect(page.get_by_test_id("mine-item")).to_have_count(1)
    for _ in range(5):
        await press(keyboard, "t", "KeyT", repeats=True)
    await press(keyboard, "o", "KeyO")
    await eventually(lambda: any('"presence"' in frame for frame in frames))
    assert sum('"take"' in frame for frame in frames) == 1


async def test_alt_n_goes_round_my_conversations_the_unread_first(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoffs = []
    for name in ("Naledi", "Sipho", "Anele"):
        handoffs.append(await relay.offer(name))
        await take(page)
    await relay.say(handoffs[1], "Are you there?")
    await expect(page.get_by_test_id("unread").nth(1)).to_be_visible()
    for expected in (handoffs[1], handoffs[2], handoffs[0]):
        await page.keyboard.press("Alt+n")
        await expect(page.get_by_test_id("conversation")).to_have_attribute("data-handoff", expected)


async def test_every_key_is_in_the_list_and_a_question_mark_can_be_typed(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    await page.get_by_test_id("help").click()
    listed = page.get_by_test_id("help-dialog")
    await expect(listed.locator("dt")).to_have_text(
        [*(f"Alt {letter}" for letter in "QTCNMLIXRO"), "Enter", "?"], use_inner_text=True
    )
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("help")).to_be_focused()
    await relay.offer()
    await take(page)
    await page.get_by_test_id("composer").press_sequentially("Which one?")
    await expect(page.get_by_test_id("composer")).to_have_value("Which one?")
    await expect(listed).to_be_hidden()


async def test_a_dialog_keeps_the_focus_shows_an_error_at_its_field_and_gives_the_focus_back(
    desks: Desks, relay: Relay
) -> None:
    page = (await desks.open("thandi")).page
    await relay.offer()
    await take(page)
    keys = page.keyboard
    await page.get_by_test_id("resolve").focus()
    await keys.press("Enter")
    copies = page.get_by_test_id("slot-copies")
    await copies.fill("many")
    await page.get_by_test_id("slot-street").press("Enter")
    await expect(page.get_by_test_id("slot-copies-error")).to_contain_text("copies is a number")
    await expect(copies).to_be_focused()
    await expect(copies).to_have_attribute("aria-invalid", "true")
    await expect(copies).to_have_accessible_description(
        "A number, such as 12.5. copies is a number: write one such as 12.5, or leave it empty."
    )
    await copies.fill("2")
    await keys.press("Alt+x")  # a shortcut means nothing while a dialog is open
    await expect(page.get_by_test_id("transfer-dialog")).to_be_hidden()
    await keys.press("Escape")
    await expect(page.get_by_test_id("resolve-dialog")).to_be_hidden()
    await expect(page.get_by_test_id("resolve")).to_be_focused()


WATCH = """() => {
    window.redrawn = new Set();
    const row = (node) => (node instanceof Element ? node : node.parentElement)?.closest("[data-handoff]");
    new MutationObserver((records) => {
        for (const { target, addedNodes, removedNodes } of records)
            for (const node of [target, ...addedNodes, ...removedNodes])
                if (row(node) && !row(node).matches("conversation-view") && !node.parentElement?.closest("wait-clock")
                    && !(node instanceof Element && node.matches("wait-clock")))
                    window.redrawn.add(row(node).dataset.handoff);
    }).observe(document.querySelector(".lists"), {
        subtree: true, childList: true, characterData: true, attributes: true });
}"""


async def test_an_event_redraws_its_own_row_and_leaves_the_focus_where_it_is(desks: Desks, relay: Relay) -> None:
    page = (await desks.open("thandi")).page
    handoffs = [await relay.offer(f"Customer {number}") for number in range(5)]
    await expect(page.get_by_test_id("queue-item")).to_have_count(5)
    rows = {handoff: page.locator(f"[data-testid=queue-item][data-handoff='{handoff}']") for handoff in handoffs}
    await rows[handoffs[3]].get_by_test_id("queue-open").focus()
    await page.evaluate(WATCH)
    await relay.say(handoffs[1], "Still waiting")
    await expect(rows[handoffs[1]].get_by_test_id("queue-words")).to_have_text("Still waiting")
    assert await page.evaluate("[...window.redrawn]") == [handoffs[1]]
    urgent = await relay.offer("Urgent", priority="urgent")
    await expect(page.get_by_test_id("queue-item").first).to_have_attribute("data-handoff", urgent)
    assert set(await page.evaluate("[...window.redrawn]")) == {handoffs[1], urgent}
    await expect(rows[handoffs[3]].get_by_test_id("queue-open")).to_be_focused()
