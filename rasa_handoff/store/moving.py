"""Moving a side's database to another one, between SQLite and Postgres, while no process works with either.

Everything is copied in one transaction of the target: all rows, also the epoch, so that the other side sees the same database;
and the counters, so that no number is used twice. A move that fails or is killed leaves the target as it was. The database that
is moved is only read.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, Integer, MetaData, Table, func, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.handshake import FORMAT
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.database_url import read_url, without_password
from rasa_handoff.store.sole_use import (
    explained,
    first_line,
    lock,
    opened,
    own_for_transaction,
    owned,
    place_of,
    problem_with,
    removed_if_it_fails,
)
from rasa_handoff.store.sqlite import file_of

CHUNK: Final = 200
"""Rows in memory at once: one with a handoff's offer may have 200,000 characters."""
NOT_MOVED: Final = frozenset(
    {
        "change",
        "customer_connection",
        "desk_connection",
        "page_connection",
        "probe",
        "process",
        "relay_connections",
        "turn",
    }
)
"""Tables about the processes that work with a database, and what is connected to them: after a move they have all ended."""
NO_LEASE: Final = {"holder": "", "held_until": 0.0}
"""Columns with a process's lease of a row, and what they have without one: no process works with a database that is moved."""
META: Final = "meta"
SOMETHING: Final = "that process"
"""What is to be stopped where a database in use doesn't say whose it is, as while another move fills it."""

Identity: TypeAlias = dict[str, str]
"""The rows of a database's table ``meta``: its format, side, schema and epoch."""
MoveListener = Callable[[str, int, int], None]
"""Is called with the name of a table, how many of its rows were copied, and how many it has."""


class SideTables(Value, frozen=True, kw_only=True):
    """The tables of a side, all of them. ``process``: what works with its database, and is to be stopped before."""

    side: str
    process: str
    metadata: MetaData
    schema: int


class MovedDatabase(Value, frozen=True, kw_only=True):
    """The result of a move.

    ``rows``: how many were copied, by table. ``mended``: how many of them had characters that aren't valid text. ``left_out``:
    the tables and columns beside them that aren't this side's.
    """

    rows: dict[str, int]
    mended: int
    left_out: list[str]


def identity_of(url: str) -> Identity:
    """Return what a database says of itself; nothing is changed.

    Raises:
        StoreError: it isn't there, can't be opened, or isn't rasa-handoff's.
    """
    _check_kind(url)
    path = file_of(url)
    if path is not None and not path.is_file():
        raise StoreError(f"There is no database {path}, so there is nothing to move.")
    with opened(url, MetaData()) as store, explained(url):
        identity = store.run(_read_identity)
    if identity is None or identity.get("format") != FORMAT or not {"side", "schema", "epoch"} <= identity.keys():
        shown = without_password(url)
        raise StoreError(f"The database {shown} isn't one that this version of rasa-handoff has made.")
    return identity


def move(source: str, target: str, tables: SideTables, listener: MoveListener) -> MovedDatabase:
    """Copy the database at the URL ``source`` to ``target``, which must be empty.

    Raises:
        StoreError: it can't be done, in one sentence; nothing was changed.
    """
    _check_schema(source, identity_of(source), tables)
    _check_kind(target)
    path, other = file_of(source), file_of(target)
    if path is not None and other is not None and other.exists() and path.samefile(other):
        raise _same(target)
    user = _user_of_target(target, tables)
    with owned(source, tables.process), owned(target, user), removed_if_it_fails(other):
        return _Move(source, target, user, tables, listener).run()


def _user_of_target(url: str, tables: SideTables) -> str:
    """Return what is to be stopped if the target is in use.

    Raises:
        StoreError: it belongs to another side, in use or not: then its process goes on, and another target is needed.
    """
    path = file_of(url)
    if path is not None and not path.exists():
        return SOMETHING
    identity: Identity | None = None
    # A database that can't be read now is locked by what uses it, or away: that is said when it is opened to be written.
    with contextlib.suppress(SQLAlchemyError), opened(url, MetaData()) as store:
        identity = store.run(_read_identity)
    _check_side(url, identity or {}, tables)
    return tables.process if identity and "side" in identity else SOMETHING


