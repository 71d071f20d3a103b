"""What a front end of the project's own sends beside a customer's words: places and contacts, on socketio and by HTTP."""

import uuid
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from tests.rasa.channels.talking import live, resolve

pytestmark = pytest.mark.asyncio(loop_scope="package")

PLACE = {"type": "location", "latitude": -33.92, "longitude": 18.42, "name": "Karoo Books"}
CONTACT = {"type": "contact", "name": "Sipho", "phone": "+27 21 555 0100"}
IN_WORDS = "[Location: Karoo Books, -33.92, 18.42]"


async def send(page: ScriptedCustomer, parts: Any, text: str = "") -> dict[str, Any]:
    """Send a message with parts from a page, and return its acknowledgement."""
    body = {"session_id": page.session, "message": text, "id": uuid.uuid4().hex, "parts": parts}
    return dict(await page.call("user_uttered", body))


async def test_an_agent_sees_the_places_and_contacts_that_a_page_sends(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff_id = await live(page, thandi)
        assert await send(page, [PLACE]) == {"ok": True}
        shown = await thandi.hears("message", handoff_id=handoff_id, text=IN_WORDS)
        assert shown["parts"] == [PLACE]
        assert await send(page, [CONTACT, PLACE], "Ask him:") == {"ok": True}
        words = f"Ask him: [Contact: Sipho, +27 21 555 0100] {IN_WORDS}"
        shown = await thandi.hears("message", handoff_id=handoff_id, text=words)
        assert shown["parts"] == [{"type": "text", "text": "Ask him:"}, CONTACT, PLACE]
        await resolve(thandi, handoff_id)


async def test_the_transcript_has_what_the_bot_is_not_given(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        assert await send(page, [PLACE]) == {"ok": True}
        assert page.texts == []
        assert await send(page, [CONTACT], "hello") == {"ok": True}
        await page.hears("Hello.")
        assert await page.say_with_id("I give up completely") == {"ok": True}
        conversation = await thandi.take_next()
        said = [line for line in conversation["transcript"] if line["speaker"] == "customer"]
        assert [line["text"] for line in said][:2] == [IN_WORDS, "hello [Contact: Sipho, +27 21 555 0100]"]
        assert said[0]["parts"] == [PLACE]
        await resolve(thandi, conversation["handoff_id"])
    said = [event["text"] for event in await rasa.events(session) if event["event"] == "user"]
    assert said[:2] == ["hello", "I give up completely"]


async def test_plain_words_take_along_what_the_bot_was_not_given(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    body = {"sender": session, "parts": [PLACE]}
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
        assert await answer.json() == []
    await rasa.say("I give up completely", session)
    conversation = await thandi.take_next()
    said = [line["text"] for line in conversation["transcript"] if line["speaker"] == "customer"]
    assert said == [IN_WORDS, "I give up completely"]
    await resolve(thandi, conversation["handoff_id"])


async def test_a_client_of_rest_sends_them_without_words(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    await rasa.say("I give up completely", session)
    handoff_id = str((await thandi.take_next())["handoff_id"])
    async with rasa.http.post(
        f"{rasa.url}/webhooks/rest/webhook", json={"sender": session, "parts": [PLACE]}
    ) as answer:
        assert answer.status == 200
    assert (await thandi.hears("message", handoff_id=handoff_id, text=IN_WORDS))["parts"] == [PLACE]
    await resolve(thandi, handoff_id)


@pytest.mark.parametrize(
    "parts",
    [
        "a text",
        [{"type": "location", "latitude": 91, "longitude": 0}],
        [{"type": "buttons", "buttons": [{"title": "Pay", "url": "https://elsewhere.example"}]}],
        [{"type": "image", "media": {"url": "https://elsewhere.example/a.png"}}],
        [PLACE] * 21,
    ],
)
async def test_what_a_front_end_may_not_send_is_refused_aloud(rasa: RasaServer, session: str, parts: Any) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        refused = await send(page, parts, "hello")
        assert (refused["ok"], refused["code"]) == (False, "invalid")
        assert "parts can't be read" in refused["error"]
        body = {"sender": session, "message": "hello", "parts": parts}
        async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "invalid")
        assert page.texts == []
        assert await page.say_with_id("hello") == {"ok": True}
        await page.hears("Hello.")
