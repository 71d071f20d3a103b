"""Both sides move to other databases in the middle of a chat, one after the other: nothing is lost, and nothing comes twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection

from rasa_handoff.cli import main
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import live
from tests.rasa.handoff.test_dead_letters import letters
from tests.support.postgres_server import Postgres

SAID: Final = [f"agent {number}" for number in range(4)]


class Urls(NamedTuple):
    """The databases of both sides."""

    relay: str
    server: str


@pytest.fixture(params=["sqlite", "postgres"])
def moved(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> Iterator[tuple[Urls, Urls]]:
    """The databases of a kind that both sides begin with, and those of the other kind that they are moved to."""
    on_postgres = [postgres_server.fresh(), postgres_server.fresh()]
    files = Urls(f"sqlite:///{tmp_path / 'relay.db'}", f"sqlite:///{tmp_path / 'desk.db'}")
    servers = Urls(*(database.url for database in on_postgres))
    yield (files, servers) if request.param == "sqlite" else (servers, files)
    for database in on_postgres:
        postgres_server.drop(database)


class Thabo:
    """A customer on rest, who fetches what waits for him whenever he writes."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.received: list[str] = []

    async def says(self, rasa: RasaServer, text: str) -> None:
        self.said.append(text)
        self.received += await rasa.texts(text)

    async def fetches(self, rasa: RasaServer, last: str) -> None:
        """Write until this has come."""

        async def has_come() -> bool:
            await self.says(rasa, f"and? {len(self.said)}")
            return last in self.received

        await eventually(has_come, seconds=20)

    @property
    def of_agents(self) -> list[str]:
        return [text for text in self.received if text.startswith("agent")]


@pytest.mark.sqlite  # it brings its own databases of both kinds
async def test_a_live_chat_goes_on_in_the_databases_that_both_sides_were_moved_to(
    small_model: Path, moved: tuple[Urls, Urls], tmp_path: Path
) -> None:
    first, then = moved
    thabo, desk = Thabo(), DeskServer(tmp_path, database=first.server)
    desk.add_department("billing", "Billing")
    desk.add_agent("Thandi", "billing")

    def rasa_on(url: str) -> RasaServer:
        return RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, store=url))

    async with desk, ScriptedAgent(desk.url, "thandi@example.com") as thandi:
        async with rasa_on(first.relay) as rasa:
            handoff_id = await live(rasa, thandi)
            thabo.said.append("before")
            await rasa.texts("/execute_handoff", "lerato")
            await eventually(lambda: thandi.sees_a_queue)
            assert (await thandi.say(handoff_id, SAID[0]))["ok"]
            await eventually(lambda: rasa.channel.relay.waiting_entries(CUSTOMER, "thabo"))
            await rasa.channel.store.write(set_something_aside)
        # Rasa is away: this waits at the server.
        assert (await thandi.say(handoff_id, SAID[1]))["ok"]
        await move(first.relay, then.relay)

        async with rasa_on(then.relay) as rasa:
            await thabo.fetches(rasa, SAID[1])
            await thandi.hears("message", text=thabo.said[-1])
            await thandi.sio.disconnect()
            await desk.__aexit__(None, None, None)
            await eventually(lambda: not rasa.channel.desk.connected)
            # The desk is away: this waits at the relay.
            await thabo.says(rasa, "is anybody there?")
            await move(first.server, then.server)
            desk.database = then.server
            await desk.__aenter__()

            async with ScriptedAgent(desk.url, "thandi@example.com") as again:
                assert (await again.take_next())["handoff_id"] != handoff_id, "Lerato waits as before"
                await eventually(lambda: desk_shows(again, handoff_id, thabo.said))
                for said in SAID[2:]:
                    assert (await again.say(handoff_id, said))["ok"]
                await thabo.fetches(rasa, SAID[-1])
                assert thabo.of_agents == SAID
                await eventually(lambda: desk_shows(again, handoff_id, thabo.said))
                assert (await again.resolve(handoff_id))["ok"]
                await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
                assert (await rasa.texts("/greet"))[-1] == "Hello."
                assert rasa.channel.relay.silences_bot("lerato")
            assert [letter.reason for letter in await letters(rasa)] == ["Nobody is there."]


def set_something_aside(connection: Connection) -> None:
    """Make a dead letter."""
    entry = Entry(target=CUSTOMER, lane="nobody's", name="agent", body={"id": "1", "text": "t"})
    (put,) = repository.outbox.put(connection, [entry])
    repository.outbox.set_aside(connection, put.key, "Nobody is there.")


async def move(source: str, target: str) -> None:
    """Give the command, and check that timers have come along."""
    assert await asyncio.to_thread(main, ["move-database", source, target]) == 0
    timers = [timers_of(url) for url in (source, target)]
    assert timers[0]
    assert timers[0] == timers[1]


def timers_of(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = sorted(tuple(row) for row in connection.execute(text("SELECT key, kind, due FROM timer")))
    engine.dispose()
    return found


async def desk_shows(agent: ScriptedAgent, handoff_id: str, texts: list[str]) -> bool:
    """Whether the desk shows these messages of the customer, and no others."""
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    return [said["text"] for said in conversation["messages"] if said["speaker"] == "customer"] == texts
