"""Conversations that another process has locked: who waits for one holds up no other, and the work on each keeps its order."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import psycopg2
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.engine import Connection

from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store.database_url import read_url
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.postgres import connector
from rasa_handoff.store.row_waits import about
from rasa_handoff.store.troubles import TROUBLES
from rasa_handoff.store.writer import Writer
from rasa_handoff.testing.waiting import eventually
from tests.core.test_shared_store import Process, Text
from tests.support.postgres_server import Database

A_FRACTION = 0.7
"""Seconds within which others go on: less than Postgres needs to notice a deadlock, and than a lock is waited for."""


@contextlib.contextmanager
def locked(postgres: Database, query: str) -> Iterator[Callable[[], None]]:
    """Lock rows as a process does that stands still; the block gets a function that ends that."""
    with contextlib.closing(connector(read_url(postgres.url))()) as standing_still, standing_still.cursor() as cursor:
        cursor.execute(query)
        yield standing_still.rollback


class Desk:
    """A desk that takes everything. ``lanes``: the conversations whose entries it got."""

    batch = 1
    recognises = True

    def __init__(self) -> None:
        self.lanes: list[str] = []

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        self.lanes.append(lane)


def _request(conversation_id: str) -> events.HandoffRequested:
    handoff_id = f"h-{conversation_id}"
    offer = Offer(handoff_id=handoff_id, conversation_id=conversation_id, bot_id="karoo", channel=Channel(name="rest"))
    return events.HandoffRequested(
        conversation_id=conversation_id, handoff_id=handoff_id, offer=offer, leaving_word="disconnect"
    )


async def test_messages_of_others_are_delivered_while_a_conversation_is_locked(postgres: Database) -> None:
    store = RelayStore(postgres.url, repository.metadata, repository.SIDE, repository.SCHEMA, shares=True)
    relay = Relay(store, Settings(bot_id="karoo", desk=DeskSettings(url="http://127.0.0.1:9"), channels={}))
    desk = Desk()
    await relay.open({DESK: desk, CUSTOMER: Desk(), TRACKER: Desk()})
    others = [f"lerato {number}" for number in range(5)]
    try:
        await relay.apply(_request("thabo"))
        with locked(postgres, "select * from conversation where conversation_id = 'thabo' for update") as go_on:
            began = time.monotonic()
            accepted = events.HandoffAccepted(conversation_id="thabo", handoff_id="h-thabo", position=None)
            waiting = asyncio.create_task(relay.apply(accepted))
            for other in others:
                await relay.apply(_request(other))
            await eventually(lambda: set(others) < set(desk.lanes))
            assert time.monotonic() - began < A_FRACTION
            assert not waiting.done()
            go_on()
            assert (await waiting).desk_active
            assert relay.conversation("thabo").desk_active
    finally:
        await relay.close()


@pytest.fixture
async def pair(postgres: Database) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes on one database, with a row each for two conversations."""
    got: list[str] = []
    async with Process(postgres.url, got) as first, Process(postgres.url, got) as second:
        rows = [{"name": name, "value": 0} for name in ("thabo", "lerato")]
        await first.store.write(lambda connection: connection.execute(insert(first.counters), rows))
        yield first, second


def _lock(process: Process, connection: Connection, lane: str) -> None:
    counters = process.counters
    connection.execute(select(counters).where(counters.c.name == lane).with_for_update()).all()


async def _say(process: Process, lane: str, id: str) -> None:
    def say(connection: Connection) -> None:
        about(connection, lane)
        _lock(process, connection, lane)
        process.outbox.put(connection, [Entry.of("desk", lane, "message", Text(id=id))])

    await process.store.write(say)


