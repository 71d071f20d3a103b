"""A database that is locked or full: nothing is accepted that could be lost, and service goes on by itself."""

import asyncio
import contextlib
import sqlite3

import aiohttp
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from rasa_handoff.testing.waiting import eventually
from tests.server.peers import agent_at, arrived_handoff, waiting_entries

pytestmark = pytest.mark.sqlite

LONG = "x" * 19_000


@pytest.fixture
def locked(database):
    """``with locked():`` locks the whole database, as another program might."""

    @contextlib.contextmanager
    def hold():
        with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    return hold


@pytest.fixture
def connections():
    """Keep every connection that is opened to a database."""
    some = []

    def keep(connection, _):
        some.append(connection)

    event.listen(Engine, "connect", keep)
    yield some
    event.remove(Engine, "connect", keep)


async def health(server):
    async with aiohttp.ClientSession() as http, http.get(server.address + "/health") as answer:
        return answer.status, await answer.json()


async def wait_until_healthy(server):
    async def is_healthy():
        return (await health(server))[0] == 200

    await eventually(is_healthy)


async def test_while_it_is_locked_everybody_is_refused_with_a_code_and_then_it_goes_on(server, relay, desk, locked):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    await eventually(lambda: waiting_entries(server, handoff) == 0)  # else it would be sent again after the lock
    with locked():
        answers = await asyncio.gather(
            karoo.say(handoff, "hello", "m-1"),
            karoo.call("handoff.initiate", karoo.offer()),
            thandi.say(handoff, "good morning", "a-1"),
            thandi.resolve(handoff),
        )
        status, said = await health(server)
        assert (status, said["status"]) == (503, "unavailable")
        assert "database is locked" in said["reason"]
    assert [answer["code"] for answer in answers] == ["unavailable"] * 4
    assert all(answer["error"].endswith(".") for answer in answers)
    await wait_until_healthy(server)
    conversation = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]
    assert conversation["messages"] == []
    assert conversation["state"] == "assigned"
    assert await karoo.say(handoff, "hello", "m-1") == {"ok": True}
    assert (await thandi.say(handoff, "good morning", "a-1"))["message"]["seq"] == 2
    await eventually(lambda: [one.get("text") for one in karoo.deliveries(handoff)] == [None, "good morning"])
    assert [one["text"] for one in thandi.all("message")] == ["hello", "good morning"]


async def test_while_it_is_locked_an_old_clients_words_are_refused_aloud_and_then_taken(
    server, desk, old_client, locked
):
    thandi, client = await desk(), await old_client()
    await eventually(lambda: thandi.all("arrival"))
    with locked():
        refused = await client.call("from_user", {"message": "lost?", **client.ids})
        assert client.texts() == ["Your message couldn't be taken just now. Please send it again in a moment."]
        await client.emit("from_user", {"message": "and this?", **client.ids})  # as they do: asking for no answer
        await eventually(lambda: len(client.texts()) == 2)
    assert (refused["ok"], refused["code"]) == (False, "unavailable")
    assert refused["error"].endswith(".")
    await wait_until_healthy(server)
    assert await client.call("from_user", {"message": "once more", **client.ids}) == {"ok": True}
    await eventually(lambda: [one["text"] for one in thandi.all("message")] == ["once more"])
    assert len(client.texts()) == 2


async def test_many_who_ask_at_once_are_refused_at_once(server, relay, locked):
    karoo = await relay()
    with locked():
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(karoo.call("handoff.initiate", karoo.offer()) for _ in range(30)))
        assert asyncio.get_running_loop().time() - began < 9
    assert {answer["code"] for answer in answers} == {"unavailable"}


async def test_a_desk_that_connects_meanwhile_is_told_to_try_again(server, opened, locked):
    thandi = agent_at(server.address)
    opened.append(thandi)
    await thandi.sign_in()
    with locked():
        await thandi.sio.connect(
            server.address,
            namespaces=["/desk"],
            headers={"Cookie": thandi.cookie},
            transports=["websocket"],
            wait_timeout=10,
            wait=False,
        )
        await eventually(lambda: thandi.all("connect_error"))
        async with aiohttp.ClientSession() as http, http.get(server.address) as answer:
            assert answer.status == 503
    assert thandi.all("connect_error")[0]["data"] == {"code": "unavailable"}
    await thandi.close()
    again = agent_at(server.address)
    opened.append(again)
    again.cookie = thandi.cookie
    await again.connect()


async def test_while_it_is_full_messages_are_refused_and_nothing_is_half_done(connections, server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    connection = connections[-1]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    answers = [await karoo.say(handoff, LONG, f"m-{n}") for n in range(10)]
    kept = [answer for answer in answers if answer["ok"]]
    assert len(kept) < 10
    assert {answer["code"] for answer in answers if not answer["ok"]} == {"unavailable"}
    status, said = await health(server)
    assert (status, "full" in said["reason"]) == (503, True)
    conversation = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]
    assert [one["seq"] for one in conversation["messages"]] == list(range(1, len(kept) + 1))
    connection.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    await wait_until_healthy(server)
    again = [await karoo.say(handoff, LONG, f"m-{n}") for n in range(10)]
    assert all(answer["ok"] for answer in again)
    await eventually(lambda: len(thandi.all("message")) == 10)
    assert [one["id"] for one in thandi.all("message")] == [f"m-{n}" for n in range(10)]


async def test_an_agent_who_leaves_while_it_is_locked_is_noted_when_it_is_not(server, relay, desk, locked):
    thandi, karoo = await desk(), await relay()
    with locked():
        await thandi.close()
        assert (await karoo.call("handoff.initiate", karoo.offer()))["code"] == "unavailable"
    await eventually(lambda: not (karoo.all("availability") or [{"staffed": True}])[-1]["staffed"])


async def test_words_to_an_old_client_are_not_doubled_when_noting_them_fails(desk, old_client, database, caplog):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("CREATE TRIGGER no BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'not now'); END")
        await thandi.say(handoff, "first")
        await eventually(lambda: "An undeliverable entry for" in caplog.text)
        other.execute("DROP TRIGGER no")
    await thandi.say(handoff, "last")
    await eventually(lambda: client.texts()[-1:] == ["last"])
    assert client.texts() == ["first", "last"]
