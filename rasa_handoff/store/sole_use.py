"""The sole use of a database by a command that moves it: no process works with it, and no other command writes into it.

A SQLite file is owned as a process owns it, and locked by the transaction. A database on Postgres has the advisory lock that its
processes hold, and its tables are locked, for a command such as ``rasa-handoff agent add`` owns nothing.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import MetaData, Table, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store.database_url import without_password
from rasa_handoff.store.engine import Store
from rasa_handoff.store.postgres import AdvisoryLock
from rasa_handoff.store.sqlite import DatabaseInUse, Ownership

BESIDE_A_FILE: Final = ("", "-wal", "-shm", "-journal", "-owner")


@contextlib.contextmanager
def owned(url: str, process: str) -> Iterator[None]:
    """Own a SQLite file inside the block; do nothing for Postgres. ``process``: what uses it otherwise.

    Raises:
        StoreError: a process owns it.
    """
    ownership = Ownership(url)
    try:
        ownership.take()
    except DatabaseInUse as problem:
        raise _in_use(url, process, problem) from problem
    try:
        yield
    finally:
        ownership.leave()


def own_for_transaction(connection: Connection, url: str, process: str) -> None:
    """Own a database on Postgres until the transaction ends, which may take its time; do nothing for SQLite.

    Raises:
        StoreError: a process uses it.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    try:
        AdvisoryLock(without_password(url)).take_for_transaction(connection)
    except DatabaseInUse as problem:
        raise _in_use(url, process, problem) from problem


def lock(connection: Connection, tables: Sequence[Table], mode: str) -> None:
    """Lock tables of Postgres until the transaction ends. A SQLite file is locked since it has begun."""
    if connection.dialect.name == "postgresql" and tables:
        names = ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in tables)
        connection.execute(text(f"LOCK TABLE {names} IN {mode} MODE"))


def place_of(connection: Connection) -> tuple[Any, ...] | None:
    """Return what tells a database on Postgres from all others, whatever its server is called in the URL; None for SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    query = "SELECT pg_postmaster_start_time(), current_database(), current_schema()"
    return tuple(connection.execute(text(query)).one())


@contextlib.contextmanager
def removed_if_it_fails(path: Path | None) -> Iterator[None]:
    """Remove the SQLite file that the block has made, if it fails."""
    is_new = path is not None and not path.exists()
    try:
        yield
    except BaseException:
        if path is not None and is_new:
            for ending in BESIDE_A_FILE:
                path.with_name(path.name + ending).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def opened(url: str, metadata: MetaData) -> Iterator[Store]:
    """Give a store for :meth:`~rasa_handoff.store.engine.Store.run` alone, which checks and makes nothing by itself."""
    store = Store(url, metadata, "move", 0)
    try:
        yield store
    finally:
        store.dispose()


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Make one sentence of an error of this database."""
    try:
        yield
    except SQLAlchemyError as problem:
        raise problem_with(url, problem) from problem


def problem_with(url: str, problem: Exception) -> StoreError:
    """Return an error of this database as one sentence."""
    return StoreError(
        f"The database {without_password(url)} can't be used: {first_line(problem)}. Nothing was changed."
    )


def first_line(problem: BaseException) -> str:
    """Return what an error of the database says first; what follows may have rows in it."""
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")


def _in_use(url: str, process: str, problem: DatabaseInUse) -> StoreError:
    return StoreError(
        f"The database {without_password(url)} is in use by a process ({problem.owner}): stop {process} first, and start it "
        "again when the database is moved. Nothing was changed."
    )
