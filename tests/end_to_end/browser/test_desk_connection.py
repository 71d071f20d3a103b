"""A desk whose server goes away, and a desk without a mouse."""

import contextlib
import sqlite3

import pytest
from playwright.async_api import WebSocketRoute, expect

from rasa_handoff.testing.waiting import eventually
from tests.end_to_end.browser.conftest import Desks, Server
from tests.end_to_end.browser.scripted_relay import Relay
from tests.end_to_end.browser.test_desk import take

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_words_written_while_the_server_is_away_are_sent_once(desks: Desks, server: Server, relay: Relay) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    await server.stop()
    await expect(page.get_by_test_id("connection")).to_contain_text("Reconnecting… your words are kept.")
    for text in ("First", "Second"):
        await page.get_by_test_id("composer").fill(text)
        await page.get_by_test_id("composer").press("Enter")
    await expect(page.get_by_test_id("unsent")).to_have_count(2)
    await server.start()
    await expect(page.get_by_test_id("connection")).to_be_hidden()
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    await expect(page.get_by_test_id("message").locator(".text")).to_have_text(["First", "Second"])
    await relay.one("message", handoff_id=handoff, text="Second")
    assert [received["text"] for received in relay.all("message")] == ["First", "Second"]
    desk.troubles.clear()  # the console tells of each try to connect


async def test_a_desk_cut_while_it_loads_comes_by_itself(desks: Desks) -> None:
    desk = await desks.open("thandi")
    await desk.page.route("**/store.js", lambda route: route.abort(), times=2)
    await desk.page.reload()
    await desk.ready()
    assert len(desk.troubles) == 2
    assert all("ERR_FAILED" in trouble for trouble in desk.troubles)
    desk.troubles.clear()


async def test_a_session_that_ended_meanwhile_asks_to_sign_in_and_then_sends_what_was_kept(
    desks: Desks, server: Server, relay: Relay
) -> None:
    desk = await desks.open("thandi")
    page = desk.page
    handoff = await relay.offer()
    await take(page)
    await server.stop()
    await page.get_by_test_id("composer").fill("Kept")
    await page.get_by_test_id("composer").press("Enter")
    forget_sessions(server)
    await server.start()
    await expect(page.get_by_test_id("connection")).to_contain_text("Please sign in again.")
    desk.troubles.clear()  # the console tells of each try to connect
    await page.get_by_role("link", name="Sign in again").click()
    await desk.sign_in()
    await relay.one("message", handoff_id=handoff, text="Kept")


def forget_sessions(server: Server) -> None:
    with contextlib.closing(sqlite3.connect(server.database.removeprefix("sqlite:///"))) as database, database:
        database.execute("delete from sessions")


class Ear:
    """Between a page and the server: while ``deaf`` the page misses acknowledgements and messages."""

    deaf = False

    def route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(server.send)
        server.on_message(lambda frame: None if self.deaf and _answers(str(frame)) else socket.send(frame))


def _answers(frame: str) -> bool:
    return frame.startswith("43/desk,") or '["message"' in frame


async def test_words_whose_answer_got_lost_outlive_a_reload_and_arrive_once(desks: Desks, relay: Relay) -> None:
    desk, ear = await desks.blank("thandi"), Ear()
    page = desk.page
    await page.route_web_socket("**/socket.io/**", ear.route)
    await desk.sign_in()
    handoff = await relay.offer()
    await take(page)
    ear.deaf = True
    await page.get_by_test_id("composer").fill("Only once")
    await page.get_by_test_id("composer").press("Enter")
    await relay.one("message", handoff_id=handoff)
    await expect(page.get_by_test_id("unsent")).to_contain_text("Sending…")
    ear.deaf = False
    await page.reload()
    await expect(page.get_by_test_id("message").locator(".text")).to_have_text("Only once")
    await expect(page.get_by_test_id("unsent")).to_have_count(0)
    await page.get_by_test_id("composer").fill("And on")
    await page.get_by_test_id("composer").press("Enter")
    await relay.one("message", text="And on")
    assert [received["text"] for received in relay.all("message")] == ["Only once", "And on"]


class Lossy:
    """Between a page and the server: while it ``loses`` receipts, none arrives. ``lost``: how many haven't."""

    loses, lost = True, 0

    def route(self, socket: WebSocketRoute) -> None:
        self.socket, server = socket, socket.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            if self.loses and '["read"' in str(frame):
                self.lost += 1
            else:
                server.send(frame)

        socket.on_message(pass_on)
        server.on_message(socket.send)


async def test_what_was_read_is_told_and_again_after_an_interruption(desks: Desks, relay: Relay) -> None:
    desk, wire = await desks.blank("thandi"), Lossy()
    await desk.page.route_web_socket("**/socket.io/**", wire.route)
    await desk.sign_in()
    handoff = await relay.offer()
    await take(desk.page)
    await relay.say(handoff, "hello?")
    await eventually(lambda: wire.lost == 1)
    wire.loses = False
    await wire.socket.close()
    seen = await relay.one("read", handoff_id=handoff)
    message = desk.page.locator("[data-testid=message][data-speaker=customer]")
    await expect(message).to_have_attribute("data-id", seen["id"])


async def test_the_whole_flow_by_keyboard_only(desks: Desks, relay: Relay) -> None:
    desk = await desks.blank("thandi")
    page, keys = desk.page, desk.page.keyboard
    await page.goto(desk.address)
    await keys.type(desk.email)
    await keys.press("Tab")
    await keys.type("a long enough one")
    await keys.press("Enter")
    await desk.ready()
    handoff = await relay.offer()
    await expect(page.get_by_test_id("queue-item")).to_be_visible()
    await keys.press("Alt+q")
    await expect(page.get_by_test_id("queue-open")).to_be_focused()
    await keys.press("Alt+t")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    await keys.type("One")
    await keys.press("Shift+Enter")
    await keys.type("two?")
    await keys.press("Enter")
    assert (await relay.one("message", handoff_id=handoff))["text"] == "One\ntwo?"
    await keys.press("Alt+r")
    await expect(page.get_by_test_id("resolve-outcome")).to_be_focused()
    await keys.press("ArrowDown")
    await keys.press("Tab")
    await keys.type("By keyboard")
    await keys.press("Tab")
    await keys.type("12 Long Street")
    await keys.press("Enter")
    done = await relay.one("handoff.status", handoff_id=handoff, status="completed")
    assert (done["outcome"], done["note"]) == ("unresolved", "By keyboard")
    assert done["slots"] == {"street": "12 Long Street"}
    await expect(page.locator("#queue")).to_be_focused()


async def test_the_keys_are_listed(desks: Desks) -> None:
    page = (await desks.open("thandi")).page
    await page.keyboard.press("?")
    await expect(page.get_by_test_id("help-dialog")).to_contain_text("Take the first in the queue")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("help-dialog")).to_be_hidden()
