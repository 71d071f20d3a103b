"""Two servers over one database: their agents see, take and hold the same conversations."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, select, update

from rasa_handoff.server.storage.tables import AGENTS, DESK_CONNECTIONS, HANDOFFS
from rasa_handoff.testing.waiting import eventually, within
from tests.server.conftest import Server
from tests.server.peers import OldClient, Relay, agent_at, arrived_handoff
from tests.server.served_processes import address_in, serve_in_process

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

AT_ONCE = 10
"""How many conversations two agents take at a time."""


class Rows:
    """The rows of handoffs, as another server's transaction sees and changes them."""

    def __init__(self, database):
        self.engine = create_engine(database, future=True)

    def get(self, handoff_id):
        with self.engine.begin() as connection:
            return connection.execute(select(HANDOFFS).where(HANDOFFS.c.handoff_id == handoff_id)).one()


@pytest.fixture
def rows(database):
    one = Rows(database)
    yield one
    one.engine.dispose()


@pytest.fixture
def agent(opened):
    async def connect(at, name="thandi"):
        """Sign an agent in at a server, and connect their desk to it."""
        one = agent_at(at.address, name)
        opened.append(one)
        await one.sign_in()
        await one.connect()
        return one

    return connect


@pytest.fixture
def relay_at(opened):
    async def connect(at, bot_id="karoo"):
        """Connect a relay to a server."""
        one = Relay(bot_id)
        opened.append(one)
        await one.connect(at.address, epoch="one")
        return one

    return connect


async def test_desks_at_both_see_the_same_queue_in_the_same_order(server, second, agent, relay_at):
    desks = [await agent(server), await agent(second, "sipho")]
    relays = [await relay_at(server), await relay_at(second)]
    asked = [
        relays[at % 2].initiate(department="billing", priority=["normal", "urgent"][at % 3 == 0]) for at in range(12)
    ]
    ids = await asyncio.gather(*asked)
    for one in desks:
        await eventually(lambda one=one: len(one.all("arrival")) == len(ids))
    late = [await agent(server, "thandi"), await agent(second, "sipho")]
    queues = [[one["handoff_id"] for one in desk.all("ready")[0]["queue"]] for desk in late]
    assert queues[0] == queues[1]
    assert sorted(queues[0]) == sorted(ids)


async def test_what_is_said_and_done_is_seen_at_both(server, second, agent, relay_at):
    """The relay is at one server and the agent at the other, whose colleague has the conversation open at the first."""
    colleague, thandi, karoo = await agent(server, "sipho"), await agent(second), await relay_at(server)
    handoff_id = await karoo.initiate(department="billing")
    await thandi.hears("arrival", handoff_id=handoff_id)
    assert (await thandi.take(handoff_id))["ok"]
    await colleague.hears("conversation", handoff_id=handoff_id, state="assigned")
    assert (await colleague.ask("open", handoff_id=handoff_id, after=0))["ok"]
    await eventually(lambda: karoo.statuses(handoff_id)[-1:] == ["accepted"])
    for number in range(5):
        assert (await karoo.say(handoff_id, f"customer {number}"))["ok"]
        assert (await thandi.say(handoff_id, f"agent {number}", f"a-{number}"))["ok"]
        await eventually(lambda at=number: karoo.deliveries(handoff_id)[-1].get("text") == f"agent {at}")
    report = {"handoff_id": handoff_id, "message_id": "a-4", "status": "read", "id": "r-1", "number": 9}
    assert (await karoo.call("message.status", report))["ok"]
    for one in (thandi, colleague):
        await one.hears("message.status", message_id="a-4", status="read")
        said = [body["text"] for body in one.all("message")]
        assert said == [f"{who} {number}" for number in range(5) for who in ("customer", "agent")]
    await karoo.call("typing", {"handoff_id": handoff_id, "on": True})
    await thandi.hears("typing", handoff_id=handoff_id, on=True)
    await thandi.ask("typing", handoff_id=handoff_id, on=True)
    await eventually(lambda: karoo.all("typing"))
    await thandi.ask("read", handoff_id=handoff_id, id="c-4")
    await colleague.ask("read", handoff_id=handoff_id, id="not theirs")
    await eventually(lambda: karoo.all("read"))
    assert karoo.all("read") == [{"handoff_id": handoff_id, "id": "c-4"}], "once, by the one who has it"
    assert (await thandi.resolve(handoff_id))["ok"]
    await colleague.hears("conversation", handoff_id=handoff_id, state="ended")
    await eventually(lambda: karoo.statuses(handoff_id)[-1] == "completed")


