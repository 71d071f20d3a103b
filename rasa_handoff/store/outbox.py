"""The outbox: entries to be delivered, committed together with the state that made them necessary.

An outbox entry has a target (``"desk"``, ``"customer"``, ``"tracker"`` ...) and a lane, usually the conversation. Entries of one
lane are delivered in order; lanes don't wait for each other. The methods run inside a transaction of
:class:`~rasa_handoff.store.engine.Store`.

Where several processes share the database, a lane is leased to one of them, which delivers it (``lane_leases.py``).

An entry that can't be delivered becomes a dead letter: in one transaction it leaves its lane and is kept in a table of its own,
with the reason. An administrator may send it again or drop it (``rasa-handoff dead-letters``).
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, Row

from rasa_handoff.protocol.limits import LONGEST_ID, LONGEST_LANE
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import as_json, valid_text
from rasa_handoff.store import changes
from rasa_handoff.store.change_log import ChangeLog
from rasa_handoff.store.entries import DeadLetter, Entry, read_body
from rasa_handoff.store.lane_leases import LANE, REMOVED, LaneChange, LaneLeases
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.writer import PROCESS

__all__ = ["DeadLetter", "Entry", "Outbox"]

log = get_log(__name__)

MOST_LOGGED_FULL: Final = 1_000
"""Lanes remembered as already logged as full, at most."""


class Outbox:
    """The outbox and dead-letter tables of one side's metadata, and their operations."""

    def __init__(self, metadata: MetaData) -> None:
        self.change_log = ChangeLog(metadata)
        self._logged_full: dict[tuple[str, str], bool] = {}
        self.table = Table(
            "outbox",
            metadata,
            # SQLite numbers rows only for INTEGER; AUTOINCREMENT makes sure that no number is used twice.
            Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("target", String(40), nullable=False),
            Column("lane", String(LONGEST_ID), nullable=False),
            Column("name", String(60), nullable=False),
            Column("body", Text, nullable=False),
            Column("at", Float, nullable=False),
            # The process that has leased it; empty: it rests, or the database has one owner.
            Column("holder", String(32), nullable=False, server_default=""),
            Index("outbox_lane", "target", "lane", "key"),
            Index("outbox_holder", "holder", sqlite_where=text("holder <> ''"), postgresql_where=text("holder <> ''")),
            sqlite_autoincrement=True,
        )
        table = self.table
        in_lane = (table.c.target == bindparam("target"), table.c.lane == bindparam("lane"))
        # The entry that makes a lane full. Found in the index, without counting the lane.
        filling = select(table.c.key).where(*in_lane).order_by(table.c.key).limit(1).offset(bindparam("before"))
        self._filling = Statement(filling)
        self._filling_either = self._make_filling_either()
        whole = select(table).where(*in_lane).order_by(table.c.key)
        self._all, self._head = Statement(whole), Statement(whole.limit(bindparam("most")))
        self._insert = Statement(insert(table))
        self._delete = Statement(delete(table).where(table.c.key == bindparam("of")))
        of_keys = table.c.key == func.any(bindparam("of", type_=ARRAY(BigInteger)))
        self._delete_shared = Statement(delete(table).where(of_keys).returning(table.c.key, table.c.holder))
        self.leases = LaneLeases(table, self.change_log)
        self.dead_letters = Table(
            "dead_letter",
            metadata,
            Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("target", String(40), nullable=False),
            Column("lane", String(LONGEST_ID), nullable=False),
            Column("name", String(60), nullable=False),
            Column("body", Text, nullable=False),
            Column("at", Float, nullable=False),
            Column("set_aside_at", Float, nullable=False),
            Column("reason", Text, nullable=False),
            sqlite_autoincrement=True,
        )

    def _make_filling_either(self) -> Statement:
        """Return the query for the entries that make two lanes full, those of two targets."""

        def filling(target: str) -> Any:
            table = self.table.alias()
            in_lane = (table.c.target == bindparam(target), table.c.lane == bindparam("lane"))
            query = select(table.c.key).where(*in_lane).order_by(table.c.key).limit(1).offset(bindparam("before"))
            return query.scalar_subquery().label(target)

        return Statement(select(filling("one"), filling("other")))

    def put(self, connection: Connection, entries: Iterable[Entry]) -> list[Entry]:
        """Add entries at the end of their lanes, in the order given; return them as :meth:`head` would, with their keys."""
        put = []
        for entry in entries:
            body = as_json(entry.body)
            row = {"target": entry.target, "lane": entry.lane, "name": entry.name, "body": body, "at": time.time()}
            process = connection.info.get(PROCESS)
            if process is None:
                key = self._insert.insert(connection, {**row, "holder": ""})
                put.append(replace(entry, key=key, body=read_body(body)))
                changes.note(connection, changes.Put(put[-1]))
            else:
                put.append(self._put_leased(connection, entry, row, process))
        return put

    def _put_leased(self, connection: Connection, entry: Entry, row: dict[str, Any], process: str) -> Entry:
        added = self.leases.insert(connection, row, process)
        put = replace(entry, key=added.key, body=read_body(row["body"]))
        if added.holder != process:
            self.leases.tell(connection, LANE, entry.lane, LaneChange(target=entry.target, holder=added.holder))
        else:
            changes.note(connection, changes.Put(put, added.previous))
        return put

    def is_full(self, connection: Connection, target: str, lane: str) -> bool:
        """Return whether this lane is full."""
        asked = {"target": target, "lane": lane, "before": LONGEST_LANE - 1}
        return self._filling.first(connection, asked) is not None

    def first_full(self, connection: Connection, targets: tuple[str, str], lane: str) -> str | None:
        """Return the first of two targets whose lane is full; None if none is."""
        one, other = targets
        asked = {"one": one, "other": other, "lane": lane, "before": LONGEST_LANE - 1}
        found = self._filling_either.first(connection, asked)
        return one if found.one is not None else other if found.other is not None else None

    def lacks_room(self, connection: Connection, target: str, lane: str) -> bool:
        """Return whether this lane is full, to a caller that will leave out dispensable entries then.

        Logs a full lane once, until it isn't full any more.
        """
        if not self.is_full(connection, target, lane):
            self._logged_full.pop((target, lane), None)
            return False
        if (target, lane) not in self._logged_full:
            self._logged_full[target, lane] = True
            if len(self._logged_full) > MOST_LOGGED_FULL:
                del self._logged_full[next(iter(self._logged_full))]
            log.warning(
                "%s entries wait for the %s in %s; dispensable ones are left out there.",
                f"{LONGEST_LANE:,}",
                target,
                short_id(lane),
            )
        return True

    def head(self, connection: Connection, target: str, lane: str, most: int | None = None) -> list[Entry]:
        """Return the first entries of a lane, oldest first; all unless ``most`` is given.

        An entry whose body can't be read is set aside.
        """
        here = {"target": target, "lane": lane}
        rows = self._all.all(connection, here) if most is None else self._head.all(connection, {**here, "most": most})
        found = self._readable(connection, rows)
        return found if len(found) == len(rows) else self.head(connection, target, lane, most)

    def _readable(self, connection: Connection, rows: Sequence[Any]) -> list[Entry]:
        """Return the entries of these rows; set aside those whose body can't be read."""
        found = []
        for row in rows:
            try:
                body = read_body(row.body)
                found.append(Entry(key=row.key, target=row.target, lane=row.lane, name=row.name, body=body))
            except ValueError as problem:
                log.error(
                    "An entry (%s %s of %s) can't be read, and is set aside: %s",
                    row.target,
                    row.name,
                    short_id(row.lane),
                    problem,
                )
                self.set_aside(connection, row.key, f"Its body can't be read: {problem}")
        return found

    def leased(self, connection: Connection, target: str, lane: str, most: int) -> tuple[list[Entry], bool]:
        """Return the first entries of a lane that this process may deliver, and whether there may be others behind them.

        Two processes may each have entries of a lane: one has written an entry while the other took what rested. The lane then
        belongs to the one that has the first.
        """
        process = connection.info.get(PROCESS)
        if process is None:
            found = self.head(connection, target, lane, most)
            return found, len(found) >= most
        here = {"target": target, "lane": lane, "most": most}
        rows = self._head.all(connection, here)
        if any(not row.holder for row in rows):
            self.leases.take_resting(connection, target, lane, process)
            rows = self._head.all(connection, here)
        first = next((row.holder for row in rows if row.holder), process)
        if first != process:
            self.leases.pass_on(connection, target, lane, first)
            return [], False
        mine = list(takewhile(lambda row: row.holder == process, rows))
        return self._readable(connection, mine), len(rows) >= most or len(mine) < len(rows)

    def remove(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Remove delivered entries."""
        self._remove(connection, entries)

    def forget(self, connection: Connection, lanes: Collection[str]) -> None:
        """Delete everything that these lanes have, of all targets, and their dead letters."""
        table, lanes = self.table, list(lanes)
        rows = connection.execute(
            select(table.c.key, table.c.target, table.c.lane, table.c.holder).where(table.c.lane.in_(lanes))
        ).all()
        connection.execute(delete(table).where(table.c.lane.in_(lanes)))
        connection.execute(delete(self.dead_letters).where(self.dead_letters.c.lane.in_(lanes)))
        for row in rows:
            self._note_removed(connection, row.target, row.lane, row.key, row.holder)

    def oldest(self, connection: Connection, after: int, most: int) -> list[Row]:
        """Return target, lane, key and time (``at``) of the entries after this key, the oldest first, ``most`` at most."""
        columns = self.table.c
        query = select(columns.key, columns.target, columns.lane, columns.at).where(columns.key > after)
        return list(connection.execute(query.order_by(columns.key).limit(most)).all())

    def with_entries(self, connection: Connection, targets: Collection[str], lanes: Collection[str]) -> set[str]:
        """Return which of these lanes have entries, of any of these targets."""
        columns = self.table.c
        query = select(columns.lane).where(columns.target.in_(list(targets)), columns.lane.in_(list(lanes))).distinct()
        return set(connection.execute(query).scalars())

    def entry(self, connection: Connection, key: int) -> Entry | None:
        """Return the entry with this key; None if there is none, or its body can't be read."""
        row = connection.execute(select(self.table).where(self.table.c.key == key)).first()
        try:
            return row and Entry(key=row.key, target=row.target, lane=row.lane, name=row.name, body=read_body(row.body))
        except ValueError:
            return None

    def expire(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Remove entries that were kept long enough; ``rows`` as :meth:`oldest` returns them."""
        self._remove(connection, rows)

    def _remove(self, connection: Connection, entries: Sequence[Entry] | Sequence[Row]) -> None:
        if connection.info.get(PROCESS) is None:
            for entry in entries:
                self._delete.change(connection, {"of": entry.key})
                self._note_removed(connection, entry.target, entry.lane, entry.key, "")
        elif entries:
            removed = self._delete_shared.all(connection, {"of": [entry.key for entry in entries]})
            holders = {row.key: row.holder for row in removed}
            for entry in entries:
                if entry.key in holders:
                    self._note_removed(connection, entry.target, entry.lane, entry.key, holders[entry.key])

    def _note_removed(self, connection: Connection, target: str, lane: str, key: int, holder: str) -> None:
        """Note for this process's dispatcher that an entry was removed, and for another's if that has it."""
        changes.note(connection, changes.Removed((target, lane), key))
        if holder not in ("", connection.info.get(PROCESS)):
            self.leases.tell(connection, REMOVED, lane, LaneChange(target=target, holder=holder, key=key))

    def rewrite(self, connection: Connection, key: int, body: Mapping[str, Any]) -> None:
        """Change what an entry says, for whoever reads it from here on; nothing happens if it is there no more."""
        connection.execute(update(self.table).where(self.table.c.key == key).values(body=as_json(body)))

    def set_aside(self, connection: Connection, key: int, reason: str) -> None:
        """Make a dead letter of an entry, with the reason."""
        table, dead_letters = self.table, self.dead_letters
        kept = ["target", "lane", "name", "body", "at"]
        more = (literal(time.time()).label("set_aside_at"), literal(valid_text(reason)).label("reason"))
        row = select(*(table.c[name] for name in kept), *more).where(table.c.key == key)
        connection.execute(insert(dead_letters).from_select([*kept, "set_aside_at", "reason"], row))
        found = connection.execute(
            select(table.c.target, table.c.lane, table.c.holder).where(table.c.key == key)
        ).first()
        if found is not None:
            connection.execute(delete(table).where(table.c.key == key))
            self._note_removed(connection, found.target, found.lane, key, found.holder)

    def list_dead_letters(self, connection: Connection, most: int) -> list[DeadLetter]:
        """Return the dead letters, newest first, ``most`` at most."""
        dead_letters = self.dead_letters
        query = select(dead_letters).order_by(dead_letters.c.number.desc()).limit(most)
        return [_dead_letter(row) for row in connection.execute(query)]

    def dead_letter(self, connection: Connection, number: int) -> DeadLetter | None:
        """Return the dead letter with this number; None if there is none."""
        row = connection.execute(select(self.dead_letters).where(self.dead_letters.c.number == number)).first()
        return _dead_letter(row) if row else None

    def drop(self, connection: Connection, number: int) -> bool:
        """Remove a dead letter; return False if there is none with this number."""
        here = self.dead_letters.c.number == number
        return bool(connection.execute(delete(self.dead_letters).where(here)).rowcount)

    def count_dead_letters(self, connection: Connection) -> int:
        """Return the number of dead letters."""
        return int(connection.execute(select(func.count()).select_from(self.dead_letters)).scalar_one())

    def lane_keys(self, connection: Connection, target: str | None = None) -> list[tuple[str, str]]:
        """Return all lane keys that have entries, of one target, if given; not those that another process has."""
        query, process = select(self.table.c.target, self.table.c.lane).distinct(), connection.info.get(PROCESS)
        if target is not None:
            query = query.where(self.table.c.target == target)
        if process is not None:
            query = query.where(self.table.c.holder.in_(["", process]))
        return [(row.target, row.lane) for row in connection.execute(query)]

    def is_empty(self, connection: Connection, target: str, lane: str) -> bool:
        """Return whether a lane has no entries that a process is about to deliver: those that rest don't count."""
        table = self.table
        query = select(table.c.key).where(table.c.target == target, table.c.lane == lane, table.c.holder != "").limit(1)
        return connection.execute(query).first() is None


def _dead_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        number=row.number,
        target=row.target,
        lane=row.lane,
        name=row.name,
        text=row.body,
        at=row.at,
        set_aside_at=row.set_aside_at,
        reason=row.reason,
    )
