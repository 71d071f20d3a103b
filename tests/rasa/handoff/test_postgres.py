"""The whole on Postgres: the relay's database, the server's and the tracker store. Stopped, it refuses; then it goes on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import NOT_TAKEN, live
from tests.support.postgres_server import Database, Postgres


@pytest.fixture
async def desk(postgres_server: Postgres, tmp_path: Path) -> AsyncIterator[DeskServer]:
    """A live-agent server on a database of its own."""
    own = postgres_server.fresh()
    server = DeskServer(tmp_path, database=own.url)
    server.add_department("billing", "Billing")
    server.add_agent("Thandi", "billing")
    async with server:
        yield server
    postgres_server.drop(own)


@pytest.fixture
async def rasa(
    small_model: Path, desk: DeskServer, tmp_path: Path, postgres: Database, postgres_server: Postgres
) -> AsyncIterator[RasaServer]:
    """Rasa with the relay's database and the tracker store on Postgres."""
    trackers = postgres_server.fresh()
    settings = credentials(desk.url, tmp_path, store=postgres.url)
    async with RasaServer(small_model, tmp_path, settings, {"tracker_store": trackers.tracker_store()}) as server:
        yield server
    postgres_server.drop(trackers)


async def test_a_whole_handoff_loses_nothing_though_every_connection_is_cut_meanwhile(
    rasa: RasaServer, thandi: ScriptedAgent, postgres_server: Postgres
) -> None:
    handoff_id, received = await live(rasa, thandi), []
    for number in range(3):
        _cut_all(postgres_server)
        received += await rasa.texts(f"customer {number}")
        await thandi.hears("message", text=f"customer {number}")
        _cut_all(postgres_server)
        assert (await thandi.say(handoff_id, f"agent {number}"))["ok"]

    async def all_heard() -> bool:
        received.extend(await rasa.texts("and?"))
        return "agent 2" in received

    await eventually(all_heard)
    assert received == ["agent 0", "agent 1", "agent 2"]
    assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
    await eventually(lambda: not rasa.channel.relay.under_way)
    assert (await rasa.texts("/greet"))[-1] == "Hello."
    said = [event.get("text") for event in await rasa.events()]
    assert [text for text in said if str(text).startswith("agent")] == ["agent 0", "agent 1", "agent 2"]


async def test_while_it_is_stopped_both_sides_refuse_within_seconds_and_then_it_goes_on(
    rasa: RasaServer, thandi: ScriptedAgent, postgres_server: Postgres
) -> None:
    handoff_id = await live(rasa, thandi)
    with postgres_server.stopped():
        assert await rasa.texts("while stopped") == [NOT_TAKEN]
        assert (await thandi.say(handoff_id, "agent, while stopped"))["code"] == "unavailable"
        async with rasa.http.get(f"{thandi.url}/health") as health:
            assert health.status == 503
    await eventually(lambda: _is_taken(rasa, "after"), seconds=20)
    await thandi.hears("message", text="after")
    texts = [data["text"] for name, data in thandi.received if name == "message" and data["speaker"] == "customer"]
    assert texts == ["before", "after"]
    await eventually(lambda: _is_well(rasa, thandi.url), seconds=20)
    assert (await thandi.say(handoff_id, "agent, after"))["ok"]


def _cut_all(server: Postgres) -> None:
    server.execute("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname like 'test%'")


async def _is_taken(rasa: RasaServer, text: str) -> bool:
    return await rasa.texts(text) == []


async def _is_well(rasa: RasaServer, url: str) -> bool:
    async with rasa.http.get(f"{url}/health") as health:
        return health.status == 200
