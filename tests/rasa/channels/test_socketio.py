"""The hosted socketio: to a chat widget it is Rasa's, but replies arrive, and words wait for a customer who is away."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rasa.core.channels.socketio import SocketIOOutput

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.talking import in_order, resolve

pytestmark = pytest.mark.asyncio(loop_scope="package")

SAID = {"hello": 1, "show me things": 2, "I want to move": 1, "Long Street": 1, "Cape Town": 1, "/greet": 1}
"""What a customer says, and how many events it is answered with."""


async def heard_in(server: RasaServer) -> list[tuple[str, Any]]:
    """Hold the dialogue ``SAID``, and return all that a widget hears. Its session always has the same id."""
    async with ScriptedCustomer(server.url, session="fixed") as page:
        for text, answers in SAID.items():
            wanted = len(page.texts) + answers
            await page.say(text)
            await eventually(lambda wanted=wanted: len(page.texts) >= wanted, what=text)
        return page.received


async def test_a_widget_hears_the_same_as_from_rasas_own(serve: Callable[..., RasaServer], tmp_path: Any) -> None:
    plain = serve({"rest": None}, tmp_path, bot_id="plain")
    plain.credentials = {"socketio": {"session_persistence": False}}
    hosted = serve({"socketio": {"session_persistence": False}}, bot_id="hosted")
    async with plain:
        expected = await heard_in(plain)
        await shut_down(plain)
    async with hosted:
        assert await heard_in(hosted) == expected
    assert ("bot_uttered", {"text": "Hello."}) in expected


async def shut_down(plain: RasaServer) -> None:
    """Rasa's own channel stands where the test server looks for HandoffChannel, so it has to be ended here."""
    await plain.channel.sio.shutdown()


