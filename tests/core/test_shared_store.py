"""Several processes on one Postgres: here several stores in one event loop, each with an outbox and a dispatcher of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import Unreachable, Waits
from rasa_handoff.store import membership as membership_module
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.store.lane_leases import ENDED, FLUSH, LANE, REMOVED
from rasa_handoff.store.membership import Processes
from rasa_handoff.store.outbox import Entry, Outbox
from rasa_handoff.store.sharing import Sharing
from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import Database

DESK = "desk"


class Text(msgspec.Struct):
    """The body of an entry."""

    id: str


class Process:
    """One of several processes: ``async with Process(url) as process``. ``got``: what its target has delivered."""

    batch = 1
    recognises = True

    def __init__(self, url: str, got: list[str]) -> None:
        metadata = MetaData()
        self.outbox, self.processes = Outbox(metadata), Processes(metadata)
        self.counters = Table(
            "counter", metadata, Column("name", String(20), primary_key=True), Column("value", Integer)
        )
        self.store = Store(url, metadata, "relay", 1, shares=True)
        self.got, self.mine = got, list[str]()
        self.gate = asyncio.Event()
        self.gate.set()
        self.problem: Exception | None = None
        self.keeps_lanes = False
        self.others: dict[str, Process] = {}
        """The process that reaches a lane's receiver, where that isn't this one."""
        handlers = dict.fromkeys((LANE, REMOVED, FLUSH, ENDED), self._follow)
        self.sharing = Sharing(self.store, self.outbox, self.processes, handlers, self._released, self._lost)
        self.dispatcher = Dispatcher(
            self.store,
            self.outbox,
            {DESK: self},
            self._finish,
            self._set_aside,
            lambda: self.sharing.membership.is_valid,
        )
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Process":
        for part in (self.store, self.sharing, self.dispatcher):
            await self._stack.enter_async_context(part)
        self.sharing.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _follow(self, changes: Sequence[Any]) -> None:
        await self.dispatcher.follow(changes)

    def _released(self) -> None:
        self.dispatcher.look_for_resting()

    def _lost(self) -> None:
        self.dispatcher.doubt()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        self.got += [entry.read(Text).id for entry in entries]
        self.mine += [entry.read(Text).id for entry in entries]

    async def process_of(self, lane: str) -> str | None:
        other = self.others.get(lane)
        return other.store.process if other is not None else None

    def keeps(self, lane: str) -> bool:
        return self.keeps_lanes

    async def _finish(self, entries: Sequence[Entry], _: Any) -> None:
        await self.store.write(lambda connection: self.outbox.remove(connection, entries))

    async def _set_aside(self, entry: Entry, reason: str) -> None:
        await self.store.write(lambda connection: self.outbox.set_aside(connection, entry.key, reason))

    async def put(self, id: str, lane: str = "thabo") -> None:
        entry = Entry.of(DESK, lane, "message", Text(id=id))
        await self.store.write(lambda connection: self.outbox.put(connection, [entry]))

    async def is_empty(self) -> bool:
        """Whether the outbox is empty."""
        table = self.outbox.table
        return await self.store.write(lambda connection: connection.execute(select(table.c.key)).first() is None)


@pytest.fixture
async def pair(postgres: Database) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes on one database."""
    got: list[str] = []
    async with Process(postgres.url, got) as first, Process(postgres.url, got) as second:
        yield first, second


