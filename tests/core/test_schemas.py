"""Who changes a table gives its side a new schema number, and a step that brings existing databases up to it."""

import hashlib
from typing import Final

import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.dialects import postgresql

from rasa_handoff.platforms import memory_tables
from rasa_handoff.relay import (
    customer_ids,
    inbox,
    long_payloads,
    page_connections,
    repository,
    taken_pieces,
    turn_leases,
    unread_messages,
)
from rasa_handoff.server.gateways import botlhale_clients
from rasa_handoff.server.storage import tables

RECORDED: Final = {
    ("relay", 1): "bd11fd7922",
    ("server", 1): "e8e3c61ab6",
    ("platform", 1): "9552abcd7c",
    ("relay", 2): "49c916d1b1",
    ("server", 2): "9874650ea0",
    ("relay", 3): "f5739a2ac1",
    ("server", 3): "91b0709247",
    ("server", 4): "02756ec045",
}
"""By side and ``SCHEMA``. Until the first release schema 1 may change: write its new fingerprint here. After it raise ``SCHEMA``,
add the step that leads to it (CONTRIBUTING.md, "Add a table or a column"), and record that schema beside the others."""
SIDES = {
    "relay": (repository.metadata, repository.SCHEMA),
    "server": (tables.METADATA, tables.SCHEMA),
    "platform": (memory_tables.metadata, memory_tables.SCHEMA),
}
WITH_TABLES = (
    customer_ids,
    inbox,
    long_payloads,
    page_connections,
    taken_pieces,
    turn_leases,
    unread_messages,
    botlhale_clients,
)
"""Modules that add tables of their own to a side's metadata when they are imported."""
OF_THE_STORE = ("meta", "probe")
"""Tables that a store adds when it is made."""


def fingerprint(metadata: MetaData) -> str:
    """A few digits that change with any table, column or index."""
    lines = []
    for table in metadata.sorted_tables:
        if table.name in OF_THE_STORE:
            continue
        for one in table.columns:
            kind = one.type.compile(dialect=postgresql.dialect())
            lines.append(f"{table.name}.{one.name} {kind} {one.nullable} {one.primary_key}")
        lines += [f"{table.name} index {one.name} {[column.name for column in one.columns]}" for one in table.indexes]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:10]


def test_a_new_column_changes_the_fingerprint() -> None:
    metadata = MetaData()
    Table("departments", metadata, Column("name", Integer, primary_key=True))
    before = fingerprint(metadata)
    metadata.tables["departments"].append_column(Column("colour", Integer))
    assert fingerprint(metadata) != before


@pytest.mark.parametrize("side", SIDES)
def test_each_schema_has_its_number(side: str) -> None:
    metadata, schema = SIDES[side]
    assert fingerprint(metadata) == RECORDED.get((side, schema)), "see the note at RECORDED"
