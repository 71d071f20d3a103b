"""A side's database moves from SQLite to Postgres and back: whole, or not at all."""

import ast
import asyncio
import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg2
import pytest
from sqlalchemy import Boolean, Column, Float, MetaData, String, Table, insert, inspect, select, text
from sqlalchemy.engine import Connection

from rasa_handoff.cli import main, move_database
from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.relay import repository
from rasa_handoff.store import postgres
from rasa_handoff.store.engine import Store
from rasa_handoff.store.moving import NO_LEASE, NOT_MOVED, SideTables, counted_column, move
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.ports import free_port
from tests.support.paths import PACKAGE, ROOT
from tests.support.postgres_server import Postgres

SIDES: Final = tuple(move_database.SIDES)
STEPS: Final = {
    "relay": "write: store: ",
    "server": "--database or RASA_HANDOFF_DATABASE: ",
    "platform": "at each platform channel, write: database: ",
}
"""What is to be done with a side's new database."""
WAYS: Final = (("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite"), ("postgres", "postgres"))

Rows = dict[str, list[tuple[Any, ...]]]


class Databases:
    """Makes empty databases."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self._folder, self._server = folder, server
        self.made: list[Any] = []

    def new(self, kind: str) -> str:
        """Return the URL of a database that nobody has used."""
        if kind == "sqlite":
            folder = self._folder / str(len(list(self._folder.iterdir())))
            folder.mkdir()
            return f"sqlite:///{folder / 'x.db'}"
        self.made.append(self._server.fresh())
        return str(self.made[-1].url)

    def drop(self) -> None:
        for database in self.made:
            self._server.drop(database)


@pytest.fixture
def databases(tmp_path: Path, postgres_server: Postgres) -> Iterator[Databases]:
    made = Databases(tmp_path, postgres_server)
    yield made
    made.drop()


@pytest.fixture(params=WAYS, ids=["-to-".join(way) for way in WAYS])
def urls(request: pytest.FixtureRequest, databases: Databases) -> tuple[str, str]:
    """A database, and another one to move it to, both empty."""
    source, target = request.param
    return databases.new(source), databases.new(target)


def tables_of(side: str) -> SideTables:
    return move_database.SIDES[side]()


def store_of(url: str, side: str = "relay", schema: int | None = None) -> Store:
    tables = tables_of(side)
    return Store(url, tables.metadata, side, tables.schema if schema is None else schema)


def in_transaction(url: str, work: Callable[[Connection], Any], side: str = "relay", prepare: bool = False) -> Any:
    store = store_of(url, side)
    try:
        if prepare:
            store.prepare()
        return store.run(work)
    finally:
        store.dispose()


def make(url: str, side: str = "relay") -> None:
    """Make a database of this side with two rows in each table."""
    in_transaction(url, lambda connection: fill(connection, tables_of(side).metadata), side, prepare=True)


def fill(connection: Connection, metadata: MetaData) -> None:
    for table in metadata.sorted_tables:
        if table.name not in NOT_MOVED and table.name != "meta":
            for number in (1, 2):
                columns = [column for column in table.columns if column is not counted_column(table)]
                connection.execute(insert(table).values({one.name: value_for(one, number) for one in columns}))


def value_for(column: "Column[Any]", number: int) -> Any:
    """Return a value for a row's column; the first row has none where none is needed."""
    if column.nullable and number == 1:
        return None
    if isinstance(column.type, Boolean):
        return number == 2
    if isinstance(column.type, Float):
        return 1_790_000_000.123456 + number
    if isinstance(column.type, String):
        name = next((key.column.name for key in column.foreign_keys), column.name)
        return f"{name} {number}: '€' 😀\\ %s :x"[: column.type.length or 10_000]
    return number


def rows_of(url: str, side: str = "relay") -> Rows:
    """Return all rows by table, in no order of the database's."""

    def read(connection: Connection) -> Rows:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in tables_of(side).metadata.sorted_tables
            if inspect(connection).has_table(table.name)
        }

    found: Rows = in_transaction(url, read, side)
    return found


