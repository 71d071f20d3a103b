"""Two servers over one database: who is signed in, who guesses and whose relay speaks for a bot is the same at both."""

import asyncio
import hashlib
import time
from types import SimpleNamespace

import aiohttp
import pytest
from socketio.exceptions import ConnectionError
from sqlalchemy import create_engine, delete, select, update

from rasa_handoff.server import accounts, administration, brake
from rasa_handoff.server.brake import FREE_TRIES
from rasa_handoff.server.http.sign_in import signing_key
from rasa_handoff.server.service import relay_owner
from rasa_handoff.server.storage import relay_connections
from rasa_handoff.server.storage.relay_connections import THERE_SECONDS, ConnectedRelay
from rasa_handoff.server.storage.tables import RELAY_CONNECTIONS, SECRETS, open_store
from rasa_handoff.store import named_locks
from rasa_handoff.store.named_locks import try_lock
from rasa_handoff.testing.scripted_desk import PASSWORD, post_form
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay, agent_at, refusal_of

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

IN_USE = "Another Rasa server with another database speaks for the bot 'karoo' here."


class Rows:
    """The rows of relays that are or were connected, read and changed as another server would."""

    def __init__(self, database):
        self._engine = create_engine(database, future=True)

    def run(self, work):
        with self._engine.begin() as connection:
            return work(connection)

    def all(self):
        return self.run(lambda connection: connection.execute(select(RELAY_CONNECTIONS)).all())

    def add_elsewhere(self, epoch, seconds_ago):
        """Add a relay of a server that isn't there any more."""

        def work(connection):
            seen = relay_connections.clock(connection) - seconds_ago
            one = ConnectedRelay(id=epoch, bot_id="karoo", epoch=epoch, server="ended", seen=seen)
            relay_connections.add(connection, one)

        self.run(work)

    def close(self):
        self._engine.dispose()


@pytest.fixture
def rows(database):
    one = Rows(database)
    yield one
    one.close()


@pytest.fixture
def owner(opened):
    async def connect(at, epoch, bot_id="karoo"):
        """Connect a relay with this database to a server."""
        one = Relay(bot_id)
        opened.append(one)
        await one.connect(at.address, epoch=epoch)
        return one

    return connect


async def refused(at, epoch):
    one = Relay("karoo")
    return await refusal_of(one.connect(at.address, epoch=epoch), one)


