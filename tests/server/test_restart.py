"""A restart of the server loses nothing and nobody."""

import asyncio
import time

import pytest

from rasa_handoff.server.app import create_app
from rasa_handoff.server.run import running
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually, within
from tests.server.conftest import Server
from tests.server.peers import OldClient, Relay, agent_at, arrived_handoff

pytestmark = pytest.mark.every_database


@pytest.fixture
async def server(database):
    """A server whose agents have the usual grace."""
    one = Server(database)
    await one.start(grace=30.0)
    yield one
    await one.stop()


async def test_a_conversation_goes_on_after_a_restart(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await karoo.say(handoff, "before", "m-1")
    await thandi.take(handoff)
    epoch = karoo.all("welcome")[0]["epoch"]
    await server.stop()
    await server.start(grace=30.0)
    await eventually(lambda: len(thandi.all("ready")) == 2 and len(karoo.all("welcome")) == 2)
    assert karoo.all("welcome")[1]["epoch"] == epoch
    (mine,) = thandi.all("ready")[1]["mine"]
    assert mine["last"]["text"] == "before"
    assert (await karoo.say(handoff, "before", "m-1")) == {"ok": True}
    assert (await karoo.say(handoff, "after", "m-2")) == {"ok": True}
    await thandi.say(handoff, "I am back")
    await eventually(lambda: karoo.deliveries(handoff)[-1].get("text") == "I am back")
    conversation = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]
    assert [m["text"] for m in conversation["messages"]] == ["before", "after", "I am back"]
    assert [said["number"] for said in karoo.deliveries(handoff)] == [1, 2]


async def test_what_was_not_acknowledged_before_the_restart_is_told_after_it(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await karoo.close()
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await server.stop()
    await server.start(grace=30.0)
    back = await relay()
    await eventually(lambda: len(back.deliveries(handoff)) == 2)
    assert [said["number"] for said in back.deliveries(handoff)] == [1, 2]


async def test_agents_count_as_there_during_the_grace_after_a_restart(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    await thandi.close()
    await server.stop()
    await server.start(grace=30.0)
    await eventually(lambda: len(karoo.all("welcome")) == 2)
    assert karoo.all("welcome")[1]["staffed"] is True
    assert (await karoo.call("handoff.initiate", karoo.offer()))["ok"]


async def test_an_old_clients_conversation_goes_on_after_a_restart(server, desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await server.stop()
    await server.start(grace=30.0)
    await eventually(lambda: len(client.all("startConversation")) == 2 and len(thandi.all("ready")) == 2)
    await thandi.say(handoff, "still here")
    await eventually(lambda: client.texts() == ["still here"])


async def test_stopping_is_quick_with_everybody_connected_and_while_polling(server, relay, desk, old_client, opened):
    await desk(), await relay(), await old_client()
    polling = OldClient("c-2", "/live_agent")
    opened.append(polling)
    await polling.sio.connect(server.address, namespaces=["/live_agent"], transports=["polling"], wait_timeout=10)
    await eventually(lambda: polling.all("startConversation"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await server.stop()
    assert loop.time() - began < 3 * slowness()


async def test_a_relay_that_reconnects_at_once_is_told_without_waiting(server, relay, desk, opened):
    """The acknowledgement of the first connection never comes; the second must not wait for its time to run out."""
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    deaf = asyncio.Event()

    async def hang(_):
        deaf.set()
        await asyncio.Event().wait()

    karoo.sio.on("handoff.status", hang, namespace="/relay")
    await thandi.take(handoff)
    await within(deaf.wait(), 5)
    back = Relay("karoo")
    opened.append(back)
    began = asyncio.get_running_loop().time()
    await karoo.close()
    await back.connect(server.address)
    await eventually(lambda: back.statuses(handoff) == ["accepted"])
    assert asyncio.get_running_loop().time() - began < 3 * slowness()


async def test_an_agent_who_stays_away_gives_their_conversations_back(database, opened):
    """Also one who was away when the server was stopped."""
    async with running(create_app(database, grace=0.1)) as address:
        karoo, thandi = Relay("karoo"), agent_at(address)
        opened.extend([karoo, thandi])
        await karoo.connect(address)
        await thandi.sign_in()
        await thandi.connect()
        first, second = await karoo.initiate(), await karoo.initiate()
        await thandi.take(first)
        await eventually(lambda: karoo.statuses(first) == ["accepted"] and karoo.statuses(second) == ["queued"])
        await thandi.close()
        await eventually(lambda: not karoo.all("availability")[-1]["staffed"])
    await karoo.close()
    ahead = 0.0
    async with running(create_app(database, grace=0.1, now=lambda: time.time() + ahead)) as address:
        back, sipho = Relay("karoo"), agent_at(address, "sipho")
        opened.extend([back, sipho])
        await back.connect(address)
        ahead = 301
        await eventually(lambda: back.statuses(first) == ["transferred", "queued"])
        assert back.deliveries(first)[-1]["position"] == 1
        await sipho.sign_in()
        await sipho.connect()
        assert (await sipho.take(first))["ok"]
