"""The store, the outbox and the dispatcher, on real SQLite files and on a real Postgres."""

import asyncio
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.operations import Operations
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, text, update
from sqlalchemy.exc import DataError, OperationalError

from rasa_handoff.admin.socket import socket_of
from rasa_handoff.protocol.errors import Refused, StoreError, Unforeseen, Unreachable, Waits
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import DeadLetter, Entry, Outbox
from rasa_handoff.store.timers import MOST_AT_ONCE, RETRY_SECONDS, Clock, Timer, Timers
from rasa_handoff.testing.waiting import eventually


class Database:
    """A store with an outbox, whose entries are for the target ``desk``."""

    def __init__(self, where: Path | str, side: str = "relay", schema: int = 1) -> None:
        metadata = MetaData()
        self.outbox = Outbox(metadata)
        url = where if isinstance(where, str) else f"sqlite:///{where / 'x.db'}"
        self.store = Store(url, metadata, side, schema)

    async def put(self, *names: str, lane: str = "thabo") -> None:
        entries = [Entry(target="desk", lane=lane, name=name, body={}) for name in names]
        await self.store.write(lambda connection: self.outbox.put(connection, entries))

    async def finish(self, entries: Sequence[Entry], outcome: Any) -> None:
        await self.store.write(lambda connection: self.outbox.remove(connection, entries))

    async def set_aside(self, entry: Entry, reason: str) -> None:
        await self.store.write(lambda connection: self.outbox.set_aside(connection, entry.key, reason))

    async def dead_letters(self) -> list[DeadLetter]:
        return await self.store.write(lambda connection: self.outbox.list_dead_letters(connection, 100))

    def delivering_to(self, target: "Listener") -> Dispatcher:
        return Dispatcher(self.store, self.outbox, {"desk": target}, self.finish, self.set_aside)

    async def lane_keys(self) -> list[tuple[str, str]]:
        return await self.store.write(self.outbox.lane_keys)

    async def lane_keys_are_gone(self) -> bool:
        return await self.lane_keys() == []


class Listener:
    """A target that notes what it is given and may be away."""

    recognises = False

    def __init__(self, batch: int = 1, patience: float = 0) -> None:
        self.batch, self._patience = batch, patience
        self.received: list[list[str]] = []
        self.tries = 0
        self.away: Exception | None = None

    def patience(self, entries: Sequence[Entry]) -> float:
        return self._patience

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        self.tries += 1
        if self.away is not None:
            raise self.away
        self.received.append([entry.name for entry in entries])


async def test_what_comes_together_shares_a_commit(database_url: str) -> None:
    database = Database(database_url)
    async with database.store as store:
        commits: list[int] = []
        commit = store._writer.commit
        store._writer.commit = lambda batch: (commits.append(len(batch.works)), commit(batch))[1]  # type: ignore[method-assign]
        answers = await asyncio.gather(*(store.write(lambda c, n=n: n) for n in range(50)))
    assert answers == list(range(50))
    assert max(commits) > 10


async def test_a_failure_is_its_own_and_rolled_back(database_url: str) -> None:
    database = Database(database_url)

    def fails(connection: Any) -> None:
        database.outbox.put(connection, [Entry(target="desk", lane="x", name="never", body={})])
        raise ValueError("no")

    async with database.store as store:
        good = [Entry(target="desk", lane="y", name="kept", body={})]
        results = await asyncio.gather(
            store.write(lambda connection: database.outbox.put(connection, good)),
            store.write(fails),
            return_exceptions=True,
        )
        assert isinstance(results[1], ValueError)
        assert await database.lane_keys() == [("desk", "y")]


async def test_the_other_sides_database_is_refused(database_url: str) -> None:
    async with Database(database_url, "relay").store:
        pass
    with pytest.raises(
        StoreError, match="belongs to the relay, not to the server: give the server a database of its own"
    ):
        await Database(database_url, "server").store.__aenter__()


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    async with Database(database_url, schema=2).store:
        pass
    with pytest.raises(StoreError, match="has schema 2, this version of rasa-handoff knows up to 1"):
        await Database(database_url, schema=1).store.__aenter__()