class _Move:
    """One move, in a transaction of each database."""

    def __init__(self, source: str, target: str, user: str, tables: SideTables, listener: MoveListener) -> None:
        self._source, self._target, self._user, self._tables, self._listener = source, target, user, tables, listener
        self._is_copied = False
        self._mended = 0

    def run(self) -> MovedDatabase:
        """Copy everything, and commit.

        Raises:
            StoreError: it can't be done, or it isn't known whether it was committed.
        """
        with opened(self._target, self._tables.metadata) as store:
            try:
                return store.run(self._read_and_write)
            except SQLAlchemyError as problem:
                if not self._is_copied:
                    raise problem_with(self._target, problem) from problem
                raise StoreError(
                    f"The database {without_password(self._target)} failed when all was copied ({first_line(problem)}), and it "
                    "isn't known whether it has it: give the command again, which does it or says that it was done."
                ) from problem

    def _read_and_write(self, new: Connection) -> MovedDatabase:
        with opened(self._source, self._tables.metadata) as store, explained(self._source):
            moved = store.run(lambda old: self._copy_all(old, new))
        self._is_copied = True
        return moved

    def _copy_all(self, old: Connection, new: Connection) -> MovedDatabase:
        there = self._take_both(old, new)
        with explained(self._target):
            self._check_target(old, new)
            self._tables.metadata.create_all(new)
            lock(new, self._moved_tables(), "ACCESS EXCLUSIVE")
            new.execute(self._tables.metadata.tables[META].delete())
        rows = {table.name: self._copy(table, old, new) for table in there}
        for table in there:
            self._go_on_counting(table, old, new)
        return MovedDatabase(rows=rows, mended=self._mended, left_out=list(self._not_of_this_side(old)))

    def _take_both(self, old: Connection, new: Connection) -> list[Table]:
        """Take both databases for this command alone, and return the tables that the old one has.

        Raises:
            StoreError: they are the same, or one is in use.
        """
        if (place := place_of(old)) is not None and place == place_of(new):
            raise _same(self._target)
        own_for_transaction(old, self._source, self._tables.process)
        with explained(self._target):
            own_for_transaction(new, self._target, self._user)
        there = [table for table in self._moved_tables() if inspect(old).has_table(table.name)]
        lock(old, there, "SHARE")
        return there

    def _moved_tables(self) -> list[Table]:
        """Return the tables in the order of their foreign keys."""
        return [table for table in self._tables.metadata.sorted_tables if table.name not in NOT_MOVED]

    def _not_of_this_side(self, old: Connection) -> Iterator[str]:
        """Yield the tables and columns of the old database that this side doesn't know."""
        known, found = self._tables.metadata.tables, inspect(old)
        for name in sorted(found.get_table_names()):
            if name in NOT_MOVED or name.startswith("sqlite_"):  # the latter are SQLite's own
                continue
            if name not in known:
                yield name
            else:
                columns = sorted(column["name"] for column in found.get_columns(name))
                yield from (f"{name}.{column}" for column in columns if column not in known[name].c)

    def _check_target(self, old: Connection, new: Connection) -> None:
        """Check that the target is empty, or has this side's tables without rows.

        Raises:
            StoreError: it isn't.
        """
        shown, tables = without_password(self._target), self._tables
        identity = _read_identity(new) or {}
        _check_side(self._target, identity, tables)
        if identity.get("schema", str(tables.schema)) != str(tables.schema):
            raise StoreError(f"The database {shown} has the tables of another version: give an empty database.")
        used = next((table.name for table in self._moved_tables() if self._has_rows(table, new)), None)
        if used is not None:
            is_known = identity.get("epoch") == (_read_identity(old) or {}).get("epoch")
            known = " and it is the same database, moved here or from here before" if is_known else ""
            raise StoreError(
                f"The database {shown} isn't empty: its table {used} has rows{known}. Nothing was changed: give an empty "
                "database."
            )

    def _has_rows(self, table: Table, new: Connection) -> bool:
        return table.name != META and inspect(new).has_table(table.name) and bool(_count(table, new))

    def _copy(self, table: Table, old: Connection, new: Connection) -> int:
        """Copy a table, and return how many rows it has."""
        total, done = _count(table, old), 0
        query = select(table).execution_options(stream_results=True)
        for chunk in old.execute(query).yield_per(CHUNK).mappings().partitions(CHUNK):
            self._insert(table, new, [self._mend(dict(row)) for row in chunk])
            done += len(chunk)
            self._listener(table.name, done, total)
        with explained(self._target):
            arrived = _count(table, new)
        if not total == done == arrived:
            raise StoreError(
                f"Of the {total:,} rows of the table {table.name} {arrived:,} have arrived, so nothing was changed: try again."
            )
        return total

    def _mend(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row without leases, and with valid texts. Ours are valid since they came in; Postgres would refuse others."""
        made = {name: valid_text(value) if isinstance(value, str) else value for name, value in row.items()}
        self._mended += made != row
        return {**made, **{name: value for name, value in NO_LEASE.items() if name in made}}

    def _insert(self, table: Table, new: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows. If one can't be stored, they are tried one by one to find it.

        Raises:
            StoreError: one can't be stored; the sentence names it.
        """
        try:
            with new.begin_nested():
                new.execute(table.insert(), rows)
        except (DataError, IntegrityError) as problem:
            if len(rows) == 1:
                key = ", ".join(f"{column.name} {rows[0][column.name]!r}" for column in table.primary_key)
                raise StoreError(
                    f"A row of the table {table.name} ({key}) can't be stored in {without_password(self._target)}: "
                    f"{first_line(problem)}. Nothing was changed. Mend or delete that row, and try again."
                ) from problem
            for row in rows:
                self._insert(table, new, [row])
        except SQLAlchemyError as problem:
            raise problem_with(self._target, problem) from problem

    def _go_on_counting(self, table: Table, old: Connection, new: Connection) -> None:
        """Let the target number further rows after all that either database has ever numbered."""
        column = counted_column(table)
        if column is None:
            return
        before = _counter_of(old, table, column)
        with explained(self._target):
            highest = new.execute(select(func.max(column))).scalar() or 0
            _set_counter(new, table, column, max(before, highest, _counter_of(new, table, column)))


def counted_column(table: Table) -> "Column[Any] | None":
    """Return the column that the database numbers by itself; None if there is none."""
    columns = list(table.primary_key.columns)
    if len(columns) != 1 or columns[0].foreign_keys:
        return None
    return columns[0] if columns[0].autoincrement is True or isinstance(columns[0].type, Integer) else None


def _counter_of(connection: Connection, table: Table, column: "Column[Any]") -> int:
    """Return the highest number that was given to a row, also to one that is no longer there; 0 if none is remembered."""
    if connection.dialect.name == "postgresql":
        sequence = _sequence_of(connection, table, column)
        query = f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"
        return int(connection.execute(text(query)).scalar_one()) if sequence else 0
    if not table.dialect_options["sqlite"]["autoincrement"]:  # SQLite then numbers from the highest row on
        return 0
    query = "SELECT seq FROM sqlite_sequence WHERE name = :name"
    return int(connection.execute(text(query), {"name": table.name}).scalar() or 0)


def _set_counter(connection: Connection, table: Table, column: "Column[Any]", number: int) -> None:
    """Let the database give the next row a higher number than this one."""
    if connection.dialect.name == "postgresql":
        sequence = _sequence_of(connection, table, column)
        if sequence and number:
            connection.execute(text("SELECT setval(:sequence, :number)"), {"sequence": sequence, "number": number})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), values)


