"""Several processes on one Postgres in trouble: they stand still, the database is away, a lane has two holders."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import Waits
from rasa_handoff.store import change_log
from rasa_handoff.store import membership as membership_module
from rasa_handoff.store.change_log import LoggedChange, Snapshot
from rasa_handoff.store.database_url import read_url
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.postgres import connector
from rasa_handoff.store.troubles import TROUBLES
from rasa_handoff.testing.waiting import eventually
from tests.core.test_shared_store import DESK, Process, Text
from tests.support.postgres_server import Database

LANE = (DESK, "thabo")


@pytest.fixture
async def pair(postgres: Database) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes on one database."""
    got: list[str] = []
    async with Process(postgres.url, got) as first, Process(postgres.url, got) as second:
        yield first, second


def _lose(process: Process) -> None:
    """Have a process find out that it stood still, with the next heartbeat, and begin nothing until then."""
    process.sharing.membership._renewed_at = float("-inf")


async def test_what_another_delivered_while_this_one_stood_still_is_not_delivered_again(
    pair: tuple[Process, Process],
) -> None:
    first, second = pair
    gathered = asyncio.Event()

    async def process_of(lane: str) -> None:
        gathered.set()

    first.process_of = process_of  # type: ignore[method-assign]
    _lose(first)
    await first.put("1")
    await gathered.wait()
    row = first.processes.table.c.id == first.store.process
    await second.store.write(lambda connection: connection.execute(first.processes.table.delete().where(row)))
    await eventually(lambda: second.mine == ["1"])
    await eventually(lambda: first.sharing.membership.is_valid)
    await first.put("2", "lerato")
    await eventually(lambda: "2" in first.mine)
    assert first.got == ["1", "2"]


async def test_a_lane_with_two_holders_is_delivered_in_order_by_the_one_with_its_first_entry(
    pair: tuple[Process, Process],
) -> None:
    """One takes what rests while the other writes: both have looked before the other's commit."""
    first, second = pair
    first.problem = Waits("away")
    await first.put("1")
    await eventually(lambda: not first.dispatcher.running(LANE))
    second.gate.clear()
    looked, claimed = threading.Event(), threading.Event()

    def put(connection: Connection) -> None:
        entry = Entry.of(DESK, "thabo", "message", Text(id="2"))
        first.outbox.put(connection, [entry])
        looked.set()
        assert claimed.wait(2)

    first.problem = None
    putting = asyncio.create_task(first.store.write(put))
    await asyncio.get_running_loop().run_in_executor(None, looked.wait)
    second.dispatcher.notify([LANE])
    await eventually(lambda: second.dispatcher._lanes[LANE].known)
    claimed.set()
    await putting
    await first.put("3")
    second.gate.set()
    await eventually(lambda: len(first.got) >= 3)
    assert first.got == ["1", "2", "3"]
    await eventually(lambda: first.is_empty())


async def test_an_entry_that_goes_with_a_response_is_not_given_to_another_process(
    pair: tuple[Process, Process],
) -> None:
    first, second = pair
    first.problem, first.keeps_lanes = Waits("it goes with the response"), True
    await first.put("1")
    await eventually(lambda: not first.dispatcher.running(LANE))
    second.dispatcher.notify([LANE])
    await second.dispatcher.notify_all()
    await eventually(lambda: not second.dispatcher.running(LANE))
    assert second.mine == []
    first.problem, first.keeps_lanes = None, False
    first.dispatcher.notify([LANE])
    await eventually(lambda: first.mine == ["1"])


async def test_what_rests_after_an_end_is_taken_once_the_database_can_be_read(
    pair: tuple[Process, Process], postgres: Database
) -> None:
    first, second = pair
    first.problem = Waits("away")
    await first.put("1")
    await eventually(lambda: not first.dispatcher.running(LANE))
    with postgres.locked("outbox"):
        second.dispatcher.look_for_resting()
        with pytest.raises(TROUBLES):
            await second.is_empty()
    await eventually(lambda: second.mine == ["1"])


