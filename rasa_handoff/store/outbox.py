"""The outbox: what is to be told, committed together with the state that made it necessary.

An entry has a target (``"desk"``, ``"customer"``, ``"tracker"`` ...) and a lane, usually the conversation: entries of one
lane are delivered one after the other, lanes don't wait for each other. The functions run inside a transaction of
:class:`~rasa_handoff.store.engine.Store`.

What can't be delivered becomes a dead letter: it leaves its lane and is kept beside the outbox, with the reason, in one
transaction. Somebody may send it again, or drop it (``rasa-handoff dead-letters``).
"""

import time
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Any, Final

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
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.text import as_json, valid_text
from rasa_handoff.vocabulary.values import Value

log = get_log(__name__)

LONGEST_LANE: Final = 1_000
"""Entries that may wait in one lane. Beyond it people's words are refused aloud, and what can be left out is, with a log line.
What a state's change needs (an offer, an end, the return) is put in always: it comes a few times in a handoff."""
MOST_NAMED: Final = 1_000
"""Lanes of which the log has said that they are full, so many at a time."""


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

    @property
    def id(self) -> str | None:
        """The id that its body names; None if it names none. Whoever looks through a lane meets wrong entries too, which are
        set aside only when it is their turn."""
        return self._named("id")

    @property
    def handoff_id(self) -> str | None:
        """The handoff that its body names; None if it names none."""
        return self._named("handoff_id")

    def _named(self, key: str) -> str | None:
        value = self.body.get(key) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) else None


class DeadLetter(Value, frozen=True, kw_only=True):
    """An entry that was set aside. ``at``: when it was accepted, ``set_aside_at``: when it was given up, seconds since 1970.
    ``text`` is its body, JSON as it was stored: it may be what can't be read."""

    number: int
    target: str
    lane: str
    name: str
    text: str
    at: float
    set_aside_at: float
    reason: str

    @property
    def entry(self) -> Entry:
        """As it was in the outbox.

        Raises:
            ValueError: its body can't be read.
        """
        return Entry(target=self.target, lane=self.lane, name=self.name, body=_body(self.text))


class Lease(Value, frozen=True):
    """The right of one process to deliver: ``holder`` names it; from ``now`` on for ``seconds``."""

    holder: str
    now: float
    seconds: float


class Outbox:
    """The outbox table of one side's metadata, and what is done with it."""

    def __init__(self, metadata: MetaData) -> None:
        self._named: dict[tuple[str, str], bool] = {}
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
        t = self.table
        here = t.c.target.in_(bindparam("targets", expanding=True)), t.c.lane.in_(bindparam("lanes", expanding=True))
        whole = func.count() >= bindparam("most")
        # Made once: it is asked of every message, and making it costs more than asking.
        self._full = select(t.c.target, t.c.lane).where(*here).group_by(t.c.target, t.c.lane).having(whole)
        self.dead_letters = Table(
            "dead_letter",
            metadata,
            Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("target", String(40), nullable=False),
            Column("lane", String(300), nullable=False),
            Column("name", String(60), nullable=False),
            Column("body", Text, nullable=False),
            Column("at", Float, nullable=False),
            Column("set_aside_at", Float, nullable=False),
            Column("reason", Text, nullable=False),
            sqlite_autoincrement=True,
        )

    def put(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Add entries at the end of their lanes, in the order given."""
        for entry in entries:
            body = as_json(entry.body)
            row = {"target": entry.target, "lane": entry.lane, "name": entry.name, "body": body, "at": time.time()}
            connection.execute(insert(self.table).values(row))

    def full(self, connection: Connection, targets: Collection[str], lanes: Collection[str]) -> set[tuple[str, str]]:
        """Which of these lanes, of these targets, hold all they may: one look at an index."""
        asked = {"targets": list(targets), "lanes": list(lanes), "most": LONGEST_LANE}
        return {(row.target, row.lane) for row in connection.execute(self._full, asked)}

    def is_full(self, connection: Connection, target: str, lane: str) -> bool:
        """Whether this lane holds all it may."""
        return bool(self.full(connection, [target], [lane]))

    def without_room(
        self, connection: Connection, targets: Collection[str], lanes: Collection[str]
    ) -> set[tuple[str, str]]:
        """The same, for what can be left out and is then; said once in the log of each lane, until it has room again."""
        full = self.full(connection, targets, lanes) if targets and lanes else set()
        for road in product(targets, lanes):
            if road not in full:
                self._named.pop(road, None)
        for road in full - self._named.keys():
            self._named[road] = True
            if len(self._named) > MOST_NAMED:
                del self._named[next(iter(self._named))]
            many = f"{LONGEST_LANE:,}"
            target, lane = road
            log.warning(
                "%s entries wait for the %s in %s; what can be left out there is left out.",
                many,
                target,
                short_id(lane),
            )
        return full

    def head(self, connection: Connection, target: str, lane: str, most: int | None = None) -> list[Entry]:
        """The first entries of a lane, oldest first; all of them unless ``most`` is given. One whose body can't be read is set
        aside."""
        t = self.table
        query = select(t).where(t.c.target == target, t.c.lane == lane).order_by(t.c.key).limit(most)
        found, whole = [], True
        for row in connection.execute(query).all():
            try:
                body = _body(row.body)
                found.append(Entry(key=row.key, target=row.target, lane=row.lane, name=row.name, body=body))
            except ValueError as problem:
                log.error(
                    "An entry (%s %s of %s) can't be read, and is set aside: %s",
                    target,
                    row.name,
                    short_id(lane),
                    problem,
                )
                self.set_aside(connection, row.key, f"Its body can't be read: {problem}")
                whole = False
        return found if whole else self.head(connection, target, lane, most)

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

    def set_aside(self, connection: Connection, key: int, reason: str) -> None:
        """Make a dead letter of an entry, with what is wrong with it."""
        t, d = self.table, self.dead_letters
        kept = ["target", "lane", "name", "body", "at"]
        more = (literal(time.time()).label("set_aside_at"), literal(valid_text(reason)).label("reason"))
        row = select(*(t.c[name] for name in kept), *more).where(t.c.key == key)
        connection.execute(insert(d).from_select([*kept, "set_aside_at", "reason"], row))
        connection.execute(delete(t).where(t.c.key == key))

    def set_aside_ones(self, connection: Connection, most: int) -> list[DeadLetter]:
        """The dead letters, the newest first."""
        d = self.dead_letters
        return [_dead_letter(row) for row in connection.execute(select(d).order_by(d.c.number.desc()).limit(most))]

    def dead_letter(self, connection: Connection, number: int) -> DeadLetter | None:
        """The one with this number."""
        row = connection.execute(select(self.dead_letters).where(self.dead_letters.c.number == number)).first()
        return _dead_letter(row) if row else None

    def drop(self, connection: Connection, number: int) -> bool:
        """Forget a dead letter; False if there is none with this number."""
        here = self.dead_letters.c.number == number
        return bool(connection.execute(delete(self.dead_letters).where(here)).rowcount)

    def count_dead_letters(self, connection: Connection) -> int:
        """How many there are."""
        return int(connection.execute(select(func.count()).select_from(self.dead_letters)).scalar_one())

    def roads(self, connection: Connection, target: str | None = None) -> list[tuple[str, str]]:
        """All target and lane pairs with something in them; of one target, if given."""
        query = select(self.table.c.target, self.table.c.lane).distinct()
        if target is not None:
            query = query.where(self.table.c.target == target)
        return [(row.target, row.lane) for row in connection.execute(query)]


def _body(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as problem:
        raise ValueError(str(problem)) from problem


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