async def test_a_database_from_before_the_first_release_is_refused_in_one_sentence(database_url: str) -> None:
    async with Database(database_url).store as store:
        await store.write(lambda connection: connection.execute(text("delete from meta where key = 'format'")))
    with pytest.raises(
        StoreError, match=r"from before its first release.*: name another database, or move this one away\.$"
    ):
        await Database(database_url).store.__aenter__()


async def test_an_older_schema_is_brought_up_with_what_it_holds(database_url: str) -> None:
    async with Store(database_url, _with_column(None), "relay", 1) as old:
        await old.write(lambda connection: connection.execute(text("insert into thing (id) values (7)")))
    newer = _with_column(Column("name", String(10), nullable=False, server_default="none"))

    def add_name(operations: Operations) -> None:
        with operations.batch_alter_table("thing") as table:
            table.add_column(Column("name", String(10), nullable=False, server_default="none"))

    for _ in range(2):  # and once only
        async with Store(database_url, newer, "relay", 2, {2: add_name}) as new:
            rows = await new.write(lambda connection: connection.execute(text("select id, name from thing")).all())
            assert [tuple(row) for row in rows] == [(7, "none")]


async def test_a_step_that_fails_leaves_the_old_schema_whole(database_url: str) -> None:
    async with Store(database_url, _with_column(None), "relay", 1):
        pass

    def fails(operations: Operations) -> None:
        operations.add_column("thing", Column("name", String(10)))
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        Store(database_url, _with_column(None), "relay", 2, {2: fails}).prepare()
    async with Store(database_url, _with_column(None), "relay", 1) as old:
        columns = await old.write(lambda connection: inspect(connection).get_columns("thing"))
        assert [column["name"] for column in columns] == ["id"]


def _with_column(column: Column | None) -> MetaData:
    metadata = MetaData()
    Table("thing", metadata, Column("id", Integer, primary_key=True), *([] if column is None else [column]))
    return metadata


async def test_a_second_process_is_refused_and_the_first_goes_on(database_url: str) -> None:
    first = Database(database_url)
    async with first.store:
        with pytest.raises(
            StoreError, match=r"is in use by another process \(.*\d+\), and serves one: stop the other one"
        ):
            await Database(database_url).store.__aenter__()
        await first.put("still writing")
    async with Database(database_url).store as again:
        assert await again.write(first.outbox.lane_keys)


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "prepared"])
async def test_an_older_schema_in_use_is_not_brought_up(database_url: str, entered: bool) -> None:
    url, steps_taken = database_url, []
    newer = Store(url, _with_column(Column("name", String(10))), "relay", 2, {2: steps_taken.append})
    async with Store(url, _with_column(None), "relay", 1) as running:
        with pytest.raises(
            StoreError, match=r"is in use by another process \(.*\d+\), and serves one: stop the other one"
        ):
            await newer.__aenter__() if entered else newer.prepare()
        assert steps_taken == []
        found = "select value from meta where key = 'schema'"
        assert await running.write(lambda connection: connection.execute(text(found)).scalar()) == "1"
    async with newer:
        assert len(steps_taken) == 1


async def test_a_start_that_failed_leaves_the_database_to_others(database_url: str) -> None:
    async with Database(database_url, schema=2).store:
        pass
    older = Database(database_url).store
    with pytest.raises(StoreError, match="has schema 2"):
        await older.__aenter__()
    async with Database(database_url, schema=2).store:
        pass


async def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened") as problem:
        await Database(tmp_path / "nowhere").store.__aenter__()
    assert "\n" not in str(problem.value)


