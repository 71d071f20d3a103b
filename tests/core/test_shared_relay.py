"""Several relays on one Postgres: leases of turns, pages and the desk, when a process stands still or the database is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import delete

from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import Database

WHO = "thabo"


class Nobody:
    """A target for which there is nothing."""

    batch = 1
    recognises = True

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        """Accept everything."""


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Relay]:
    store = RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA, shares=True)
    relay = Relay(store, Settings(bot_id="karoo", desk=DeskSettings(url="http://127.0.0.1:9"), channels={}))
    await relay.open(dict.fromkeys((DESK, CUSTOMER, TRACKER), Nobody()))
    try:
        yield relay
    finally:
        await relay.close()


@pytest.fixture
async def pair(postgres: Database) -> AsyncIterator[tuple[Relay, Relay]]:
    """Two relays on one database."""
    async with _opened(postgres.url) as first, _opened(postgres.url) as second:
        yield first, second


async def _turn(relay: Relay) -> bool:
    async with relay.turns.turn(WHO):
        return True


async def _stand_still(relay: Relay, other: Relay) -> None:
    """Have another process end this one's leases, and wait until it has noticed that."""
    before = relay.store.process
    processes = repository.processes.table
    await other.store.write(lambda connection: connection.execute(delete(processes).where(processes.c.id == before)))
    await eventually(lambda: relay.store.process != before)


async def test_a_turn_that_ended_while_the_database_was_away_holds_up_no_other(
    pair: tuple[Relay, Relay], postgres: Database
) -> None:
    first, second = pair
    with contextlib.ExitStack() as stack:
        async with first.turns.turn(WHO):
            stack.enter_context(postgres.locked("turn"))
        with pytest.raises(StoreError):
            await _turn(second)
    await eventually(lambda: postgres.execute("select 1 from turn") == [])
    assert await asyncio.wait_for(_turn(first), 10)
    assert await asyncio.wait_for(_turn(second), 10)


async def test_a_turn_that_was_given_up_while_its_lease_was_taken_holds_up_no_other(pair: tuple[Relay, Relay]) -> None:
    first, second = pair
    given_up = asyncio.create_task(_turn(first))
    while not first.store._waiting:  # noqa: ASYNC110 (its statement is about to be in the next commit)
        await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    for relay in (second, first):
        assert await asyncio.wait_for(_turn(relay), 10)


async def test_pages_and_the_desk_are_still_known_after_a_process_stood_still(pair: tuple[Relay, Relay]) -> None:
    first, second = pair
    await first.pages.came(WHO)
    await first.pages.came("lerato")
    await first.pages.went("lerato")
    await first.note_desk_connected(True)
    await _stand_still(first, second)

    async def known() -> bool:
        found = (await second.pages.elsewhere(WHO), await second.process_at_desk())
        return found == (first.store.process, first.store.process)

    await eventually(known)
    assert await second.pages.elsewhere("lerato") is None


async def test_a_process_isnt_given_its_own_lanes_for_the_desk(pair: tuple[Relay, Relay]) -> None:
    """Its row says that it is connected, and it has just lost the connection."""
    first, second = pair
    await first.note_desk_connected(True)
    assert await first.process_at_desk() is None
    assert await second.process_at_desk() == first.store.process
    await second.note_desk_connected(True)
    assert await first.process_at_desk() == second.store.process
