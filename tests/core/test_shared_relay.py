"""Several relays on one Postgres: leases of turns, pages and the desk, when a process stands still or the database is away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control, Conversation
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store.membership import LEASE, NOW
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


class AwayDesk(Nobody):
    """A desk that can't be reached."""

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        """Accept nothing."""
        raise Unreachable("away")


@contextlib.asynccontextmanager
async def _opened(url: str, start_timeout: float = 10.0) -> AsyncIterator[Relay]:
    store = RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA, shares=True)
    desk = DeskSettings(url="http://127.0.0.1:9")
    relay = Relay(store, Settings(bot_id="karoo", desk=desk, channels={}, start_timeout=start_timeout))
    await relay.open({DESK: AwayDesk(), CUSTOMER: Nobody(), TRACKER: Nobody()})
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
    await first.others.note_desk_connected(True)
    await _stand_still(first, second)

    async def known() -> bool:
        found = (await second.pages.elsewhere(WHO), await second.others.process_at_desk())
        return found == (first.store.process, first.store.process)

    await eventually(known)
    assert await second.pages.elsewhere("lerato") is None


async def test_a_process_isnt_given_its_own_lanes_for_the_desk(pair: tuple[Relay, Relay]) -> None:
    """Its row says that it is connected, and it has just lost the connection."""
    first, second = pair
    await first.others.note_desk_connected(True)
    assert await first.others.process_at_desk() is None
    assert await second.others.process_at_desk() == first.store.process
    await second.others.note_desk_connected(True)
    assert await first.others.process_at_desk() == second.store.process


@pytest.fixture
def old_requests_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a request as one that nobody waits for 0.3 s after the desk should have answered it."""
    monkeypatch.setattr("rasa_handoff.relay.handoff_requests.OLD_REQUEST_SECONDS", 0.3)
    monkeypatch.setattr("rasa_handoff.relay.handoff_requests.LOOK_SECONDS", 0.05)


async def _requested(relay: Relay) -> "asyncio.Task[Conversation]":
    """Ask for a person in a conversation whose handoff began by other clocks or with a transcript that came late."""
    offer = Offer(handoff_id="h-1", conversation_id=WHO, bot_id="karoo", channel=Channel(name="rest"))
    event = events.HandoffRequested(conversation_id=WHO, handoff_id="h-1", offer=offer, leaving_word="disconnect")
    asked = asyncio.create_task(relay.requests.offer(event))
    await eventually(lambda: relay.conversation(WHO).state is Control.REQUESTED)
    return asked


@pytest.mark.usefixtures("old_requests_end_soon")
async def test_a_request_isnt_ended_by_another_process_while_the_one_that_asked_waits(postgres: Database) -> None:
    async with _opened(postgres.url, 1.5) as first, _opened(postgres.url, 1.5) as second:
        began = time.monotonic()
        asked = await _requested(first)
        postgres.execute("update handoff set started_at = started_at - 3600")
        await eventually(lambda: second.conversation(WHO).state is Control.REQUESTED)
        assert (await asked).state is Control.BOT
        assert time.monotonic() - began >= 1.5


@pytest.mark.usefixtures("old_requests_end_soon")
async def test_a_request_of_a_process_that_has_ended_is_ended_by_another(postgres: Database) -> None:
    async with _opened(postgres.url, 0.5) as first, _opened(postgres.url, 0.5) as second:
        asked = await _requested(first)
        asked.cancel()
        postgres.execute("update handoff set started_at = started_at + 3600")
        await eventually(lambda: second.conversation(WHO).state is Control.BOT, 5)


async def test_a_process_that_was_killed_is_not_taken_for_one_at_work(postgres: Database) -> None:
    """Its row lasts for some seconds. A single process without a shared lock store has to start again beside it."""

    def leave_row(connection: Connection) -> None:
        repository.processes.add(connection, "killed")
        connection.execute(update(repository.processes.table).values(seen_at=NOW - LEASE + 2))

    async with _opened(postgres.url) as relay:
        await relay.store.write(leave_row)
        assert not await relay.others.are_at_work()
        async with _opened(postgres.url):
            assert await relay.others.are_at_work()