async def test_an_entry_is_delivered_by_the_process_that_wrote_it(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await first.put("a", "thabo")
    await second.put("b", "lerato")
    await eventually(lambda: (first.mine, second.mine) == (["a"], ["b"]))


async def test_a_lane_is_delivered_by_one_process_in_order(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.gate.clear()
    await first.put("1")
    await second.put("2")
    await first.put("3")
    await second.put("4")
    assert second.mine == []
    first.gate.set()
    await eventually(lambda: len(first.got) >= 4)
    assert first.mine == ["1", "2", "3", "4"]
    await second.put("5")
    await eventually(lambda: first.got == ["1", "2", "3", "4", "5"])


async def test_words_of_both_at_once_arrive_each_once(pair: tuple[Process, Process]) -> None:
    sent = [f"{index}" for index in range(100)]
    await asyncio.gather(*(pair[index % 2].put(id, f"lane {index % 7}") for index, id in enumerate(sent)))
    await eventually(lambda: len(pair[0].got) >= len(sent))
    assert sorted(pair[0].got) == sorted(sent)
    await eventually(lambda: pair[0].is_empty())


async def test_what_rests_is_taken_by_the_process_whose_receiver_comes(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.problem = Waits("away")
    await first.put("1")
    await eventually(lambda: not first.dispatcher.running((DESK, "thabo")))
    await second.put("2")
    await eventually(lambda: second.mine == ["1", "2"])


async def test_a_receiver_that_comes_to_another_process_gets_what_rests(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.problem = Waits("away")
    await first.put("1")
    await eventually(lambda: not first.dispatcher.running((DESK, "thabo")))
    second.dispatcher.notify([(DESK, "thabo")])
    await eventually(lambda: second.mine == ["1"])


async def test_a_lane_is_given_to_the_process_that_reaches_its_receiver(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.others["thabo"] = second
    await first.put("1")
    await first.put("2")
    await eventually(lambda: second.mine == ["1", "2"])
    assert first.mine == []


async def test_a_ring_that_is_lost_delays_a_message_by_three_seconds_at_most(pair: tuple[Process, Process]) -> None:
    first, second = pair
    rings = list(first.store.on_ring)
    first.store.on_ring.clear()
    first.others["thabo"] = second
    await first.put("1")
    await eventually(lambda: second.mine == ["1"], seconds=3)
    first.store.on_ring.extend(rings)


async def test_what_another_process_removes_is_not_delivered(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.gate.clear()
    for id in ("1", "2", "3"):
        await first.put(id)
    entries = await second.store.write(lambda connection: second.outbox.head(connection, DESK, "thabo"))
    await second.store.write(lambda connection: second.outbox.remove(connection, entries[1:2]))
    lane = first.dispatcher._lanes[DESK, "thabo"]
    await eventually(lambda: [entry.read(Text).id for entry in lane.known] == ["1", "3"])
    first.gate.set()
    await eventually(lambda: first.got == ["1", "3"])


async def test_a_flush_waits_until_the_other_process_has_delivered(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.gate.clear()
    await first.put("1")
    flushed = asyncio.create_task(second.dispatcher.flush((DESK, "thabo")))
    await eventually(lambda: first.dispatcher._lanes[DESK, "thabo"].flushes)
    assert not flushed.done()
    first.gate.set()
    await asyncio.wait_for(flushed, 5)
    assert first.got == ["1"]


async def test_what_an_ended_process_had_is_delivered_by_another(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_module, "LEASE", 3.0)
    got: list[str] = []
    async with Process(postgres.url, got) as second:
        first = Process(postgres.url, got)
        await first.__aenter__()
        first.gate.clear()
        await first.put("1")
        await first.put("2")
        for task in [first.sharing.membership._task, *first.dispatcher._tasks.values()]:
            assert task is not None
            task.cancel()  # as if it had been killed: no heartbeat, no delivery, no goodbye
        await eventually(lambda: second.mine == ["1", "2"])
        await first.store.__aexit__()


async def test_a_clean_end_passes_on_what_is_left_at_once(postgres: Database) -> None:
    got: list[str] = []
    async with Process(postgres.url, got) as second:
        async with Process(postgres.url, got) as first:
            first.problem = Unreachable("later")
            await first.put("1")
        await eventually(lambda: second.mine == ["1"])


async def test_a_process_that_stood_still_loses_its_leases_and_goes_on(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    first.gate.clear()
    await first.put("1")
    before = first.store.process
    table = first.processes.table
    await second.store.write(lambda connection: connection.execute(table.delete().where(table.c.id == before)))
    await eventually(lambda: second.mine == ["1"])
    await eventually(lambda: first.store.process != before)
    first.gate.set()
    await first.put("2", "lerato")
    await eventually(lambda: "2" in first.mine)


async def test_nothing_is_begun_without_a_recent_heartbeat(pair: tuple[Process, Process]) -> None:
    first, _ = pair
    membership = first.sharing.membership
    membership._renewed_at = float("-inf")
    await first.put("1")
    assert first.got == []
    await eventually(lambda: first.got == ["1"])  # the next heartbeat has come


async def test_work_that_others_got_in_the_way_of_is_done_again(pair: tuple[Process, Process]) -> None:
    def count(process: Process) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            counters = process.counters
            value = connection.execute(select(counters.c.value).where(counters.c.name == "n")).scalar_one_or_none()
            if value is None:
                connection.execute(insert(counters).values(name="n", value=1))
            else:
                connection.execute(update(counters).values(value=counters.c.value + 1))

        return work

    await asyncio.gather(*(process.store.write(count(process)) for process in pair for _ in range(20)))
    value = await pair[0].store.write(lambda connection: connection.execute(select(pair[0].counters.c.value)).scalar())
    assert value == 40


async def test_two_that_start_at_once_both_come_up(postgres: Database) -> None:
    got: list[str] = []
    several = [Process(postgres.url, got) for _ in range(4)]
    await asyncio.gather(*(process.__aenter__() for process in several))
    assert len({process.store.epoch for process in several}) == 1
    for process in several:
        await process.__aexit__()
