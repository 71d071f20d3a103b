"""Two Rasa servers and two live-agent servers: with the bus in trouble, words arrive both ways within three seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from rasa_handoff.server.storage.tables import SIDE
from rasa_handoff.store.bus import channel_of
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer

ARRIVES = 3.0
"""Seconds, whatever happens to the bus."""
MEGABYTES = 33
"""More than the 32 MB that Redis keeps for a subscriber before it ends the connection."""


class Chat(NamedTuple):
    """A customer whose page is at the first Rasa server, and an agent at the second live-agent server.

    The first Rasa server's relay is connected to the first live-agent server, the second's to the second: each word crosses
    both sides' buses or one of them.
    """

    customer: ScriptedCustomer
    agent: ScriptedAgent
    handoff_id: str

    def of_customer(self) -> list[str]:
        """Return what the agent has got of the customer."""
        said = [message["text"] for message in self.agent.all("message") if message["speaker"] == "customer"]
        return [text for text in said if text.startswith("customer ")]

    def of_agent(self) -> list[str]:
        """Return what the customer's page has shown of the agent."""
        return [text for text in self.customer.shown if text.startswith("agent ")]

    async def both_speak(self, number: int) -> None:
        """Let both say something at once, and wait until each has heard the other, in time."""
        spoken = self.agent.say(self.handoff_id, f"agent {number}")
        _, answer = await asyncio.gather(self.customer.say(f"customer {number}"), spoken)
        assert answer["ok"], answer
        await eventually(lambda: self.of_customer()[-1:] == [f"customer {number}"], ARRIVES, "the customer's words")
        await eventually(lambda: self.of_agent()[-1:] == [f"agent {number}"], ARRIVES, "the agent's words")

    def lost_nothing(self, count: int) -> bool:
        numbers = range(count)
        return (self.of_customer(), self.of_agent()) == (
            [f"customer {number}" for number in numbers],
            [f"agent {number}" for number in numbers],
        )


class Setting:
    """The servers of a test, and the troubles of their bus."""

    def __init__(self, relays: Database, desks: Database, redis: RedisServer | None) -> None:
        self.relays, self.desks, self.redis = relays, desks, redis
        self.rasa: list[RasaServer] = []
        self.servers: list[DeskServer] = []

    @property
    def bus(self) -> str | None:
        """The URL of the bus; None: LISTEN/NOTIFY."""
        return self.redis.url if self.redis else None

    def cut_listeners(self) -> None:
        """End the connections by which the processes of both sides hear of each other."""
        if self.redis is not None:
            self.redis.cut_subscribers()
            return
        for database in (self.relays, self.desks):
            database.cut("LISTEN%")

    def cut_all(self) -> None:
        """End the connections by which they tell each other, too."""
        self.cut_listeners()
        if self.redis is not None:
            self.redis.cut()
            return
        for database in (self.relays, self.desks):
            database.cut("%pg_notify%")

    def publish_megabytes(self) -> None:
        """Publish more on each side's channel than Redis keeps for a subscriber."""
        assert self.redis is not None
        with self.redis.client() as client:
            for name in self.channels:
                client.eval(f"redis.call('publish', KEYS[1], string.rep('x', {MEGABYTES} * 1048576))", 1, name)

    @property
    def channels(self) -> list[str]:
        """The channels of both sides."""
        epoch = self.desks.execute("select value from meta where key = 'epoch'")[0][0]
        return [
            channel_of(name) for name in (self.rasa[0].channel.relay.store.bus_name, f"rasa_handoff_{SIDE}_{epoch}")
        ]


@pytest.fixture
def lock_store() -> Iterator[RedisServer]:
    """A Redis of its own for Rasa's locks, so that what befalls the bus befalls nothing else."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["redis", "notify"])
def setting(request: pytest.FixtureRequest, postgres_server: Postgres) -> Iterator[Setting]:
    redis = request.getfixturevalue("redis_server") if request.param == "redis" else None
    one = Setting(postgres_server.fresh(), postgres_server.fresh(), redis)
    yield one
    for database in (one.relays, one.desks):
        postgres_server.drop(database)


@pytest.fixture
async def chat(
    setting: Setting, postgres: Database, lock_store: RedisServer, small_model: Path, tmp_path: Path
) -> AsyncIterator[Chat]:
    locks = {"type": "redis", "url": "127.0.0.1", "port": lock_store.port}
    endpoints = {"tracker_store": postgres.tracker_store(), "lock_store": locks}
    async with AsyncExitStack() as stack:
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            server = DeskServer(folder, database=setting.desks.url, bus=setting.bus)
            if not setting.servers:
                server.add_agent("Thandi")
            setting.servers.append(await stack.enter_async_context(server))
            settings = credentials(server.url, folder, store=setting.relays.url, bus=setting.bus)
            rasa = RasaServer(small_model, folder, settings, endpoints)
            setting.rasa.append(await stack.enter_async_context(rasa))
        await eventually(lambda: all(rasa.channel.desk.connected for rasa in setting.rasa))
        agent = await stack.enter_async_context(ScriptedAgent(setting.servers[1].url, "thandi@example.com"))
        await eventually(lambda: setting.rasa[0].channel.desk.availability.staffed)
        customer = await stack.enter_async_context(ScriptedCustomer(setting.rasa[0].url, acks=True))
        await customer.say("/execute_handoff")
        one = Chat(customer, agent, (await agent.take_next())["handoff_id"])
        await one.both_speak(0)
        yield one


@pytest.mark.parametrize("cut", [Setting.cut_listeners, Setting.cut_all], ids=["listeners", "all"])
async def test_connections_of_the_bus_are_cut(setting: Setting, chat: Chat, cut: Callable[[Setting], None]) -> None:
    for number in range(1, 6):
        cut(setting)
        await chat.both_speak(number)
    assert chat.lost_nothing(6)


@pytest.mark.parametrize("setting", ["redis"], indirect=True)
async def test_subscribers_are_killed_and_33_megabytes_published_in_between(setting: Setting, chat: Chat) -> None:
    for number in range(1, 5):
        setting.cut_listeners()
        if number % 2:
            await asyncio.to_thread(setting.publish_megabytes)
            await chat.both_speak(number)
        else:
            await asyncio.gather(asyncio.to_thread(setting.publish_megabytes), chat.both_speak(number))
    assert chat.lost_nothing(5)


@pytest.mark.parametrize("setting", ["redis"], indirect=True)
@pytest.mark.parametrize("trouble", [RedisServer.stopped, RedisServer.away], ids=["stopped", "killed"])
async def test_redis_is_stopped_or_killed(
    setting: Setting, chat: Chat, trouble: Callable[[RedisServer], AbstractContextManager[None]]
) -> None:
    assert setting.redis is not None
    for number in range(1, 17, 8):
        with trouble(setting.redis):
            for then in range(4):
                await chat.both_speak(number + then)
        for then in range(4, 8):
            await chat.both_speak(number + then)
    assert chat.lost_nothing(17)


@pytest.mark.parametrize("setting", ["redis"], indirect=True)
async def test_words_of_a_while_without_the_bus_are_told_in_order(setting: Setting, chat: Chat) -> None:
    assert setting.redis is not None
    with setting.redis.stopped():
        for number in range(1, 21):
            await chat.customer.say(f"customer {number}")
            assert (await chat.agent.say(chat.handoff_id, f"agent {number}"))["ok"]
        await eventually(lambda: chat.lost_nothing(21), ARRIVES)
