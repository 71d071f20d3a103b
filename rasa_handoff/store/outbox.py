"""The outbox: what is to be told, committed together with the state that made it necessary.

An entry has a target (``"desk"``, ``"customer"``, ``"tracker"`` ...) and a lane, usually the conversation: entries of one
lane are delivered one after the other, lanes don't wait for each other. The functions run inside a transaction of
:class:`~rasa_handoff.store.engine.Store`.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.vocabulary.text import as_json
from rasa_handoff.vocabulary.values import Value


class Entry(Value, frozen=True):
    """Something to be told. ``name`` says what it is, ``body`` is JSON-ready."""

    target: str
    lane: str
    name: str
    body: dict[str, Any]
    key: int = 0

    @property
    def road(self) -> tuple[str, str]:
        """Target and lane: what is rung after the commit."""
        return self.target, self.lane


class Lease(Value, frozen=True):
    """The right of one process to deliver: ``holder`` names it; from ``now`` on for ``seconds``."""

    holder: str
    now: float
    seconds: float


class Outbox:
    """The outbox table of one side's metadata, and what is done with it."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "outbox",
            metadata,
            # SQLite counts up by itself only on INTEGER; AUTOINCREMENT so that a number is never given twice.
            Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("target", String(40), nullable=False),
            Column("lane", String(300), nullable=False),
            Column("name", String(60), nullable=False),
            Column("body", Text, nullable=False),
            Column("at", Float, nullable=False),
            # Who is delivering it, and until when nobody else may.
            Column("holder", String(40), nullable=False, default=""),
            Column("held_until", Float, nullable=False, default=0),
            Index("outbox_road", "target", "lane", "key"),
            sqlite_autoincrement=True,
        )

    def put(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Add entries at the end of their lanes, in the order given."""
        for entry in entries:
            body = as_json(entry.body)
            row = {"target": entry.target, "lane": entry.lane, "name": entry.name, "body": body, "at": time.time()}
            connection.execute(insert(self.table).values(row))

    def head(self, connection: Connection, target: str, lane: str, most: int) -> list[Entry]:
        """The first entries of a lane, oldest first."""
        t = self.table
        query = select(t).where(t.c.target == target, t.c.lane == lane).order_by(t.c.key).limit(most)
        return [_entry(row) for row in connection.execute(query)]

    def claim(self, connection: Connection, target: str, lane: str, most: int, lease: "Lease") -> list[Entry]:
        """The first entries of a lane, leased to this holder; none while another holder's lease on the first one lasts."""
        entries = self.head(connection, target, lane, most)
        if not entries:
            return []
        t, keys = self.table, [entry.key for entry in entries]
        free = (t.c.holder == lease.holder) | (t.c.held_until <= lease.now)
        held = {"holder": lease.holder, "held_until": lease.now + lease.seconds}
        first = connection.execute(update(t).where((t.c.key == keys[0]) & free).values(held)).rowcount
        if not first:
            return []
        connection.execute(update(t).where(t.c.key.in_(keys[1:])).values(held))
        return entries

    def remove(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Forget entries that were delivered."""
        connection.execute(delete(self.table).where(self.table.c.key.in_([entry.key for entry in entries])))

    def roads(self, connection: Connection, target: str | None = None) -> list[tuple[str, str]]:
        """All target and lane pairs with something in them; of one target, if given."""
        query = select(self.table.c.target, self.table.c.lane).distinct()
        if target is not None:
            query = query.where(self.table.c.target == target)
        return [(row.target, row.lane) for row in connection.execute(query)]


def _entry(row: Any) -> Entry:
    return Entry(key=row.key, target=row.target, lane=row.lane, name=row.name, body=msgspec.json.decode(row.body))