def without_leases(rows: Rows, side: str) -> Rows:
    metadata = tables_of(side).metadata
    return {
        name: sorted(
            (
                tuple(
                    NO_LEASE.get(column.name, value)
                    for column, value in zip(metadata.tables[name].columns, row, strict=True)
                )
                for row in found
            ),
            key=repr,
        )
        for name, found in rows.items()
    }


def is_untouched(url: str) -> bool:
    """Whether a database still has nothing."""
    if url.startswith("sqlite"):
        return not Path(url.removeprefix("sqlite:///")).exists()
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_tables where schemaname = 'public'")
        return bool(cursor.fetchone() == (0,))


def refusal(capsys: pytest.CaptureFixture[str], source: str, target: str) -> str:
    """Have the command refuse, and return its sentence."""
    capsys.readouterr()
    assert main(["move-database", source, target]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize("side", SIDES)
def test_every_row_of_every_table_arrives(side: str, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = urls
    make(source, side)
    before = rows_of(source, side)
    assert min(len(found) for name, found in before.items() if name not in NOT_MOVED) >= 2
    assert main(["move-database", source, target]) == 0
    said = capsys.readouterr().out
    assert rows_of(target, side) == without_leases(before, side)
    assert rows_of(source, side) == before, "what is moved is only read"
    assert f"The {side}'s database was moved: {sum(map(len, before.values()))} rows" in said
    assert STEPS[side] + target in said
    epochs = []
    for url in urls:
        store = store_of(url, side)
        store.prepare()
        epochs.append(store.epoch)
        store.dispose()
    assert epochs[0] == epochs[1]


def test_every_table_of_the_package_belongs_to_a_side_that_is_moved() -> None:
    """A table in a module that the command doesn't import, or of a third side, would stay behind."""
    written = {
        str(call.args[0].value)
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Table"
        if isinstance(call.args[0], ast.Constant)
    }
    script = (
        "from rasa_handoff.cli.move_database import SIDES\n"
        "print(*(name for tables in SIDES.values() for name in tables().metadata.tables))"
    )
    known = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(written) > 20
    assert written - set(known.split()) - NOT_MOVED == {"meta"}, "meta is made by the store"


@pytest.mark.parametrize("side", SIDES)
def test_no_number_is_used_a_second_time(side: str, urls: tuple[str, str]) -> None:
    """Receivers remember the numbers of entries that are no longer there."""
    source, target = urls
    make(source, side)
    counted = [table for table in tables_of(side).metadata.sorted_tables if counted_column(table) is not None]
    moved = [table for table in counted if table.name not in NOT_MOVED]
    assert len(moved) >= 2

    rows = itertools.count(3)

    def add(connection: Connection) -> dict[str, int]:
        added = {}
        for table in moved:
            others = [column for column in table.columns if column is not counted_column(table)]
            row = insert(table).values({one.name: value_for(one, next(rows)) for one in others})
            added[table.name] = int(connection.execute(row).inserted_primary_key[0])
        return added

    def add_and_delete(connection: Connection) -> dict[str, int]:
        add(connection)
        highest = add(connection)
        for table in moved:
            connection.execute(table.delete())
        return highest

    highest = in_transaction(source, add_and_delete, side)
    assert main(["move-database", source, target]) == 0
    assert in_transaction(target, add, side) == {name: key + 1 for name, key in highest.items()}


def test_rows_are_numbered_on_where_nothing_was_deleted(urls: tuple[str, str]) -> None:
    source, target = urls
    make(source)
    assert main(["move-database", source, target]) == 0
    entry = Entry(target="desk", lane="thabo", name="x", body={})
    (put,) = in_transaction(target, lambda connection: repository.outbox.put(connection, [entry]))
    assert put.key == 3


def test_a_database_with_the_sides_tables_and_no_rows_is_empty(urls: tuple[str, str]) -> None:
    source, target = urls
    make(source)
    in_transaction(target, lambda connection: None, prepare=True)
    assert main(["move-database", source, target]) == 0
    assert rows_of(target) == without_leases(rows_of(source), "relay")


def test_what_is_not_empty_is_left_as_it_is(urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = urls
    make(source)
    make(target)
    before = rows_of(target)
    assert "isn't empty: its table " in refusal(capsys, source, target)
    assert rows_of(target) == before


def test_a_second_move_to_the_same_place_says_so(urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = urls
    make(source)
    assert main(["move-database", source, target]) == 0
    assert "moved here or from here before" in refusal(capsys, source, target)


def test_the_other_sides_database_is_no_target(urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    source, target = urls
    make(source)
    in_transaction(target, lambda connection: None, "server", prepare=True)
    assert "belongs to the server, and what is moved to the relay" in refusal(capsys, source, target)


@pytest.mark.parametrize("which", [0, 1], ids=["source", "target"])
async def test_a_database_in_use_is_neither_moved_nor_written(
    which: int, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    make(urls[0])
    async with store_of(urls[which]):
        said = await asyncio.to_thread(refusal, capsys, *urls)
    assert "is in use by a process" in said
    assert "stop the Rasa server first" in said
    if which == 0:
        assert is_untouched(urls[1])
    else:
        assert rows_of(urls[1])["outbox"] == []
    assert main(["move-database", *urls]) == 0


@pytest.mark.parametrize(("side", "other"), list(itertools.permutations(SIDES, 2)))
async def test_a_target_in_use_by_another_side_is_told_by_its_side(
    side: str, other: str, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopping a process, and more so one of the moved side, would help nothing."""
    source, target = urls
    make(source, side)
    async with store_of(target, other):
        said = await asyncio.to_thread(refusal, capsys, source, target)
    assert f"belongs to the {other}, and what is moved to the {side}: give an empty database." in said
    assert "stop" not in said


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_target_that_another_move_fills_is_in_use_by_no_process_of_a_side(
    kind: str, databases: Databases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOST_HOLDER_SECONDS", 0.1)
    make(first := databases.new("sqlite"), "server")
    make(second := databases.new("sqlite"))
    target, said = databases.new(kind), []

    def try_too(table: str, done: int, total: int) -> None:
        if not said:
            said.append(refusal(capsys, second, target))

    move(first, target, tables_of("server"), try_too)
    assert "is in use by a process" in said[0]
    assert "stop that process first" in said[0]


async def test_nobody_begins_or_writes_while_it_is_moved(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a process nor a command, which owns nothing."""
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("rasa_handoff.store.postgres.LOST_HOLDER_SECONDS", 0.1)
    monkeypatch.setitem(postgres.SERVER_SETTINGS, "lock_timeout", 100)
    source, target = urls
    make(source)
    refused: list[str] = []

    def try_all(table: str, done: int, total: int) -> None:
        if refused:
            return
        with pytest.raises(StoreError):
            asyncio.run(store_of(source).__aenter__())
        with pytest.raises(Exception, match="lock"):
            in_transaction(source, lambda connection: connection.execute(text("UPDATE timer SET due = 0")))
        refused.append(table)

    await asyncio.to_thread(move, source, target, tables_of("relay"), try_all)
    assert refused
    assert rows_of(target)["timer"] == rows_of(source)["timer"]


@pytest.mark.parametrize(
    ("schema", "words"), [(0, "start the Rasa server with it once"), (99, "install the newer version")]
)
def test_another_schema_is_refused(
    schema: int, words: str, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = urls
    make(source)
    set_schema(source, schema)
    assert words in refusal(capsys, source, target)
    assert is_untouched(target)


def test_a_target_with_the_tables_of_another_version_is_refused(
    urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = urls
    make(source)
    in_transaction(target, lambda connection: None, prepare=True)
    set_schema(target, 0)
    assert "has the tables of another version" in refusal(capsys, source, target)


def set_schema(url: str, schema: int) -> None:
    change = text(f"UPDATE meta SET value = '{schema}' WHERE key = 'schema'")
    in_transaction(url, lambda connection: connection.execute(change))


def test_what_is_not_there_is_refused_and_not_made(
    databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = databases.new("sqlite")
    assert "There is no database" in refusal(capsys, missing, databases.new("postgres"))
    assert is_untouched(missing)
    make(source := databases.new("sqlite"))
    assert "there is no folder" in refusal(capsys, source, f"sqlite:///{tmp_path}/nowhere/x.db")
    assert "is a folder" in refusal(capsys, source, f"sqlite:///{tmp_path}")
    assert "give a file" in refusal(capsys, source, "sqlite://")
    assert "isn't an address of a database" in refusal(capsys, source, str(tmp_path / "x.db"))
    assert "neither SQLite nor Postgres" in refusal(capsys, source, "mysql://thabo@127.0.0.1/x")


def test_what_is_not_ours_is_refused(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = databases.new("sqlite")
    assert "isn't one that this version of rasa-handoff has made" in refusal(capsys, databases.new("postgres"), target)
    (tmp_path / "empty.db").touch()
    assert "isn't one that" in refusal(capsys, f"sqlite:///{tmp_path / 'empty.db'}", target)
    (tmp_path / "words.db").write_text("no database, but words " * 100)
    assert "file is not a database" in refusal(capsys, f"sqlite:///{tmp_path / 'words.db'}", target)
    make(source := databases.new("sqlite"))
    in_transaction(
        source, lambda connection: connection.execute(text("UPDATE meta SET value = 'x' WHERE key = 'side'"))
    )
    assert "belongs to 'x', which this version" in refusal(capsys, source, target)
    assert is_untouched(target)


@pytest.mark.parametrize("which", [0, 1], ids=["source", "target"])
def test_a_postgres_that_cant_be_reached_is_named_without_its_password(
    which: int, databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    away = f"postgresql://thabo:s3cret@127.0.0.1:{free_port()}/x?password=s3cret"
    make(here := databases.new("sqlite"))
    target = databases.new("sqlite")
    said = refusal(capsys, *((away, target) if which == 0 else (here, away)))
    assert "Connection refused" in said
    assert "postgresql://thabo:***@127.0.0.1" in said
    assert "s3cret" not in said
    assert is_untouched(target)


def test_the_password_is_not_shown_when_it_has_been_moved(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests' server asks for none, and takes any."""
    make(source := databases.new("sqlite"))
    target = databases.new("postgres").replace("postgres@", "postgres:s3cret@")
    assert main(["move-database", source, target]) == 0
    back = databases.new("sqlite")
    assert main(["move-database", target, back]) == 0
    shown = capsys.readouterr()
    assert "postgresql://postgres:***@" in shown.out
    assert "with the password" in shown.out
    assert "s3cret" not in shown.out + shown.err


def test_the_same_database_twice_is_refused(
    databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(file := databases.new("sqlite"))
    link = tmp_path / "link.db"
    link.symlink_to(file.removeprefix("sqlite:///"))
    make(database := databases.new("postgres"))
    for one, other in [(file, file), (file, f"sqlite:///{link}?synchronous=FULL")]:
        assert "Both are the same database" in refusal(capsys, one, other)
    for other in (database, database.replace("127.0.0.1", "localhost") + "?connect_timeout=5"):
        assert "Both are the same database" in refusal(capsys, database, other)


def test_a_killed_move_has_changed_nothing_and_is_done_again(urls: tuple[str, str]) -> None:
    source, target = urls
    make(source)
    before = rows_of(source)
    script = (
        "import os, signal, sys\n"
        "from rasa_handoff.cli.move_database import SIDES\nfrom rasa_handoff.store.moving import move\n"
        "def kill(table, done, total):\n    table == 'message' and os.kill(os.getpid(), signal.SIGKILL)\n"
        "move(*sys.argv[1:], SIDES['relay'](), kill)"
    )
    done = subprocess.run([sys.executable, "-c", script, source, target], cwd=ROOT, env={**os.environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert rows_of(source) == before
    assert rows_of(target) == {}
    assert main(["move-database", source, target]) == 0
    assert rows_of(target) == without_leases(before, "relay")


@pytest.mark.parametrize("way", [("postgres", "sqlite"), ("sqlite", "postgres")])
def test_a_lost_connection_has_changed_nothing(way: tuple[str, str], databases: Databases) -> None:
    source, target = (databases.new(kind) for kind in way)
    make(source)
    (on_postgres,) = databases.made

    def cut(table: str, done: int, total: int) -> None:
        on_postgres.cut()

    with pytest.raises(StoreError, match="Nothing was changed"):
        move(source, target, tables_of("relay"), cut)
    assert is_untouched(target)
    assert main(["move-database", source, target]) == 0


def test_a_connection_lost_in_the_commit_is_told_apart(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    make(source := databases.new("sqlite"))
    target = databases.new("postgres")
    in_transaction(target, lambda connection: None, prepare=True)
    for statement in (
        "create function fail() returns trigger language plpgsql as "
        "'begin perform pg_terminate_backend(pg_backend_pid()); return null; end'",
        "create constraint trigger fail after insert on meta deferrable initially deferred for each row execute function fail()",
    ):
        databases.made[0].execute(statement)
    said = refusal(capsys, source, target)
    assert "it isn't known whether it has it: give the command again" in said
    databases.made[0].execute("drop trigger fail on meta")
    assert main(["move-database", source, target]) == 0


def test_a_row_that_doesnt_fit_is_named(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite takes any length."""
    make(source := databases.new("sqlite"))
    add = text("INSERT INTO timer (key, kind, due) VALUES ('thabo', :kind, 1)")
    in_transaction(source, lambda connection: connection.execute(add, {"kind": "k" * 41}))
    target = databases.new("postgres")
    said = refusal(capsys, source, target)
    assert f"A row of the table timer (key 'thabo', kind '{'k' * 41}') can't be stored" in said
    assert "value too long" in said
    assert is_untouched(target)


def test_what_no_text_may_have_is_replaced(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of ours writes it; somebody may have by hand."""
    make(source := databases.new("sqlite"))
    with contextlib.closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE message SET text = 'one' || char(0) || ' two'")
    target = databases.new("postgres")
    assert main(["move-database", source, target]) == 0
    assert "2 of the rows had characters that no text may have" in capsys.readouterr().out
    texts = in_transaction(
        target, lambda connection: connection.execute(text("SELECT text FROM message")).scalars().all()
    )
    assert texts == ["one two", "one two"]


def test_tables_and_columns_of_others_are_named_and_stay(
    urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = urls
    make(source, "server")

    def add(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE events (id INTEGER)"))
        connection.execute(text("CREATE TABLE turn (id INTEGER)"))  # of processes, so nobody misses it
        connection.execute(text("ALTER TABLE agents ADD COLUMN colour VARCHAR(10)"))

    in_transaction(source, add, "server")
    in_transaction(target, lambda connection: connection.execute(text("CREATE TABLE probes (id INTEGER)")), "server")
    assert main(["move-database", source, target]) == 0
    assert "rasa-handoff doesn't know them: agents.colour, events." in capsys.readouterr().out
    assert len(rows_of(target, "server")["agents"]) == 2


def test_a_long_move_says_how_far_it_is(
    databases: Databases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_database, "SAID_EVERY", 0.0)
    make(source := databases.new("sqlite"))
    row = {"kind": "k", "due": 1.0}
    timers: Sequence[dict[str, Any]] = [{"key": str(number), **row} for number in range(998)]
    table: Table = repository.timers.table
    in_transaction(source, lambda connection: connection.execute(insert(table), timers))
    target = databases.new("postgres")
    assert main(["move-database", source, target]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("timer")] == [
        f"timer: {done:,} of 1,000 rows" for done in (200, 400, 600, 800, 1000)
    ]
    assert len(rows_of(target)["timer"]) == 1000