async def test_desks_end_with_the_last_state_whoever_changed_it(server, second, agent, relay_at):
    """Both servers change one conversation in turn, as fast as they can: each desk ends with what happened last."""
    desks, karoo = [await agent(server), await agent(second, "sipho")], await relay_at(server)
    for number in range(30):
        handoff_id = await karoo.initiate(department="billing")
        for turn in range(3):
            one = desks[(number + turn) % 2]
            assert (await one.take(handoff_id))["ok"]
            assert (await one.transfer(handoff_id, "billing"))["ok"]
        assert (await one.take(handoff_id))["ok"]
        assert (await one.resolve(handoff_id))["ok"]
        for desk in desks:
            await eventually(lambda desk=desk, id=handoff_id: desk.shown(id)[-1]["state"] == "ended")
            turns = [body["state"] for body in desk.shown(handoff_id)]
            assert turns[-8:] == ["assigned", "queued"] * 3 + ["assigned", "ended"]


async def test_a_desk_that_connects_misses_nothing_of_the_other_server(server, second, agent, relay_at, opened):
    thandi, sipho, karoo = await agent(server), await agent(second, "sipho"), await relay_at(server)
    for _ in range(5):
        ids = [await karoo.initiate(department="billing") for _ in range(10)]
        late = agent_at(second.address, "sipho")
        late.cookie = sipho.cookie
        opened.append(late)
        connecting = asyncio.create_task(late.connect())
        for handoff_id in ids:
            assert (await thandi.take(handoff_id))["ok"]
        await connecting
        for handoff_id in ids:
            await eventually(lambda id=handoff_id, desk=late: state_at(desk, id) == "assigned")
        await late.close()


def state_at(desk, handoff_id):
    """Return the state of a conversation that a desk shows."""
    listed = [one for shown in desk.all("ready")[-1:] for name in ("queue", "others") for one in shown[name]]
    states = [one["state"] for one in [*listed, *desk.shown(handoff_id)] if one["handoff_id"] == handoff_id]
    return states[-1] if states else None


async def test_a_relay_that_moves_to_the_other_server_gets_what_waits(server, second, agent, relay_at):
    thandi, karoo = await agent(server), await relay_at(server)
    handoff_id = await karoo.initiate()
    assert (await thandi.take(handoff_id))["ok"]
    await karoo.close()
    for number in range(3):
        assert (await thandi.say(handoff_id, f"are you there? {number}"))["ok"]
    again = await relay_at(second)
    await eventually(lambda: len(said_to(again, handoff_id)) >= 3)
    assert said_to(again, handoff_id) == [f"are you there? {number}" for number in range(3)]


def said_to(relay, handoff_id):
    """Return the texts of the messages that a relay got."""
    return [one["text"] for one in relay.deliveries(handoff_id) if "text" in one]


async def is_here(database, name):
    """Return whether an agent is here, as far as the database knows."""
    engine = create_engine(database, future=True)
    with engine.begin() as connection:
        found = connection.execute(select(AGENTS.c.here).where(AGENTS.c.name == name)).scalar_one()
    engine.dispose()
    return found


async def test_an_agent_with_desks_at_both_is_here_until_the_last_is_closed(server, second, agent, relay_at, database):
    here, there, karoo = await agent(server), await agent(second), await relay_at(server)
    await here.close()
    await eventually(lambda: is_at_one(database))
    assert await is_here(database, "Thandi")
    await karoo.initiate()
    await there.close()
    await eventually(lambda: is_away(database, "Thandi"))
    answer = await karoo.call("handoff.initiate", karoo.offer())
    assert answer["code"] == "nobody_available"


async def is_away(database, name):
    return not await is_here(database, name)


async def is_at_one(database):
    """Return whether one server has desks."""
    engine = create_engine(database, future=True)
    with engine.begin() as connection:
        found = connection.execute(select(DESK_CONNECTIONS)).all()
    engine.dispose()
    return len(found) == 1


async def test_one_more_server_finds_nobody_away_who_is_at_another(server, agent, second, database):
    await agent(server)
    await second.stop()
    await second.start(grace=0.0)
    third = Server(database)
    await third.start(grace=0.0)
    assert await is_here(database, "Thandi")
    await third.stop()
    assert await is_here(database, "Thandi")


@pytest.mark.usefixtures("no_periodic_checks")
async def test_who_becomes_available_at_one_server_is_so_at_the_other(server, second, agent, relay_at):
    karoo = await relay_at(second)
    await agent(server)
    await eventually(lambda: karoo.all("availability") and karoo.all("availability")[-1]["staffed"])


async def test_a_client_of_botlhales_and_its_agent_may_be_at_two_servers(server, second, agent, opened):
    thandi, client = await agent(second), OldClient("c-1", "/live_agent")
    opened.append(client)
    await client.connect(server.address)
    handoff_id = await arrived_handoff(thandi)
    assert (await thandi.take(handoff_id))["ok"]
    for number in range(3):
        await client.emit("from_user", {"message": f"client {number}", **client.ids})
        await thandi.hears("message", text=f"client {number}")
        assert (await thandi.say(handoff_id, f"agent {number}"))["ok"]
        await eventually(lambda at=number: client.texts()[-1:] == [f"agent {at}"])
    await client.close()
    assert (await thandi.say(handoff_id, "are you there?"))["ok"]
    again = OldClient("c-1", "/live_agent")
    opened.append(again)
    await again.connect(second.address)
    await eventually(lambda: "are you there?" in again.texts())
    await again.emit("from_user", {"message": "yes", **again.ids})
    await thandi.hears("message", text="yes")
    assert (await thandi.say(handoff_id, "good"))["ok"]
    await eventually(lambda: again.texts()[-1:] == ["good"])
    assert client.texts() == [f"agent {number}" for number in range(3)]