async def test_what_waits_for_a_conversation_keeps_its_order(pair: tuple[Process, Process], postgres: Database) -> None:
    first, _ = pair
    began = time.monotonic()
    with locked(postgres, "select * from counter where name = 'thabo' for update") as go_on:
        waiting = []
        for number in range(4):
            waiting += [asyncio.create_task(_say(first, "thabo", f"{number} {part}")) for part in ("a", "b")]
            await _say(first, "lerato", f"other {number}")
        assert time.monotonic() - began < A_FRACTION
        assert not any(one.done() for one in waiting)
        go_on()
        waiting.append(asyncio.create_task(_say(first, "thabo", "last")))
        await asyncio.gather(*waiting)
    await eventually(lambda: len(first.mine) == 4 + 9)
    said = [id for id in first.mine if not id.startswith("other")]
    assert said == [f"{number} {part}" for number in range(4) for part in ("a", "b")] + ["last"]


async def test_who_waits_too_long_is_told_so_and_what_comes_after_is_done(
    pair: tuple[Process, Process], postgres: Database
) -> None:
    first, _ = pair
    with locked(postgres, "select * from counter where name = 'thabo' for update"):
        with pytest.raises(TROUBLES):
            await _say(first, "thabo", "1")
        await _say(first, "lerato", "2")
    await _say(first, "thabo", "3")
    await eventually(lambda: first.mine == ["2", "3"])


async def test_a_lost_answer_to_the_commit_of_deferred_work_is_made_up_for(
    pair: tuple[Process, Process], postgres: Database
) -> None:
    first, _ = pair
    make_writer = first.store._deferral._make_writer

    def make_losing_writer() -> Writer:
        writer = make_writer()
        dialect, commit = writer.engine.dialect, writer.engine.dialect.do_commit

        def lose(connection: Any) -> None:
            dialect.do_commit = commit
            commit(connection)
            connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

        dialect.do_commit = lose
        return writer

    first.store._deferral._make_writer = make_losing_writer
    with locked(postgres, "select * from counter where name = 'thabo' for update") as go_on:
        unsure = asyncio.create_task(_say(first, "thabo", "1"))
        await eventually(lambda: first.store._deferral._under_way)
        go_on()
        later = asyncio.create_task(_say(first, "thabo", "2"))
        await asyncio.gather(unsure, later)
    await eventually(lambda: first.mine == ["1", "2"])


async def test_each_connection_has_its_limits(pair: tuple[Process, Process], postgres: Database) -> None:
    first, _ = pair
    limits = []

    def work(connection: Connection) -> None:
        about(connection, "thabo")
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        limits.append([connection.execute(text(f"show {name}")).scalar() for name in names])
        _lock(first, connection, "thabo")

    with locked(postgres, "select * from counter where name = 'thabo' for update") as go_on:
        waiting = asyncio.create_task(first.store.write(work))
        await eventually(lambda: len(limits) == 2)
        go_on()
        await waiting
    brief, long = limits
    assert (brief[0], long[0]) == ("100ms", "1500ms")
    assert brief[1:] == long[1:] == ["2s", "4s"]
    others = "datname = current_database() and pid <> pg_backend_pid()"
    shown = f"select distinct application_name from pg_stat_activity where {others}"
    assert postgres.execute(shown) == [("rasa-handoff",)]


async def test_batches_that_lock_in_opposite_order_wait_no_second(pair: tuple[Process, Process]) -> None:
    """Each has locked one row, and wants the other's."""
    first, second = pair
    both_have_one = threading.Barrier(2)
    met = threading.Event()

    def meeting(process: Process, lane: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            _lock(process, connection, lane)
            if not met.is_set():
                both_have_one.wait(2)
                met.set()

        return work

    def simple(process: Process, lane: str) -> Callable[[Connection], None]:
        return lambda connection: _lock(process, connection, lane)

    began = time.monotonic()
    await asyncio.gather(
        first.store.write(meeting(first, "thabo")),
        first.store.write(simple(first, "lerato")),
        second.store.write(meeting(second, "lerato")),
        second.store.write(simple(second, "thabo")),
    )
    assert time.monotonic() - began < A_FRACTION
