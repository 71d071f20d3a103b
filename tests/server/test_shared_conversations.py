"""Two servers over one database: their agents see, take and hold the same conversations."""

import asyncio

import pytest
from sqlalchemy import create_engine, select, update

from rasa_handoff.server.storage.tables import HANDOFFS
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay, agent_at

pytestmark = [
    pytest.mark.usefixtures("shared_databases"),
    pytest.mark.parametrize("database", ["postgres"], indirect=True),
]

AT_ONCE = 200


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


async def test_of_two_agents_who_take_at_the_same_instant_one_has_it_each_time(server, second, agent, relay_at):
    desks, karoo = [await agent(server, "thandi"), await agent(second, "sipho")], await relay_at(server)
    for number in range(AT_ONCE):
        handoff_id = await karoo.initiate(department="billing")
        answers = await asyncio.gather(*(one.take(handoff_id) for one in desks[:: 1 if number % 2 else -1]))
        (taken,) = (answer for answer in answers if answer["ok"])
        (refused,) = (answer for answer in answers if not answer["ok"])
        assert refused["code"] == "taken", refused
        assert (await desks[0].resolve(handoff_id))["ok"] is (taken["conversation"]["agent"]["name"] == "Thandi")


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
