"""A socket of the hosted socketio is in one session, and speaks, types and reads only there: without any customer tokens."""

import uuid
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.talking import resolve

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_stranger_socket_says_types_and_reads_nothing(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with (
        ScriptedCustomer(rasa.url, session, acks=True) as page,
        ScriptedCustomer(rasa.url, uuid.uuid4().hex) as thief,
    ):
        await page.say_with_id("I give up completely", id="asked")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await thandi.say(handoff_id, "Hello, Thabo.", id="greeting")
        await page.hears("Hello, Thabo.")
        await thandi.hears("message.status", message_id="greeting", status="delivered")
        about = {"session_id": session}
        await thief.sio.emit("typing", {**about, "on": True})
        await thief.sio.emit("message_read", {**about, "id": "greeting"})
        await thief.sio.emit("user_uttered", {**about, "message": "I am the thief"})
        refused = await thief.sio.call("user_uttered", {**about, "message": "me again", "id": "next"}, timeout=10)
        assert (refused["ok"], refused["code"]) == (False, "not_joined")
        # Known in advance, the id of the customer's next message is still theirs.
        assert await page.say_with_id("Are you there?", id="next") == {"ok": True}
        await thandi.hears("message", handoff_id=handoff_id, text="Are you there?")
        received = str([data for name, data in thandi.received if data.get("handoff_id") == handoff_id])
        assert "thief" not in received
        assert "me again" not in received
        assert "'read'" not in received
        assert not [data for name, data in thandi.received if name == "typing" and data["handoff_id"] == handoff_id]
        assert [reported["code"] for reported in thief.all("session_refused")] == ["not_joined"]
        await resolve(thandi, handoff_id)


async def test_a_socket_that_asks_for_another_session_leaves_the_first(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("I give up completely")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await page.hears("Thandi is here")
        await page.join(uuid.uuid4().hex)
        await thandi.say(handoff_id, "Only for the first.", id="first")
        await thandi.hears("message.status", message_id="first", status="waiting")
        await page.say("hello")
        await page.hears("Hello.")
        assert "Only for the first." not in page.texts
        await page.join(session)
        await page.hears("Only for the first.")
        await resolve(thandi, handoff_id)


async def test_what_is_said_right_after_the_request_is_heard(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, uuid.uuid4().hex) as page:
        page.session = session
        await page.sio.emit("session_request", {"session_id": session})
        await page.say("hello")
        await page.hears("Hello.")


@pytest.mark.parametrize("wrong", [["a"], {"a": 1}, True, ""])
async def test_what_is_no_id_is_refused(rasa: RasaServer, wrong: Any) -> None:
    async with ScriptedCustomer(rasa.url, wrong) as page:
        assert [reported["code"] for reported in page.all("session_refused")] == ["invalid"]


async def test_the_room_of_another_socket_is_no_session(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page, ScriptedCustomer(rasa.url, page.sio.get_sid()) as thief:
        assert thief.all("session_confirm") == []
        await page.join(uuid.uuid4().hex)
        assert len(thief.received) == 1


async def test_a_session_that_is_a_number_hears(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url, 70_123_456) as page:  # type: ignore[arg-type]
        await page.say("hello")
        await page.hears("Hello.")


async def test_nonsense_harms_nobody(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        for nonsense in (None, 7, "x", [], {}, {"session_id": {}}, {"session_id": [session]}):
            for event in ("session_request", "user_uttered", "typing", "message_read"):
                await page.sio.emit(event, nonsense)
        await page.join(session)
        await page.say("hello")
        await page.hears("Hello.")
        await eventually(lambda: page.texts.count("Hello.") == 1)
