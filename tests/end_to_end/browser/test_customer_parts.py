"""What a customer's page shows beside words, and what it says itself, in real Chromium."""

import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rasa_handoff.server.run import running
from rasa_handoff.testing.rasa_server import RasaServer
from tests.end_to_end.browser.conftest import Server, connected
from tests.end_to_end.browser.two_browsers import ARRIVED, answer, say, shown, talking

pytestmark = pytest.mark.asyncio(loop_scope="session")

PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30" fill="teal"/></svg>'
)


def recording() -> bytes:
    """Return half a second of silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(8_000))
    return written.getvalue()


@pytest_asyncio.fixture(loop_scope="session")
async def files() -> AsyncIterator[str]:
    """The address of a server with a picture, a recording and a file."""
    kept = {
        "dent.svg": ("image/svg+xml", PICTURE),
        "note.wav": ("audio/wav", recording()),
        "invoice.pdf": ("application/pdf", b"%PDF-1.4"),
    }

    async def give(request: Request) -> Response:
        kind, content = kept[request.path_params["name"]]
        return Response(content, media_type=kind)

    async with running(Starlette(routes=[Route("/{name}", give)])) as address:
        yield address


async def tell(rasa: RasaServer, page: Page, message: dict[str, Any]) -> None:
    """Send the page a message as Rasa's socketio has it, after whatever it has been sent."""
    session = await page.evaluate("JSON.parse(localStorage['karoo.conversation']).session")
    await rasa.channel.channels["socketio"].sio.emit("bot_uttered", message, room=session)


async def test_pictures_files_and_recordings_are_shown_and_still_after_a_reload(
    customer: Page, rasa: RasaServer, files: str
) -> None:
    note, invoice = f"{files}/note.wav", f"{files}/invoice.pdf"
    messages: list[dict[str, Any]] = [
        {"attachment": {"type": "image", "payload": {"src": f"{files}/dent.svg", "name": "dent.svg"}}},
        {"text": note, "attachment": {"type": "audio", "payload": {"src": note, "name": "note.wav"}}},
        {
            "text": f"invoice.pdf: {invoice}",
            "attachment": {"type": "file", "payload": {"src": invoice, "name": "invoice.pdf", "size": 123_456}},
        },
        {"attachment": {"type": "image", "payload": {"src": "http://127.0.0.1:1/picture.png"}}},
        {"attachment": {"type": "file", "payload": {"src": "javascript:alert(1)", "name": "a trap"}}},
    ]
    for message in messages:
        await tell(rasa, customer, message)
    for _ in ("as it comes", "after a reload"):
        picture = customer.get_by_test_id("picture").first
        await expect(picture).to_have_attribute("alt", "dent.svg")
        await expect(picture).to_have_js_property("naturalWidth", 40)
        player = customer.get_by_test_id("audio")
        await expect(player).to_have_js_property("duration", 0.5)
        await player.evaluate("one => one.play()")
        await expect(player).to_have_js_property("ended", True)
        file = customer.get_by_test_id("file")
        await expect(file).to_have_text("invoice.pdf123.5 kB")
        await expect(file).to_have_attribute("href", invoice)
        await expect(file).to_have_attribute("rel", "noopener noreferrer")
        await expect(customer.locator(".gone")).to_have_text("It isn't available any more.")
        await expect(customer.get_by_test_id("bot-message").locator(".text")).to_have_text(["a trap"])
        await customer.reload()
        await connected(customer)


async def test_a_relative_address_is_rasas(customer: Page, rasa: RasaServer) -> None:
    message = {"attachment": {"type": "file", "payload": {"src": "/webhooks/x/handoff/media/1?expires=2", "name": "a"}}}
    await tell(rasa, customer, message)
    address = str(await customer.get_by_test_id("file").get_attribute("href"))
    assert address.endswith("/webhooks/x/handoff/media/1?expires=2")
    assert address.startswith(customer.url.partition("rasa=")[2])