async def test_work_before_the_start_is_refused_and_doesnt_keep_the_store_from_opening(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(StoreError, match="is closed"):
        await database.store.write(lambda connection: None)
    async with database.store:
        await database.put("1")


async def test_a_closed_store_says_so(database_url: str) -> None:
    database = Database(database_url)
    async with database.store:
        pass
    with pytest.raises(StoreError, match="is closed"):
        await database.put("late")


async def test_the_epoch_is_made_once(database_url: str) -> None:
    async with Database(database_url).store as first:
        epoch = first.epoch
    async with Database(database_url).store as again:
        assert again.epoch == epoch != ""


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/x.db", "mysterydb://x"])
def test_a_wrong_url_is_one_sentence(url: str) -> None:
    with pytest.raises(StoreError) as problem:
        Store(url, MetaData(), "relay", 1).prepare()
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(("option", "found"), [("", 1), ("?synchronous=normal", 1), ("?synchronous=FULL", 2)])
async def test_the_url_says_whether_a_commit_waits_for_the_disk(tmp_path: Path, option: str, found: int) -> None:
    url, asked = f"sqlite:///{tmp_path / 'x.db'}{option}", text("pragma synchronous")
    async with Store(url, MetaData(), "relay", 1) as store:
        assert await store.write(lambda connection: connection.execute(asked).scalar()) == found
    async with Database(tmp_path).store as again:  # without the option: the same file
        assert again.epoch == store.epoch


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("synchronous=off", "synchronous is NORMAL or FULL, not OFF"),
        ("synchronos=FULL", "a SQLite file has the option 'synchronous', but no 'synchronos'"),
    ],
)
def test_a_wrong_option_of_the_url_is_one_sentence(tmp_path: Path, option: str, why: str) -> None:
    with pytest.raises(StoreError, match=f"can't be used: {why}") as problem:
        Store(f"sqlite:///{tmp_path / 'x.db'}?{option}", MetaData(), "relay", 1)
    assert "\n" not in str(problem.value)


def test_an_address_that_cant_be_used_is_reported_without_its_password() -> None:
    with pytest.raises(StoreError, match=r"The database URL 'nosuch://thabo:\*\*\*@here/x' can't be used") as problem:
        Store("nosuch://thabo:secret@here/x", MetaData(), "relay", 1)
    assert "secret" not in str(problem.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://thabo:s3cret@here:54x/x", "postgresql://***@here:54x/x"),
        ("postgresql://thabo:s3@cret:more@here/x", "postgresql://***@here/x"),
        ("postgresql://thabo:s3@cret@here/x", "postgresql://***@here/x"),
        ("postgresql//thabo:s3cret@here/x", "postgresql//***@here/x"),
        ("postgresql://thabo:s3cret/x", "postgresql://thabo:***/x"),
        ("nosuch://thabo@here/x?password=s3cret", "nosuch://thabo@here/x?password=***"),
        ("handoff.db", "handoff.db"),
    ],
)
def test_no_piece_of_a_password_is_in_the_sentence_about_an_address(url: str, shown: str) -> None:
    with pytest.raises(StoreError) as problem:
        Store(url, MetaData(), "relay", 1)
    sentence = str(problem.value)
    assert sentence.startswith(f"The database URL '{shown}' can't be used: ")
    assert sentence.endswith(" Try sqlite:///handoff.db.")
    assert not [piece for piece in ("s3", "cret", "more") if piece in sentence]
    assert "s3" not in "".join(traceback.format_exception(problem.value))


def test_nor_in_what_a_command_says_about_it() -> None:
    with pytest.raises(StoreError, match=r"^The database URL 'postgresql://\*\*\*@here:54x/x' can't be used: "):
        socket_of("postgresql://thabo:secret@here:54x/x")


async def test_lanes_keep_their_order_and_dont_wait_for_each_other(database_url: str) -> None:
    database, listener = Database(database_url), Listener()
    async with database.store:
        await database.put("1", "2", "3")
        await database.put("a", lane="lerato")
        async with database.delivering_to(listener):
            await eventually(lambda: len(listener.received) == 4)
        names = [name for (name,) in listener.received]
        assert [name for name in names if name.isdigit()] == ["1", "2", "3"]
        assert await database.lane_keys() == []