def _sequence_of(connection: Connection, table: Table, column: "Column[Any]") -> str | None:
    names = {"table": connection.dialect.identifier_preparer.format_table(table), "column": column.name}
    found: str | None = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), names).scalar()
    return found


def _check_kind(url: str) -> None:
    """Check that a database is one whose rows and counters can be moved."""
    kind, shown = read_url(url).get_backend_name(), without_password(url)
    if kind == "sqlite" and file_of(url) is None:
        raise StoreError(
            f"The database {shown} is gone when the command ends: give a file, such as sqlite:///handoff.db."
        )
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(f"The database {shown} is neither SQLite nor Postgres, which are the two that can be moved.")


def _check_schema(url: str, identity: Identity, tables: SideTables) -> None:
    found, shown = int(identity["schema"]), without_password(url)
    if found > tables.schema:
        raise StoreError(
            f"The database {shown} has schema {found}, this version of rasa-handoff knows up to {tables.schema}: install the "
            "newer version that wrote it."
        )
    if found < tables.schema:
        raise StoreError(
            f"The database {shown} has schema {found}, this version of rasa-handoff moves {tables.schema}: start "
            f"{tables.process} with it once, which brings it up to date, stop it, and try again."
        )


def _check_side(url: str, identity: Identity, tables: SideTables) -> None:
    """Check that a target doesn't belong to another side."""
    if identity.get("side", tables.side) != tables.side:
        raise StoreError(
            f"The database {without_password(url)} belongs to the {identity['side']}, and what is moved to the {tables.side}: "
            "give an empty database."
        )


def _same(url: str) -> StoreError:
    return StoreError(f"Both are the same database, {without_password(url)}: give another one to move it to.")


def _read_identity(connection: Connection) -> Identity | None:
    if not inspect(connection).has_table(META):
        return None
    return {row.key: row.value for row in connection.execute(text(f"SELECT key, value FROM {META}"))}


def _count(table: Table, connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