async def test_a_client_of_botlhales_with_sockets_at_two_servers_is_where_it_wrote_last(server, second, agent, opened):
    thandi, sockets = await agent(server), [OldClient("c-1", "/live_agent"), OldClient("c-1", "/live_agent")]
    opened.extend(sockets)
    for at, one in zip((server, second), sockets, strict=True):
        await one.connect(at.address)
    handoff_id = await arrived_handoff(thandi)
    assert (await thandi.take(handoff_id))["ok"]
    for number in range(4):
        one = sockets[number % 2]
        await one.emit("from_user", {"message": f"here {number}", **one.ids})
        await thandi.hears("message", text=f"here {number}")
        assert (await thandi.say(handoff_id, f"agent {number}"))["ok"]
        await eventually(lambda one=one, at=number: one.texts()[-1:] == [f"agent {at}"])
    await sockets[1].close()
    assert (await thandi.say(handoff_id, "and now"))["ok"]
    await eventually(lambda: sockets[0].texts()[-1:] == ["and now"])
    assert len(thandi.all("arrival")) == 1


async def test_a_killed_server_leaves_all_to_the_other(server, agent, relay_at, database, opened):
    """One of its agents comes back to the other server, one doesn't."""
    process, line = await serve_in_process(database)
    killed = SimpleNamespace(address=address_in(line))
    thandi, karoo = await agent(killed), await relay_at(killed)
    await agent(killed, "sipho")
    chats = [await karoo.initiate(department="billing") for _ in range(5)]
    for handoff_id in chats:
        assert (await thandi.take(handoff_id))["ok"]
    await karoo.close()
    for handoff_id in chats:  # waits for the relay in a lane of that server
        assert (await thandi.say(handoff_id, "before"))["ok"]
    process.kill()
    await within(process.communicate(), 15)
    back = agent_at(server.address)
    opened.append(back)
    back.cookie = thandi.cookie
    await back.connect()
    assert {one["handoff_id"] for one in back.all("ready")[0]["mine"]} == set(chats)
    again = await relay_at(server)
    for handoff_id in chats:
        assert (await again.say(handoff_id, f"still here {handoff_id}"))["ok"]
        await back.hears("message", text=f"still here {handoff_id}")
        assert (await back.say(handoff_id, "after"))["ok"]
    for handoff_id in chats:
        await eventually(lambda id=handoff_id: again.deliveries(id)[-1:] and words(again, id)[-1] == "after", 30)
        assert words(again, handoff_id)[-2:] == ["before", "after"]
    await eventually(lambda: is_away(database, "Sipho"), 30)
    assert await is_here(database, "Thandi")
    assert (await back.resolve(chats[0]))["ok"]
    await eventually(lambda: again.statuses(chats[0])[-1:] == ["completed"])


def words(relay, handoff_id):
    """Return the texts that came to a relay."""
    return [one["text"] for one in relay.deliveries(handoff_id) if "text" in one]


@pytest.mark.parametrize("takes", [200, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_of_two_agents_who_take_at_the_same_instant_one_has_it_each_time(server, second, agent, relay_at, takes):
    desks = [await agent(server, "thandi"), await agent(second, "sipho")]
    relays = [await relay_at(server), await relay_at(second)]
    won = Counter()
    for number in range(takes // AT_ONCE):
        ids = await asyncio.gather(*(relays[at % 2].initiate(department="billing") for at in range(AT_ONCE)))
        order = desks[:: 1 if number % 2 else -1]
        answers = await asyncio.gather(*(asyncio.gather(*(one.take(id) for one in order)) for id in ids))
        won.update(map(only_taker, answers))
    assert won.total() == takes
    assert min(won["Thandi"], won["Sipho"]) > takes // 20, won  # a race each time, not one server before the other


def only_taker(answers):
    """Return the name of the one agent who got the conversation."""
    (taken,) = (answer for answer in answers if answer["ok"])
    (refused,) = (answer for answer in answers if not answer["ok"])
    assert refused["code"] == "taken", refused
    return taken["conversation"]["agent"]["name"]


async def test_who_is_next_is_told_after_another_server_has_changed_that_conversation(server, agent, relay_at, rows):
    """The take doesn't wait for it, and nothing that the other one has changed is lost."""
    thandi, karoo = await agent(server), await relay_at(server)
    first, following = await karoo.initiate(), await karoo.initiate()
    with rows.engine.begin() as connection:
        away = update(HANDOFFS).where(HANDOFFS.c.handoff_id == following).values(customer_is_away=True)
        connection.execute(away)
        assert (await thandi.take(first))["ok"]
        assert rows.get(following).position == 2
    await eventually(lambda: rows.get(following).position == 1)
    assert rows.get(following).customer_is_away
