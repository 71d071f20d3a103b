"""Lanes in memory: the database is read for them only at the start, after a failure, and when a receiver is back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from rasa_handoff.store import dispatcher as dispatcher_module
from rasa_handoff.store import lanes as lanes_module
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import Waits
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import eventually
from tests.core.test_store import Database, Listener


class Recognising(Listener):
    """A target that knows what it got before."""

    recognises = True


class CountingDatabase(Database):
    """A database that counts the reads of lanes, and what was finished in a transaction of its own."""

    def __init__(self, where: Any) -> None:
        super().__init__(where)
        self.reads, self.finished = 0, 0
        head = self.outbox.head

        def counted(*arguments: Any) -> list[Entry]:
            self.reads += 1
            return head(*arguments)

        self.outbox.head = counted  # type: ignore[method-assign, assignment]

    async def finish(self, entries: Sequence[Entry], outcome: Any) -> None:
        self.finished += 1
        await super().finish(entries, outcome)


def names(listener: Listener) -> list[str]:
    return [name for batch in listener.received for name in batch]


@pytest.mark.parametrize("batch", [1, 40])
async def test_what_is_put_is_delivered_without_a_read(database_url: str, batch: int) -> None:
    database, listener = CountingDatabase(database_url), Recognising(batch)
    async with database.store, database.delivering_to(listener):
        for number in range(20):
            await database.put(str(number))
        await eventually(lambda: names(listener) == [str(number) for number in range(20)])
        assert database.reads == 0


async def test_a_lane_longer_than_memory_keeps_its_order(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Listener()
    async with database.store, database.delivering_to(listener):
        await database.put(*(str(number) for number in range(120)))
        await database.put("120")
        await eventually(lambda: len(names(listener)) == 121)
    assert names(listener) == [str(number) for number in range(121)]
    assert 0 < database.reads < 10


async def test_what_is_put_while_a_lane_rests_comes_after_what_rests(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Listener()
    listener.away = Waits("not here")
    async with database.store, database.delivering_to(listener) as dispatcher:
        await database.put("1", "2")
        await dispatcher.flush(("desk", "thabo"))
        listener.away = None
        await database.put("3")
        await eventually(lambda: names(listener) == ["1", "2", "3"])


async def test_what_is_put_while_the_lane_is_read_is_delivered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatcher_module, lanes_module):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 2)
    database, listener = CountingDatabase(database_url), Listener()
    async with database.store, database.delivering_to(listener):
        await asyncio.gather(*(database.put(f"{number}a", f"{number}b", f"{number}c") for number in range(30)))
        await eventually(lambda: len(names(listener)) == 90)
    assert sorted(names(listener)) == sorted(f"{number}{letter}" for number in range(30) for letter in "abc")
    assert [name for name in names(listener) if name.startswith("7")] == ["7a", "7b", "7c"]


async def test_what_was_rolled_back_is_never_delivered(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Listener()

    def work(connection: Any) -> None:
        for name, is_undone in (("kept", False), ("rolled back", True), ("kept too", False)):
            try:
                with connection.begin_nested():
                    database.outbox.put(connection, [Entry(target="desk", lane="thabo", name=name, body={})])
                    if is_undone:
                        raise LookupError
            except LookupError:
                pass

    def fails(connection: Any) -> None:
        database.outbox.put(connection, [Entry(target="desk", lane="thabo", name="failed", body={})])
        raise LookupError

    async with database.store, database.delivering_to(listener):
        await asyncio.gather(database.store.write(work), database.store.write(fails), return_exceptions=True)
        await database.put("last")
        await eventually(lambda: "last" in names(listener))
    assert names(listener) == ["kept", "kept too", "last"]


async def test_who_recognises_entries_costs_no_transaction_of_their_own(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Recognising()
    async with database.store, database.delivering_to(listener):
        await database.put("1", "2", "3")
        await eventually(lambda: len(names(listener)) == 3)
        await eventually(database.lane_keys_are_gone)
    assert database.finished == 0


async def test_who_does_not_recognise_them_gets_the_next_when_one_has_left_the_outbox(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Listener()
    async with database.store, database.delivering_to(listener):
        await database.put("1", "2", "3")
        await eventually(lambda: len(names(listener)) == 3)
    assert database.finished == 3


async def test_what_a_crash_leaves_in_the_outbox_comes_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "write_soon", lambda *_: asyncio.get_running_loop().create_future())
    listener, first = Recognising(), CountingDatabase(database_url)
    async with first.store, first.delivering_to(listener):
        await first.put("1")
        await eventually(lambda: names(listener) == ["1"])
    monkeypatch.undo()
    again = CountingDatabase(database_url)
    async with again.store, again.delivering_to(listener):
        await eventually(lambda: names(listener) == ["1", "1"])
        await eventually(again.lane_keys_are_gone)


async def test_what_was_delivered_while_the_database_is_locked_comes_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.05)
    monkeypatch.setattr(dispatcher_module, "REMOVED_AGAIN", 0.1)
    database, other = CountingDatabase(tmp_path), Database(tmp_path)
    other.store.prepare()
    lock = other.store._engine.connect()

    class Locking(Recognising):
        async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
            await super().deliver(lane, entries)
            if entries[0].name == "1":
                lock.begin()
                lock.execute(text("select 1"))

    listener = Locking()
    async with database.store, database.delivering_to(listener) as dispatcher:
        await database.put("1")
        await eventually(lambda: names(listener) == ["1"])
        with pytest.raises(Exception, match="locked"):
            await database.put("refused")
        lock.close()
        await database.put("2")
        await dispatcher.notify_all()
        await eventually(lambda: "2" in names(listener))
        await eventually(database.lane_keys_are_gone)
        assert names(listener) == ["1", "2"]
    other.store.dispose()


async def test_who_waits_for_a_lane_waits_for_no_batch(database_url: str) -> None:
    database, listener = CountingDatabase(database_url), Recognising(batch=100)
    listener._patience = 3_600
    async with database.store, database.delivering_to(listener) as dispatcher:
        await database.put("1", "2")
        await dispatcher.flush(("desk", "thabo"))
        assert listener.received == [["1", "2"]]
        await database.put("3")
        await dispatcher.flush(("desk", "thabo"))
        assert listener.received == [["1", "2"], ["3"]]


async def test_a_target_is_called_after_those_who_waited_for_the_commit(database_url: str) -> None:
    """So the relay's memory knows a handoff whose offer is delivered."""
    known: set[str] = set()
    early: list[str] = []

    class Asking(Recognising):
        async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
            early.extend(entry.name for entry in entries if entry.name not in known)
            await asyncio.sleep(0)
            await super().deliver(lane, entries)

    database, listener = CountingDatabase(database_url), Asking()

    async def put(name: str) -> None:
        await database.put(name)
        known.add(name)

    async with database.store, database.delivering_to(listener):
        for number in range(0, 100, 2):
            await asyncio.gather(put(str(number)), put(str(number + 1)))
        await eventually(lambda: len(names(listener)) == 100)
    assert early == []