@pytest.mark.parametrize("away", [Unreachable("gone"), ConnectionResetError("gone"), Unforeseen("gone")])
async def test_what_isnt_delivered_is_kept_and_tried_again(database_url: str, away: Exception) -> None:
    database, listener = Database(database_url), Listener()
    listener.away = away
    async with database.store:
        await database.put("1")
        async with database.delivering_to(listener) as dispatcher:
            await eventually(lambda: listener.tries)
            assert await database.lane_keys() == [("desk", "thabo")]
            listener.away = None
            dispatcher.notify([("desk", "thabo")])
            await eventually(lambda: listener.received == [["1"]])


async def test_after_its_end_the_dispatcher_begins_nothing(database_url: str) -> None:
    database, listener = Database(database_url), Listener()
    async with database.store:
        async with database.delivering_to(listener) as dispatcher:
            pass
        await database.put("late")
        await dispatcher.flush(("desk", "thabo"))
        assert listener.received == []
        assert await database.lane_keys() == [("desk", "thabo")]


async def test_a_delivery_under_way_at_the_end_is_finished_and_no_other_begun(database_url: str) -> None:
    """Many receivers can't tell that they get an entry again, so one that was given must leave the outbox."""
    database, begun, going_on = Database(database_url), asyncio.Event(), asyncio.Event()

    class SlowListener(Listener):
        async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
            begun.set()
            await going_on.wait()
            await super().deliver(lane, entries)

    listener = SlowListener()
    async with database.store:
        await database.put("1", "2")
        async with database.delivering_to(listener):
            await begun.wait()
            asyncio.get_running_loop().call_soon(going_on.set)
        assert listener.received == [["1"]]
        left = await database.store.write(lambda connection: database.outbox.head(connection, "desk", "thabo"))
        assert [entry.name for entry in left] == ["2"]


async def test_an_end_does_not_wait_for_a_receiver_that_never_answers(database_url: str) -> None:
    database, begun = Database(database_url), asyncio.Event()

    class SilentListener(Listener):
        async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
            begun.set()
            await asyncio.Event().wait()

    async with database.store:
        await database.put("1")
        async with database.delivering_to(SilentListener()) as dispatcher:
            await begun.wait()
        assert not dispatcher.running(("desk", "thabo"))
        assert await database.lane_keys() == [("desk", "thabo")]


async def test_what_a_target_put_off_is_delivered_with_the_next_flush(database_url: str) -> None:
    database, listener = Database(database_url), Listener()
    listener.away = Waits("not here")
    async with database.store:
        await database.put("1")
        async with database.delivering_to(listener) as dispatcher:
            await dispatcher.flush(("desk", "thabo"))
            assert listener.received == []
            listener.away = None
            await dispatcher.flush(("desk", "thabo"))
            assert listener.received == [["1"]]


async def test_a_patient_target_gets_a_batch(database_url: str) -> None:
    database, listener = Database(database_url), Listener(batch=3, patience=30)
    async with (
        database.store,
        database.delivering_to(listener) as dispatcher,
    ):
        for name in ("1", "2", "3"):
            await database.put(name)
            dispatcher.notify([("desk", "thabo")])
        await eventually(lambda: listener.received == [["1", "2", "3"]])


async def test_a_restart_delivers_what_was_left(database_url: str) -> None:
    first, listener = Database(database_url), Listener()
    async with first.store:
        await first.put("left")
    again = Database(database_url)
    async with again.store, again.delivering_to(listener):
        await eventually(lambda: listener.received == [["left"]])


async def test_a_locked_database_says_so_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.05)
    database, other = Database(tmp_path), Database(tmp_path)
    async with database.store:
        other.store.prepare()
        with other.store._engine.begin() as connection:
            connection.execute(text("select 1"))
            with pytest.raises(OperationalError, match="locked"):
                await database.put("1")
        await database.put("2")
        other.store.dispose()