async def test_one_conversation_that_is_locked_holds_up_no_other(
    pair: tuple[Process, Process], postgres: Database
) -> None:
    """A process stands still within a transaction: what it has locked is free again before long, and others go on."""
    _, second = pair
    counters = second.counters

    def add(connection: Connection) -> None:
        connection.execute(counters.insert(), [{"name": "a", "value": 0}, {"name": "b", "value": 0}])

    async def count(name: str) -> None:
        change = update(counters).where(counters.c.name == name).values(value=counters.c.value + 1)
        await second.store.write(lambda connection: connection.execute(change))

    await second.store.write(add)
    with contextlib.closing(connector(read_url(postgres.url))()) as standing_still, standing_still.cursor() as cursor:
        cursor.execute("update counter set value = value + 1 where name = 'a'")
        outcomes = await asyncio.gather(count("a"), count("b"), return_exceptions=True)
        assert outcomes[1] is None

        async def is_free() -> bool:
            with contextlib.suppress(*TROUBLES):
                await count("a")
                return True
            return False

        await eventually(is_free)


async def test_an_outage_of_the_database_ends_no_lease(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair
    monkeypatch.setattr(membership_module, "LOOK_FOR_ENDED", 1)
    before = [process.store.process for process in pair]
    table = first.processes.table
    for process in pair:
        process.sharing.membership._renewed_at = time.monotonic() - membership_module.LEASE
    await first.store.write(
        lambda connection: connection.execute(table.update().values(seen_at=table.c.seen_at - membership_module.LEASE))
    )
    await eventually(lambda: all(process.sharing.membership.is_valid for process in pair))
    assert [process.store.process for process in pair] == before


async def test_an_entry_removed_while_its_lane_is_read_is_not_delivered(pair: tuple[Process, Process]) -> None:
    first, _ = pair
    first.problem = Waits("away")
    await first.put("1")
    await first.put("2")
    await eventually(lambda: not first.dispatcher.running(LANE))
    entries = await first.store.write(lambda connection: first.outbox.head(connection, *LANE))
    first.problem = None
    first.dispatcher.notify([LANE])
    while not first.store._waiting:  # noqa: ASYNC110 (its read is about to be in the next commit)
        await asyncio.sleep(0)
    await first.store.write(lambda connection: first.outbox.remove(connection, entries[:1]))
    await eventually(lambda: first.mine == ["2"])
    assert first.got == ["2"]


async def test_lanes_that_another_process_has_are_not_remembered(pair: tuple[Process, Process]) -> None:
    first, second = pair
    for number in range(5):
        first.others[f"lane {number}"] = second
        await first.put(f"{number}", f"lane {number}")
    await eventually(lambda: len(second.mine) == 5 and not first.dispatcher._tasks)
    assert not first.dispatcher._resting


async def test_a_long_transaction_of_somebody_else_makes_nobody_read_changes_twice(
    pair: tuple[Process, Process], postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that begins after it is younger than a transaction that is under way, until that ends."""
    first, _ = pair
    change, read = change_log._change, list[str]()

    def note_reading(row: Any) -> LoggedChange:
        read.append(row.subject)
        return change(row)

    monkeypatch.setattr(change_log, "_change", note_reading)
    log, subjects = first.outbox.change_log, [f"change {number}" for number in range(10)]
    with contextlib.closing(connector(read_url(postgres.url))()) as somebody, somebody.cursor() as cursor:
        cursor.execute("set idle_in_transaction_session_timeout = 0; begin; select txid_current()")
        for subject in subjects:
            await first.store.write(lambda connection, subject=subject: log.note(connection, "topic", subject))
            await eventually(lambda subject=subject: subject in read)
    assert [subject for subject in read if subject in subjects] == subjects


async def test_what_was_under_way_at_the_last_reading_is_read_when_it_has_ended(
    pair: tuple[Process, Process],
) -> None:
    first, _ = pair
    log = first.outbox.change_log
    written, may_end = threading.Event(), threading.Event()

    def write_long(connection: Connection) -> None:
        log.note(connection, "topic", "long")
        written.set()
        assert may_end.wait(2)

    async def read(last: Snapshot) -> tuple[Snapshot, list[str]]:
        def work(connection: Connection) -> tuple[Snapshot, list[str]]:
            log.note(connection, "topic", "own")  # its own transaction has a number, and goes on after the reading
            now = log.snapshot(connection)
            return now, [one.subject for one in log.between(connection, last, now, "nobody") if one.topic == "topic"]

        return await pair[1].store.write(work)

    start = await pair[1].store.write(log.snapshot)
    writing = asyncio.create_task(first.store.write(write_long))
    await asyncio.get_running_loop().run_in_executor(None, written.wait)
    now, found = await read(start)
    assert found == []
    may_end.set()
    await writing
    now, found = await read(now)
    assert sorted(found) == ["long", "own"]
    assert (await read(now))[1] == ["own"]