async def test_replies_arrive_with_session_persistence(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("hello")
        await page.hears("Hello.")
        assert page.received == [("session_confirm", session), ("bot_uttered", {"text": "Hello."})]


async def test_a_page_learns_whom_its_customer_has(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    def states(page: ScriptedCustomer) -> list[tuple[str, str | None]]:
        reported = [data for event, data in page.received if event == "handoff_state"]
        assert {data["session_id"] for data in reported} <= {session}
        return [(data["active"], data["agent"]) for data in reported]

    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("hello")
        await page.hears("Hello.")
        await page.say("/execute_handoff")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await eventually(lambda: states(page) == [("waiting", None), ("person", "Thandi")])
        waiting, live = page.all("handoff_state")
        assert (waiting["position"], waiting["wait"]) == (1, None)
        assert "position" not in live
        async with ScriptedCustomer(rasa.url, session) as late:
            await eventually(lambda: states(late) == [("person", "Thandi")])
        await resolve(thandi, handoff_id)
        await page.hears("back with me")
        assert states(page)[-1] == ("bot", None)


async def test_two_tabs_of_one_session_both_hear(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as one, ScriptedCustomer(rasa.url, session) as two:
        await one.say("hello")
        await two.hears("Hello.")
        await one.hears("Hello.")


async def test_a_reconnect_resumes_the_conversation(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("I want to move")
        await page.hears("Which street?")
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("Long Street")
        await page.hears("Which town?")


async def test_a_session_without_id_is_given_one(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url, None) as page:
        ((event, given),) = page.received
        assert (event, len(given)) == ("session_confirm", 32)


async def test_a_marker_that_is_wrong_does_not_show(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("try the wrong marker")
        await page.hears("I can't pass you on to a person for this")
        await page.say("hello")
        await page.hears("Hello.")
        assert len(page.texts) == 2, page.texts  # and not what was to be said while passing the customer on
        assert "departmnt" not in str(page.received)


async def test_the_output_class_is_rasas(rasa: RasaServer) -> None:
    assert type(rasa.channel.channels["socketio"].get_output_channel()) is SocketIOOutput


async def test_a_namespace_works(serve: Callable[..., RasaServer], session: str) -> None:
    settings = {"namespace": "/shop", "session_persistence": True, "socketio_path": "/shop.io"}
    async with (
        serve({"socketio": settings}, bot_id="namespaced") as rasa,
        ScriptedCustomer(rasa.url, session, namespace="/shop", path="shop.io") as page,
    ):
        await page.say("hello")
        await page.hears("Hello.")


async def test_words_wait_for_a_customer_who_is_away(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("I give up completely")
        await page.hears("number 1 in the queue")
        conversation = await thandi.take_next()
        channel = conversation["channel"]
        assert (channel["name"], channel["push"], channel["presentation"]["files"]) == ("socketio", True, "native")
        await page.hears("Thandi is here")
    handoff_id = conversation["handoff_id"]
    await eventually(lambda: not rasa.channel.channels["socketio"].connected(session))
    for number in range(1, 4):
        await thandi.say(handoff_id, f"Word {number}.", id=f"away{number}")
    for number in range(1, 4):
        await thandi.hears("message.status", message_id=f"away{number}", status="waiting")
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.hears("Word 3.")
        assert page.texts == ["Word 1.", "Word 2.", "Word 3."]
        for number in range(1, 4):
            await thandi.hears("message.status", message_id=f"away{number}", status="delivered")
        await resolve(thandi, handoff_id)
        await page.hears("back with me")
        received = [data for event, data in page.received if event != "handoff_state"]
        assert "handoff" not in str(received).replace("handoff_speaker", "")


async def test_the_agent_learns_what_the_customer_has_read(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session) as page, ScriptedCustomer(rasa.url, uuid.uuid4().hex) as stranger:
        await page.say("I give up completely")
        await page.hears("number 1 in the queue")
        handoff_id = (await thandi.take_next())["handoff_id"]
        for id in ("seen", "unseen"):
            await thandi.say(handoff_id, f"{id}.", id=id)
            await page.hears(f"{id}.")
            await thandi.hears("message.status", message_id=id, status="delivered")
        await stranger.sio.emit("message_read", {"session_id": stranger.session, "id": "unseen"})
        for nonsense in (None, "seen", {}, {"session_id": session}, {"session_id": session, "id": 7}):
            await page.sio.emit("message_read", nonsense)
        await page.sio.emit("message_read", {"session_id": session, "id": "seen"})
        await thandi.hears("message.status", message_id="seen", status="read")
        read = [data["message_id"] for data in thandi.all("message.status") if data["status"] == "read"]
        assert [id for id in read if id in ("seen", "unseen")] == ["seen"], "others' conversations are at this desk too"
        await resolve(thandi, handoff_id)


async def test_the_end_waits_for_a_customer_who_is_away_too(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("I give up completely")
        conversation = await thandi.take_next()
        await page.hears("Thandi is here")
    await eventually(lambda: not rasa.channel.channels["socketio"].connected(session))
    await thandi.say(conversation["handoff_id"], "All done.", id="done")
    await resolve(thandi, conversation["handoff_id"])
    await eventually(lambda: not rasa.channel.relay.silences_bot(session))
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.hears("back with me")
        assert in_order(["All done.", "Thandi has ended the chat.", "back with me"], page.texts)
        await page.say("hello")
        await page.hears("Hello.")


async def test_typing_shows_on_both_sides(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.say("I give up completely")
        conversation = await thandi.take_next()
        handoff_id = conversation["handoff_id"]
        await page.hears("Thandi is here")
        for on in (True, False):
            await page.type(on)
            await thandi.hears("typing", handoff_id=handoff_id, on=on)
            await thandi.sio.emit("typing", {"handoff_id": handoff_id, "on": on}, namespace="/desk")
            await eventually(lambda on=on: ("typing", {"session_id": session, "on": on}) in page.received)
        await resolve(thandi, handoff_id)
        await page.hears("back with me")


async def test_a_page_learns_what_the_agent_has_read_by_its_own_ids(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    """Who gives its messages no ids, or asks for no acknowledgements, hears nothing of it."""
    async with (
        ScriptedCustomer(rasa.url, session, acks=True) as page,
        ScriptedCustomer(rasa.url, session) as widget,
        ScriptedCustomer(rasa.url, uuid.uuid4().hex, acks=True) as stranger,
    ):
        assert (await page.say_with_id("I give up completely"))["ok"]
        handoff_id = (await thandi.take_next())["handoff_id"]
        await page.say("without an id")
        nameless = (await thandi.hears("message", handoff_id=handoff_id, text="without an id"))["id"]
        assert (await page.say_with_id("with one", "own-1"))["ok"]
        await thandi.hears("message", handoff_id=handoff_id, text="with one")
        for id in (nameless, "unknown", "own-1"):
            assert (await thandi.ask("read", handoff_id=handoff_id, id=id))["ok"]
        await eventually(lambda: page.all("message_read"))
        assert page.all("message_read") == [{"session_id": session, "id": "own-1"}]
        assert (widget.all("message_read"), stranger.all("message_read")) == ([], [])
        await resolve(thandi, handoff_id)
        await page.hears("back with me")


@pytest.mark.parametrize("acks", [True, False])
async def test_a_page_learns_who_speaks(rasa: RasaServer, thandi: ScriptedAgent, session: str, acks: bool) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=acks) as page:
        await page.say("hello")
        await page.hears("Hello.")
        await page.say("I give up completely")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await page.hears("Thandi is here")
        await thandi.say(handoff_id, "One.\n\nTwo.")
        await page.hears("Two.")
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await page.hears("back with me")
        said = {message["text"]: message.get("handoff_speaker") for message in page.all("bot_uttered")}
    notice = {"kind": "notice", "name": None}
    beginning = (
        "Hello.",
        "number 1 in the queue",
        "Thandi is here",
        "One.",
        "Two.",
        "has ended the chat",
        "back with me",
    )
    found = [next(speaker for text, speaker in said.items() if part in text) for part in beginning]
    agent = {"kind": "agent", "name": "Thandi"}
    assert found == [None, notice, notice, agent, agent, notice, None]
