"""Of several servers on one database one does what only one is to do; and one that stood still lets the others have it."""

import asyncio
import contextlib
import functools
import os
import signal
import time
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, select, update

from rasa_handoff.server.storage.tables import OUTBOX, PROCESSES, TIMERS
from rasa_handoff.store.timers import RECOVERY
from rasa_handoff.testing.waiting import eventually, within
from tests.server.conftest import Server
from tests.server.peers import Relay, agent_at
from tests.server.served_processes import address_in, serve_in_process

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

EVERY = 600.0
"""Seconds between two notices of a place to one customer."""


class Rows:
    """The server's tables, as another program reads and changes them."""

    def __init__(self, database):
        self._engine = create_engine(database, future=True)

    def all(self, query):
        with self._engine.begin() as connection:
            return connection.execute(query).all()

    def change(self, statement):
        with self._engine.begin() as connection:
            connection.execute(statement)

    def processes(self):
        return [row.id for row in self.all(select(PROCESSES.table.c.id))]

    def close(self):
        self._engine.dispose()


@pytest.fixture
def rows(database):
    one = Rows(database)
    yield one
    one.close()


@pytest.fixture
def checks_often(monkeypatch):
    monkeypatch.setattr("rasa_handoff.server.service.scheduler.EVERY", 0.05)
    monkeypatch.setattr("rasa_handoff.server.service.scheduler.LOOK_EVERY", 0.05)


@pytest.fixture
async def pair(database):
    """Two servers with notices of places."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            one = Server(database, place_notices=EVERY)
            await one.start()
            stack.push_async_callback(one.stop)
            found.append(one)
        yield found


@pytest.fixture
def peer(opened):
    async def connect(at, name=None):
        """Connect an agent with this name, or a relay, to a server."""
        one = Relay("karoo") if name is None else agent_at(at.address, name)
        opened.append(one)
        if name is None:
            await one.connect(at.address, epoch="one")
        else:
            await one.sign_in()
            await one.connect()
        return one

    return connect


async def some_rounds():
    """Let both servers check many times."""
    until = time.monotonic() + 1
    await eventually(lambda: time.monotonic() > until)


@pytest.mark.usefixtures("checks_often")
async def test_places_in_the_queue_are_told_as_often_as_by_one_server_and_on_after_its_end(pair, peer):
    """Each has its own idea of who was told when: of two, a customer would hear twice as often."""
    first, second = pair
    thandi, karoo = await peer(second, "thandi"), await peer(second)
    waiting = [await karoo.initiate() for _ in range(6)]
    last = waiting[-1]

    def places():
        return [one["position"] for one in karoo.deliveries(last) if one.get("status") == "queued"]

    for server in pair:
        server.ahead = EVERY + 1
    assert (await thandi.take(waiting[0]))["ok"]
    await eventually(lambda: places() == [5])
    assert (await thandi.take(waiting[1]))["ok"]
    await some_rounds()
    assert places() == [5]
    for server in pair:
        server.ahead = 2 * EVERY + 2
    await eventually(lambda: places() == [5, 4])
    await first.stop()
    for place in (3, 2):
        second.ahead += EVERY + 1
        assert (await thandi.take(waiting[5 - place]))["ok"]
        await eventually(lambda place=place: places()[-1] == place)
    assert places() == [5, 4, 3, 2]


async def test_a_server_that_starts_beside_another_postpones_no_timer(server, database, peer, rows):
    """The customers of a server that goes on could reach it all the time."""
    await peer(server, "thandi")
    karoo = await peer(server)
    handoff_id = await karoo.initiate()
    due = time.time() + RECOVERY / 2
    of_it = TIMERS.table.c.key == handoff_id
    rows.change(update(TIMERS.table).where(of_it).values(due=due))

    def dues():
        return {row.due for row in rows.all(select(TIMERS.table.c.due).where(of_it))}

    other = Server(database)
    await other.start()
    assert dues() == {due}
    await other.stop()
    await server.stop()
    await server.start()
    assert min(dues()) > due  # while it was alone, nobody could reach it


@pytest.mark.timeout(180)
async def test_a_server_that_stood_still_shows_what_is_true_and_sends_nothing_old(server, database, peer, rows):
    process, line = await serve_in_process(database)
    slow = SimpleNamespace(address=address_in(line))
    try:
        own = set(rows.processes())
        assert len(own) == 2
        sipho, there, here = await peer(slow, "sipho"), await peer(slow), await peer(server)
        thandi = await peer(server, "thandi")
        kept, passed_on, new = [await there.initiate(department="billing") for _ in range(3)]
        for handoff_id in (kept, passed_on):
            assert (await sipho.take(handoff_id))["ok"]
            assert (await sipho.say(handoff_id, "before"))["ok"]
        await eventually(lambda: rows.all(select(OUTBOX.table.c.key)) == [], 20)
        os.kill(process.pid, signal.SIGSTOP)
        said = [asyncio.create_task(sipho.say(kept, "said to a server that stands still"))]
        await eventually(lambda: len(rows.processes()) == 1, 30)
        for number in range(3):
            assert (await here.say(kept, f"meanwhile {number}"))["ok"]
        assert (await thandi.take(new))["ok"]
        assert (await thandi.say(new, "from the other server"))["ok"]
        await eventually(lambda: "from the other server" in words(here, new), 30)
        await here.emit("handoff.status", ended(passed_on))
        await thandi.hears("conversation", handoff_id=passed_on, state="ended")
        os.kill(process.pid, signal.SIGCONT)
        await eventually(lambda: len(rows.processes()) == 2, 30)
        assert len(own & set(rows.processes())) == 1
        for number in range(3):
            await sipho.hears("message", text=f"meanwhile {number}")
        await eventually(lambda: sipho.shown(passed_on)[-1]["state"] == "ended")
        await eventually(lambda: sipho.shown(new)[-1]["agent"]["name"] == "Thandi")
        assert not (await sipho.say(passed_on, "too late"))["ok"]
        assert not (await sipho.take(new))["ok"]
        assert (await within(said[0], 20))["ok"]
        assert (await sipho.say(kept, "after"))["ok"]
        for handoff_id, expected in (
            (kept, ["before", "said to a server that stands still", "after"]),
            (passed_on, ["before"]),
            (new, ["from the other server"]),
        ):
            came = functools.partial(came_to, (there, here), handoff_id)
            await eventually(lambda came=came, expected=expected: len(came()) >= len(expected), 30)
            assert came() == sorted(expected)
        await eventually(lambda: rows.all(select(OUTBOX.table.c.key)) == [], 20)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await within(process.communicate(), 15)


def words(relay, handoff_id):
    """Return the texts that came to a relay."""
    return [one["text"] for one in relay.deliveries(handoff_id) if "text" in one]


def came_to(relays, handoff_id):
    """Return the texts that came to these relays, sorted."""
    return sorted(text for relay in relays for text in words(relay, handoff_id))


def ended(handoff_id):
    """Return the payload with which a relay says that the customer has left."""
    return {
        "handoff_id": handoff_id,
        "id": f"{handoff_id}-end",
        "number": 3,
        "status": "ended",
        "reason": "customer_left",
    }