class Choosy(Listener):
    """A target that fails on what is called ``bad``."""

    def __init__(self, problem: Exception, batch: int = 1) -> None:
        super().__init__(batch)
        self.problem, self.refused = problem, 0

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        if any(entry.name == "bad" for entry in entries):
            self.refused += 1
            raise self.problem
        await super().deliver(lane, entries)


@pytest.mark.parametrize("batch", [1, 40])
@pytest.mark.parametrize(
    ("problem", "tries"),
    [
        (Refused("refused", "It said no."), 1),
        (DataError("insert", {}, ValueError("too long")), 1),
        (KeyError("payload"), 3),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "no"), 3),
    ],
)
async def test_what_fails_each_time_is_set_aside_and_the_lane_goes_on(
    database_url: str, problem: Exception, tries: int, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    database, target = Database(database_url), Choosy(problem, batch)
    async with database.store:
        await database.put("1", "2", "bad", "3", "4")
        async with database.delivering_to(target):
            await eventually(lambda: sum(map(len, target.received)) == 4)
            (letter,) = await database.dead_letters()
    assert [name for names in target.received for name in names] == ["1", "2", "3", "4"]
    assert (letter.name, letter.lane, letter.target, letter.entry.body) == ("bad", "thabo", "desk", {})
    assert type(problem).__name__ in letter.reason or letter.reason == "It said no."
    assert target.refused == tries + (batch > 1)
    assert caplog.text.count("was set aside") == 1


async def test_what_nobody_foresaw_is_tried_for_a_while(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's own channel may raise anything while its vendor is away."""
    monkeypatch.setattr("rasa_handoff.store.failures.LEAST_SECONDS", 0.2)
    monkeypatch.setattr("rasa_handoff.store.failures.LEAST_TRIES", 4)
    database, target = Database(database_url), Choosy(RuntimeError("a vendor's"))
    async with database.store:
        await database.put("bad", "1")
        async with database.delivering_to(target):
            await eventually(lambda: target.received == [["1"]])
            assert len(await database.dead_letters()) == 1
    assert target.refused == 4


@pytest.mark.parametrize("body", ["{half", "[]", "", '{"a": 1} x'])
async def test_an_entry_that_cant_be_read_is_set_aside(database_url: str, body: str) -> None:
    database, listener = Database(database_url), Listener()
    table = database.outbox.table
    async with database.store:
        await database.put("bad", "1")
        spoil = update(table).where(table.c.name == "bad").values(body=body)
        await database.store.write(lambda connection: connection.execute(spoil))
        async with database.delivering_to(listener):
            await eventually(lambda: listener.received == [["1"]])
            (letter,) = await database.dead_letters()
    assert letter.text == body
    with pytest.raises(ValueError):  # noqa: PT011 - whatever msgspec says
        _ = letter.entry


async def test_a_timer_that_cant_ring_is_put_off_and_the_others_ring(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = MetaData()
    timers, fired = Timers(metadata), []
    store, now = Store(database_url, metadata, "relay", 1), [1000.0]

    async def ring(timer: Timer) -> None:
        if timer.key.startswith("bad"):
            raise KeyError("no such state")
        fired.append(timer.key)
        await store.write(lambda connection: timers.take(connection, timer))

    def set_all(connection: Any) -> None:
        for number in range(MOST_AT_ONCE + 20):  # more than are looked at together
            timers.set(connection, Timer(key=f"bad {number}", kind="x", due=1.0))
        timers.set(connection, Timer(key="good", kind="x", due=2.0))

    async with store:
        await store.write(set_all)
        async with Clock(store, timers, ring, lambda: now[0]):
            await eventually(lambda: fired == ["good"])
            assert await store.write(lambda connection: timers.due(connection, 1000.0)) == []
            assert (
                len(await store.write(lambda connection: timers.due(connection, 1000.0 + RETRY_SECONDS)))
                == MOST_AT_ONCE
            )
    assert caplog.text.count("failed; it is tried every") == MOST_AT_ONCE + 20