async def test_cards_buttons_links_and_places_are_shown_and_pressed(
    customer: Page, rasa: RasaServer, files: str
) -> None:
    buttons = [
        {"type": "postback", "title": "Order it", "payload": "/greet"},
        {"type": "web_url", "title": "Read on", "url": "https://karoo.example/book"},
        {"type": "web_url", "title": "A trap", "url": "javascript:alert(1)"},
    ]
    element = {"title": "Cry, the Beloved Country", "subtitle": "R 120", "image_url": f"{files}/dent.svg"}
    template = {"template_type": "generic", "elements": [{**element, "buttons": buttons}]}
    await tell(rasa, customer, {"attachment": {"type": "template", "payload": template}})
    await tell(rasa, customer, {"attachment": {"type": "template", "payload": {"elements": {"title": "Rasa's own"}}}})
    await tell(rasa, customer, {"text": "[Location: Karoo Books, 12 Long Street, -33.92, 18.42]"})
    cards = customer.get_by_test_id("card")
    await expect(cards.locator("strong")).to_have_text(["Cry, the Beloved Country", "Rasa's own"])
    await expect(cards.first.locator("span")).to_have_text("R 120")
    await expect(cards.first.get_by_test_id("picture")).to_have_js_property("naturalWidth", 40)
    page_link = cards.first.get_by_test_id("reply-link")
    await expect(page_link).to_have_text(["Read on"])
    await expect(page_link).to_have_attribute("href", "https://karoo.example/book")
    place = customer.get_by_test_id("place")
    await expect(place).to_have_text("Show on a map")
    await expect(place).to_have_attribute(
        "href", "https://www.openstreetmap.org/?mlat=-33.92&mlon=18.42#map=16/-33.92/18.42"
    )
    await cards.first.get_by_test_id("quick-reply").filter(has_text="Order it").click()
    await expect(shown(customer, "Order it", "user")).to_have_count(1)
    await expect(shown(customer, "Hello.")).to_have_count(1)
    await expect(cards.get_by_test_id("quick-reply")).to_have_count(0)
    await expect(page_link).to_have_count(1)


async def test_who_waits_sees_their_place_and_leaves_and_the_bot_goes_on(
    customer: Page, chromium: Browser, server: Server
) -> None:
    desk = await talking(customer, chromium, server)
    state, end = customer.get_by_test_id("handoff-state"), customer.get_by_test_id("end")
    await expect(state).to_have_text("You are talking with Thandi Nkosi.")
    mine = customer.get_by_test_id("user-message").last.locator(".when")
    await say(customer, "thank you")
    await expect(mine).to_contain_text(ARRIVED)
    await end.click()
    await expect(customer.get_by_test_id("leave")).to_contain_text("End the chat with Thandi Nkosi?")
    await customer.get_by_test_id("leave-no").click()
    await answer(desk, "Still there?")
    await expect(shown(customer, "Still there?")).to_have_count(1)
    await end.click()
    await customer.get_by_test_id("leave-yes").click()
    await expect(desk.page.locator("main")).to_contain_text("Ended")
    await expect(customer.get_by_test_id("handoff")).to_be_hidden()
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await expect(shown(customer, "thank you", "user")).to_have_count(1)
    await say(customer, "hello")
    await expect(shown(customer, "Hello.")).to_have_count(1)

    await say(customer, '/execute_handoff{"department": "billing"}')
    await expect(state).to_contain_text("You are number 1 in the queue.")
    await expect(end).to_have_text("Leave the queue")
    await customer.reload()
    await expect(state).to_contain_text("You are number 1 in the queue.")
    await end.click()
    await customer.get_by_test_id("leave-yes").click()
    await expect(customer.get_by_test_id("handoff")).to_be_hidden()
    await expect(customer.get_by_test_id("who")).to_have_text("Bot")
    await desk.page.context.close()


async def test_a_customer_sends_where_they_are(customer: Page, chromium: Browser, server: Server) -> None:
    desk = await talking(customer, chromium, server)
    await customer.get_by_test_id("send-place").click()
    await expect(customer.get_by_test_id("no-place")).to_be_visible()
    await customer.context.grant_permissions(["geolocation"])
    await customer.context.set_geolocation({"latitude": -33.92, "longitude": 18.42})
    await customer.get_by_test_id("send-place").click()
    await expect(customer.get_by_test_id("no-place")).to_be_hidden()
    mine = customer.get_by_test_id("user-message").last
    await expect(mine.locator(".when")).to_contain_text(ARRIVED)
    for _ in ("as it is sent", "after a reload"):
        await expect(mine.locator(".text")).to_have_text("I am here")
        await expect(mine.get_by_test_id("place")).to_have_text("Show on a map")
        await customer.reload()
        await connected(customer)
    shown_at_desk = desk.page.get_by_role("link", name="Show on a map")
    await expect(shown_at_desk).to_have_attribute(
        "href", "https://www.openstreetmap.org/?mlat=-33.92&mlon=18.42#map=16/-33.92/18.42"
    )
    await desk.page.context.close()


async def test_the_page_speaks_its_customers_language(customer: Page, chromium: Browser) -> None:
    context = await chromium.new_context(locale="af-ZA")
    page = await context.new_page()
    await page.goto(customer.url)
    await expect(page.get_by_test_id("connection")).to_have_text("Jy is aanlyn")
    await expect(page.get_by_test_id("chat-send")).to_have_text("Stuur")
    await expect(page.get_by_test_id("chat-input")).to_have_attribute("placeholder", "Skryf 'n boodskap")
    await expect(page.locator("html")).to_have_attribute("lang", "af")
    await page.goto(f"{customer.url}&lang=en")
    await expect(page.get_by_test_id("connection")).to_have_text("You are online")
    await context.close()
