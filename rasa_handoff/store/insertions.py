"""Insertions of rows that another process may insert at the same moment: ``ON CONFLICT`` instead of looking first."""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_if_new(connection: Connection, table: Table, **values: Any) -> None:
    """Insert a row, unless there is one with its primary key."""
    connection.execute(_insert(connection, table).values(**values).on_conflict_do_nothing())


def insert_or_update(connection: Connection, table: Table, **values: Any) -> None:
    """Insert a row, or give these values to the one with its primary key."""
    keys = [column.name for column in table.primary_key]
    others = {name: value for name, value in values.items() if name not in keys}
    insertion = _insert(connection, table).values(**values)
    connection.execute(insertion.on_conflict_do_update(index_elements=keys, set_=others))


def _insert(connection: Connection, table: Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