async def sign_in_at(server, password="guess"):
    """Sign in with a new browser, and return the status."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        answer = await post_form(http, server.address, "/login", email="thandi@example.org", password=password)
        return answer.status


async def sign_out(agent):
    headers = {"Cookie": agent.cookie, "Origin": agent.url}
    async with aiohttp.ClientSession(headers=headers) as http:
        form = {"csrf": await agent.token()}
        async with http.post(agent.url + "/logout", data=form, allow_redirects=False) as answer:
            assert answer.status == 303


@pytest.fixture
def seen_often(monkeypatch):
    monkeypatch.setattr(relay_owner, "SEEN_EVERY", 0.05)


@pytest.fixture
def seen_rarely(monkeypatch):
    """Only when a relay leaves a server, that server looks at its others."""
    monkeypatch.setattr(relay_owner, "SEEN_EVERY", 3_600.0)


@pytest.mark.usefixtures("no_periodic_checks")
async def test_who_signed_in_at_one_server_has_desks_at_both_and_signing_out_ends_them(
    server, second, database, opened
):
    here, there = agent_at(server.address), agent_at(second.address)
    opened.extend([here, there])
    await here.sign_in()
    there.cookie, there.token = here.cookie, here.token  # the page is of the first server, its socket at the second
    await here.connect()
    await there.connect()
    # Its first look for changes has been, so it isn't that one that finds the session's end.
    await asyncio.to_thread(accounts.add_department, database, "advice")
    await eventually(lambda: [one for one in there.all("availability") if len(one["departments"]) == 3])
    await sign_out(here)
    for one in (here, there):
        await eventually(lambda one=one: one.all("signed_out") == [{}])
    async with aiohttp.ClientSession() as http, http.get(second.address, headers={"Cookie": here.cookie}) as page:
        assert 'name="password"' in await page.text()


@pytest.mark.usefixtures("no_time_passes")
async def test_wrong_passwords_at_both_are_counted_together_and_outlive_a_restart(server, second):
    statuses = [await sign_in_at([server, second][number % 2]) for number in range(FREE_TRIES)]
    assert statuses == [401] * FREE_TRIES
    assert [await sign_in_at(server), await sign_in_at(second)] == [429, 429]
    await second.stop()
    await second.start()
    assert await sign_in_at(second) == 429


async def test_a_try_that_another_process_is_counting_all_the_time_is_to_come_again(server, rows, monkeypatch):
    monkeypatch.setattr(named_locks, "FREE_WITHIN", 0.0)
    email = "thandi@example.org"
    keys = brake.keys_of(hashlib.sha256(email.encode()).hexdigest(), "127.0.0.1", None)

    def hold(connection):
        assert try_lock(connection, brake._locks(keys))
        return asyncio.run_coroutine_threadsafe(sign_in_at(server, PASSWORD), loop).result(30)

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(rows.run, hold) == 503
    assert await sign_in_at(server, PASSWORD) == 303


async def test_two_servers_that_start_at_once_sign_with_one_key(database):
    async with open_store(database) as one, open_store(database) as other:
        for _ in range(20):
            await one.write(lambda connection: connection.execute(delete(SECRETS)))
            keys = await asyncio.gather(one.write(signing_key), other.write(signing_key))
            assert keys[0] == keys[1]


async def test_two_commands_at_once_both_notify_the_servers(database):
    async with open_store(database) as one, open_store(database) as other:
        for _ in range(20):
            await asyncio.gather(one.write(accounts.note_change), other.write(accounts.note_change))


@pytest.mark.usefixtures("no_periodic_checks")
async def test_an_agent_who_is_added_or_removed_is_so_at_both(server, second, database, opened):
    await asyncio.to_thread(
        accounts.add_agent, database, "lerato@example.org", "Lerato", "a long enough one", (), accounts.Role.AGENT
    )
    desks = [agent_at(one.address, "lerato") for one in (server, second)]
    opened.extend(desks)
    for one in desks:
        one.password = "a long enough one"
        await one.sign_in()
        await one.connect()
    await asyncio.to_thread(administration.remove_agent, database, "lerato@example.org")
    for one in desks:
        await eventually(lambda one=one: one.all("signed_out") == [{}])
        with pytest.raises(AssertionError, match="can't sign in: 401"):
            await one.sign_in()


async def test_another_database_is_refused_at_one_server_while_the_first_is_at_the_other(server, second, owner):
    first = await owner(server, "one")
    assert (await refused(second, "two")).startswith(IN_USE)
    assert (await refused(second, None)).startswith(IN_USE)
    beside, again = await owner(second, "one"), await owner(server, "one")
    await first.close()
    await again.close()
    assert (await refused(server, "two")).startswith(IN_USE)
    await beside.close()
    await is_let_in(owner, server, "two")
    assert (await refused(second, "one")).startswith(IN_USE)


async def test_while_conversations_are_under_way_another_database_waits_at_each_server(
    server, second, owner, desk, monkeypatch
):
    await desk()
    first = await owner(server, "one")
    await first.initiate()
    assert (await refused(second, "two")).startswith(IN_USE)
    ahead = SimpleNamespace(monotonic=lambda: time.monotonic() + 1_000)
    monkeypatch.setattr(relay_owner, "time", ahead)  # both servers have run for long
    await first.close()
    await eventually(lambda: is_away(second))
    again = await owner(second, "one")
    await again.close()
    await eventually(lambda: is_away(server))
    monkeypatch.setattr(relay_owner, "AWAY_SECONDS", 0.0)
    await is_let_in(owner, second, "two")


async def is_away(at):
    return "takes its place" in await refused(at, "two")


async def is_let_in(owner, at, epoch):
    """Wait until a relay with this database is let in, as it would try again and again."""

    async def tries():
        try:
            return await owner(at, epoch)
        except ConnectionError:
            return None

    return await eventually(tries)


async def test_of_two_databases_that_come_to_two_servers_at_once_one_is_let_in(server, second, owner):
    for number in range(10):
        bot = f"bot-{number}"
        both = await asyncio.gather(owner(server, "one", bot), owner(second, "two", bot), return_exceptions=True)
        assert sorted(type(one).__name__ for one in both) == ["ConnectionError", "Relay"]


async def test_two_relays_of_one_database_that_come_to_two_servers_at_once_are_both_let_in(server, second, owner):
    for number in range(5):
        await asyncio.gather(*(owner(at, "one", f"bot-{number}") for at in (server, second, server)))


async def test_a_server_that_has_ended_keeps_nobody_out_for_long(server, owner, rows):
    rows.add_elsewhere("one", seconds_ago=THERE_SECONDS - 5)
    assert (await refused(server, "two")).startswith(IN_USE)
    rows.run(lambda connection: connection.execute(delete(RELAY_CONNECTIONS)))
    rows.add_elsewhere("one", seconds_ago=THERE_SECONDS + 1)
    await owner(server, "two")
    assert [row.epoch for row in rows.all()] == ["two"]


async def test_a_server_says_that_its_relays_are_there_and_when_they_have_left(seen_often, server, owner, rows):
    first = await owner(server, "one")
    (before,) = rows.all()
    await eventually(lambda: rows.all()[0].seen > before.seen)
    assert not rows.all()[0].gone
    await first.close()
    await eventually(lambda: rows.all()[0].gone)
    left = rows.all()[0].seen
    await owner(server, "one")
    (there,) = [row for row in rows.all() if not row.gone]
    await eventually(lambda: [row for row in rows.all() if row.id == there.id and row.seen > there.seen])
    assert [row.seen for row in rows.all() if row.gone] == [left]
    await server.stop()
    assert all(row.gone for row in rows.all())


async def test_a_server_whose_relay_was_taken_for_gone_lets_go_of_it(seen_rarely, server, second, owner, rows):
    """It was cut off from the database for too long, and a relay with another database has taken the place."""
    first, other = await owner(server, "one"), await owner(server, "x", "another")
    long_ago = update(RELAY_CONNECTIONS).where(RELAY_CONNECTIONS.c.epoch == "one").values(seen=1.0)
    rows.run(lambda connection: connection.execute(long_ago))
    await owner(second, "two")
    await other.close()
    await eventually(lambda: not first.sio.connected or first.all("connect_error"))
    assert [row.epoch for row in rows.all() if not row.gone] == ["two"]
