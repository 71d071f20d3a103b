"""Desks whose protocol knows no ids, with several relays on one Postgres: one of them is connected, and each word comes once."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from sqlalchemy import delete

from rasa_handoff.core.control import Control
from rasa_handoff.desks.base import Desk
from rasa_handoff.desks.desk_of_one_process import DeskOfOneProcess, for_one_process
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.desks.registry import desk_class
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import eventually
from tests.support.admin_window import Admin
from tests.support.foreign import ForeignServer
from tests.support.postgres_server import Database
from tests.support.started_processes import Process

PROGRAM: Final = """
import asyncio, json, sys
from rasa_handoff.protocol.channel_settings import read_settings
from tests.desks.test_desk_of_one_process import SharedSide

async def main():
    async with SharedSide(read_settings(json.loads(sys.argv[1]))) as side:
        await side.start()
        print("live", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class SharedSide(RelaySide):
    """A relay with its desk, of several that share a database."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(desk_class(settings.desk.type), settings)
        store = RelayStore(
            settings.store, repository.metadata, repository.SIDE, repository.SCHEMA, repository.STEPS, shares=True
        )
        self.relay = Relay(store, settings)
        self.own_desk: Desk = desk_class(settings.desk.type)(settings, self.relay)
        self.desk = for_one_process(self.own_desk, settings, self.relay)

    async def __aenter__(self) -> "SharedSide":
        await self.relay.open({DESK: self.desk, CUSTOMER: self.customer, TRACKER: self.tracker})
        await self.desk.open()
        return self


class Two(NamedTuple):
    """Two relays with one desk, and the settings of both."""

    first: SharedSide
    second: SharedSide

    def agent_messages(self) -> list[str]:
        """What customers were told by agents, by either process, in the order of each."""
        return [text for side in self for text in side.agent_messages()]


def said_by(postgres: Database, desk: dict[str, Any]) -> dict[str, Any]:
    """The settings of each process, as they stand in credentials.yml."""
    return {"bot_id": "b", "desk": desk, "store": postgres.url, "channels": {"rest": None}}


@pytest.fixture
async def server() -> AsyncIterator[ForeignServer]:
    async with ForeignServer() as one:
        yield one


@pytest.fixture
def settings(server: ForeignServer, postgres: Database) -> dict[str, Any]:
    return said_by(postgres, {"type": "botlhale", "url": server.url})


@pytest.fixture
async def two(settings: dict[str, Any]) -> AsyncIterator[Two]:
    async with SharedSide(read_settings(settings)) as first, SharedSide(read_settings(settings)) as second:
        yield Two(first, second)


async def stand_still(side: SharedSide, other: SharedSide) -> None:
    """Have another process take what this one has leased, and wait until it has noticed that."""
    before = side.relay.store.process
    processes = repository.processes.table
    ended = delete(processes).where(processes.c.id == before)
    await other.relay.store.write(lambda connection: connection.execute(ended))
    await eventually(lambda: side.relay.store.process != before)


async def test_whichever_process_the_customer_comes_to_one_socket_has_the_conversation(
    two: Two, server: ForeignServer
) -> None:
    await two.second.start()
    assert [two.first.desk.connected, two.second.desk.connected] == [True, False]
    for number in range(6):
        await two[number % 2].says(f"customer {number}")
    for number in range(3):
        await server.say("to_user", {"message": f"agent {number}"})
    await eventually(lambda: len(two.agent_messages()) >= 3)
    await eventually(lambda: len(server.texts("thabo")) >= 6)
    assert server.texts("thabo") == [f"customer {number}" for number in range(6)]
    assert sorted(two.agent_messages()) == ["agent 0", "agent 1", "agent 2"]
    assert len(server.sockets) == 1
    await server.say("disconnect_socket", {})
    await eventually(lambda: all(side.relay.conversation("thabo").state is Control.BOT for side in two))


async def test_a_clean_end_of_the_connected_process_passes_the_desk_on(
    settings: dict[str, Any], server: ForeignServer
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(SharedSide(read_settings(settings)))
        async with SharedSide(read_settings(settings)) as second:
            await second.start()
            await stack.aclose()
            assert not first.desk.connected
            await eventually(lambda: second.desk.connected)
            await second.says("still there?")
            await eventually(lambda: server.texts("thabo") == ["still there?"])
            await server.say("to_user", {"message": "yes"})
            await eventually(lambda: second.agent_messages() == ["yes"])


@pytest.mark.timeout(120)
async def test_when_the_connected_process_is_killed_another_goes_on(
    settings: dict[str, Any], server: ForeignServer, tmp_path: Path
) -> None:
    async with Process([sys.executable, "-c", PROGRAM, json.dumps(settings)], tmp_path) as first:
        await eventually(lambda: "live" in first.said(), 60)
        async with SharedSide(read_settings(settings)) as second:

            async def nothing_waits() -> bool:
                return not await second.relay.waiting_entries(DESK, "thabo")

            assert second.relay.conversation("thabo").desk_active
            await second.says("before")
            await eventually(lambda: server.texts("thabo") == ["before"])
            # Killed before it has noted that, it would have it sent again: the protocol has no ids.
            await eventually(nothing_waits)
            first.kill()
            await second.says("between")
            await eventually(lambda: second.desk.connected, 30)
            await second.says("after")
            await eventually(lambda: len(server.texts("thabo")) >= 3, 20)
            assert server.texts("thabo") == ["before", "between", "after"]
            await server.say("to_user", {"message": "yes"})
            await eventually(lambda: second.agent_messages() == ["yes"])


async def test_a_process_that_stood_still_lets_go_of_the_desk(two: Two, server: ForeignServer) -> None:
    await two.first.start()
    await stand_still(two.first, two.second)
    await eventually(lambda: two.second.desk.connected and not two.first.desk.connected)
    await eventually(lambda: server.sockets[0] in server.gone and len(server.sockets) == 2)
    for number in range(4):
        await two[number % 2].says(f"customer {number}")
    await eventually(lambda: len(server.texts("thabo")) >= 4)
    assert server.texts("thabo") == [f"customer {number}" for number in range(4)]
    await eventually(lambda: server.socket_of["thabo"] == server.sockets[1])
    await server.say("to_user", {"message": "yes"})
    await eventually(lambda: two.agent_messages() == ["yes"])
    await stand_still(two.second, two.first)  # and back
    await eventually(lambda: two.first.desk.connected and not two.second.desk.connected)
    await two.second.says("again")
    await eventually(lambda: server.texts("thabo")[-1] == "again")


async def test_the_tkinter_window_is_shared_by_processes_of_one_machine(postgres: Database) -> None:
    async with Admin() as admin:
        desk = {"type": "tkinter", "admin_port": admin.admin_port, "listen_port": admin.listen_port}
        settings = read_settings(said_by(postgres, desk))
        async with SharedSide(settings) as first, SharedSide(settings) as second:
            two = Two(first, second)
            await two.second.start()
            await two.second.says("from the second")
            await eventually(lambda: "from the second" in admin.window.shown)
            await two.first.says("from the first")
            await eventually(lambda: "from the first" in admin.window.shown)
            assert admin.window.shown.count("from the second") == 1
            await admin.say("hello")
            await eventually(lambda: two.agent_messages() == ["hello"])


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    desk = {"type": "botlhale", "url": "http://127.0.0.1:9"}
    given = {"bot_id": "b", "desk": desk, "store": f"sqlite:///{tmp_path / 'relay.db'}", "channels": {"rest": None}}
    return read_settings(given)


def test_what_needs_no_other_process_is_left_as_it_is(alone: Settings, postgres: Database) -> None:
    assert not isinstance(SharedSide(alone).desk, DeskOfOneProcess)
    shared = msgspec.structs.replace(alone, store=postgres.url)
    assert isinstance(SharedSide(shared).desk, DeskOfOneProcess)
    ours = msgspec.structs.replace(shared, desk=msgspec.structs.replace(alone.desk, type="rasa-handoff"))
    assert type(SharedSide(ours).desk) is OurDesk
