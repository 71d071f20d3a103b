"""The main job on a real Rasa server and a real live-agent server: hand over, talk, come back."""

import asyncio
from typing import Any

import pytest
from sanic.response import HTTPResponse

from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually

pytestmark = pytest.mark.every_database


async def test_a_conversation_goes_to_a_person_and_comes_back(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    assert await rasa.texts("hello") == ["Hello."]
    answers = await rasa.texts('/execute_handoff{"department": "billing"}')
    assert "number 1 in the queue" in answers[0]

    conversation = await thandi.take_next()
    assert conversation["department"] == "billing"
    assert [(line["speaker"], line["text"]) for line in conversation["transcript"]] == [
        ("customer", "hello"),
        ("bot", "Hello."),
    ]
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent == "Thandi")
    assert "Thandi is here" in (await rasa.texts("are you a person?"))[0]
    said = await thandi.hears("message", text="are you a person?")
    assert said["speaker"] == "customer"

    await thandi.say(conversation["handoff_id"], "Yes, I am.")
    await thandi.hears("message.status", status="waiting")
    assert await rasa.texts("good") == ["Yes, I am."]
    await thandi.hears("message.status", status="delivered")

    await thandi.ask(
        "resolve", handoff_id=conversation["handoff_id"], outcome="resolved", note="all good", slots={"plan": "gold"}
    )
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    back = await rasa.texts("hello")
    assert back[0] == "Thandi has ended the chat."
    assert "back with me" in back[1]
    assert back[2] == "Hello."
    slots = (await rasa.tracker())["slots"]
    assert (slots["handoff_outcome"], slots["handoff_note"], slots["plan"]) == ("resolved", "all good", "gold")


async def test_a_message_in_a_response_that_is_written_while_the_server_stops_is_not_sent_again(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rasa.texts('/execute_handoff{"department": "billing"}')
    handoff_id = (await thandi.take_next())["handoff_id"]
    await thandi.say(handoff_id, "Yes, I am.")
    await thandi.hears("message.status", status="waiting")
    written, held = asyncio.Event(), asyncio.Event()
    send = HTTPResponse.send

    async def slow_send(self: HTTPResponse, *arguments: Any, **more: Any) -> None:
        await send(self, *arguments, **more)
        written.set()
        await held.wait()

    monkeypatch.setattr(HTTPResponse, "send", slow_send)
    request = asyncio.create_task(rasa.texts("are you a person?"))
    await written.wait()
    closing = asyncio.create_task(rasa.channel._close())
    await asyncio.wait({closing}, timeout=0.3)  # a close that doesn't wait for the response would be through
    held.set()
    assert "Yes, I am." in await request
    await closing
    url = rasa.channel.relay.store.url
    async with RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA) as store:
        waiting = await store.write(lambda connection: repository.outbox.head(connection, "customer", "thabo", 10))
    assert waiting == []
