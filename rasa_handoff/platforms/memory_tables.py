"""The tables of what platform channels remember of conversations, in one database for all processes of a Rasa project.

- ``call``: the platform's calls, each with the answer that it had. A call without an answer is being answered by its
  ``holder``, a process, or waits for its turn there; in a conversation they have their turns in the order of their numbers.
- ``turn``: the process (``holder``) that has a conversation's turn now. A second row for a conversation can't be inserted.
- ``waiting``: late messages, for the next answer, and changes to trackers, for a tracker store that is away.
- ``context``: with what a platform created a conversation (LivePerson's Custom Endpoint).

What a process has is released when it has ended: :func:`release`. The functions run inside a transaction of the store.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    case,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.store.membership import Processes
from rasa_handoff.store.migrations import Steps
from rasa_handoff.store.retention import MOST_ROWS, DeletionStep
from rasa_handoff.store.statements import Statement

log = get_log(__name__)

SIDE: Final = "platform"
SCHEMA: Final = 1
OLDEST: Final = 1
"""The oldest schema whose version of this package can work with a database of ``SCHEMA`` (``store/identity.py``)."""
STEPS: Final[Steps] = {}
"""For each schema after the first, the step that leads to it (``store/migrations.py``)."""

LATE, CHANGE = "late", "change"
"""Kinds of what waits: a late message, a change to the tracker."""
NOBODY: Final = ""
"""In place of a process that has ended, or isn't at work on a row any more."""
MOST_LATE: Final = 100
"""Late messages that wait in one conversation at most; of more, the oldest are dropped."""
TOUCHED_EVERY: Final = 3_600.0
"""Seconds after which a context that is used counts as used again."""

metadata = MetaData()
processes = Processes(metadata)


def _number() -> "Column[int]":
    kind = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows only for INTEGER
    return Column("number", kind, primary_key=True, autoincrement=True)


def _of_conversation(primary_key: bool = False) -> tuple["Column[str]", "Column[str]"]:
    return (
        Column("channel", String(LONGEST_ID), primary_key=primary_key, nullable=False),
        Column("conversation_id", String(LONGEST_ID), primary_key=primary_key, nullable=False),
    )


calls = Table(
    "call",
    metadata,
    _number(),
    *_of_conversation(),
    # The platform's key of the message; a random one if it gives none.
    Column("key", String(LONGEST_ID), nullable=False),
    Column("holder", String(40), nullable=False),
    # The process where a copy of the call waits; it answers it if the holder ends.
    Column("next_holder", String(40), nullable=False, default=NOBODY),
    # JSON; null until there is one.
    Column("answer", Text),
    # The answer hands the conversation over, which must not happen again once the conversation has gone on.
    Column("while_last", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("channel", "conversation_id", "key", name="call_key"),
    Index("call_at", "at"),
    sqlite_autoincrement=True,
)
_held = calls.c.holder != NOBODY
Index("call_held", calls.c.holder, sqlite_where=_held, postgresql_where=_held)

turns = Table("turn", metadata, *_of_conversation(primary_key=True), Column("holder", String(40), nullable=False))

waiting = Table(
    "waiting",
    metadata,
    _number(),
    *_of_conversation(),
    Column("kind", String(20), nullable=False),
    # The process that is sending or writing it; empty: it waits.
    Column("holder", String(40), nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("waiting_conversation", "channel", "conversation_id", "number"),
    Index("waiting_at", "at"),
    sqlite_autoincrement=True,
)

contexts = Table(
    "context",
    metadata,
    *_of_conversation(primary_key=True),
    # JSON; null: an event came before the conversation was created.
    Column("body", Text),
    Column("at", Float, nullable=False),
    Index("context_at", "at"),
)


class WaitingRow(NamedTuple):
    """Something that waits. ``body``: JSON."""

    number: int
    conversation_id: str
    kind: str
    body: str


def in_conversation(table: Table) -> Any:
    """Return the condition for the rows of a conversation: its parameters are ``here``, the channel, and ``conversation``."""
    return (table.c.channel == bindparam("here")) & (table.c.conversation_id == bindparam("conversation"))


# Statements are built once: building one costs more than running it. Names of parameters differ from those of columns, since an
# update writes each column that a parameter is named after.
_ADD: Final = Statement(insert(waiting))
_REMOVE: Final = Statement(delete(waiting).where(waiting.c.number == bindparam("of")))
_newest_dropped = (
    select(waiting.c.number)
    .where(in_conversation(waiting), waiting.c.kind == LATE)
    .order_by(waiting.c.number.desc())
    .offset(MOST_LATE)
    .limit(1)
    .scalar_subquery()
)
_DROP_OLDEST: Final = Statement(
    delete(waiting).where(in_conversation(waiting), waiting.c.kind == LATE, waiting.c.number <= _newest_dropped)
)
_FIND_CONTEXT: Final = Statement(
    select(contexts.c.body, contexts.c.at).where(in_conversation(contexts)).with_for_update()
)
_ADD_CONTEXT: Final = Statement(
    text(
        "INSERT INTO context (channel, conversation_id, body, at) VALUES (:here, :conversation, :context, :now) "
        "ON CONFLICT DO NOTHING"
    )
)
_SET_CONTEXT: Final = Statement(update(contexts).where(in_conversation(contexts)))


def add(
    connection: Connection, channel: str, conversation_id: str, kind: str, bodies: Iterable[str], process: str
) -> list[int]:
    """Add what waits, and return the numbers. ``process``: the one that is at work on it; ``NOBODY``: it waits."""
    row = {"channel": channel, "conversation_id": conversation_id, "kind": kind, "holder": process, "at": time.time()}
    return [_ADD.insert(connection, {**row, "body": body}) for body in bodies]


def add_late(connection: Connection, channel: str, conversation_id: str, bodies: Iterable[str]) -> None:
    """Add late messages for the next answer. If too many wait, the oldest are dropped, with a log line."""
    add(connection, channel, conversation_id, LATE, bodies, NOBODY)
    dropped = _DROP_OLDEST.change(connection, {"here": channel, "conversation": conversation_id})
    if dropped:
        log.warning(
            "%s late messages of %s are dropped: more than %s wait.", dropped, short_id(conversation_id), MOST_LATE
        )


def remove(connection: Connection, numbers: Iterable[int]) -> None:
    """Remove what has waited."""
    for number in numbers:
        _REMOVE.change(connection, {"of": number})


def adopt_changes(connection: Connection, channel: str, process: str) -> list[WaitingRow]:
    """Take the changes that no process is at work on, and return them, oldest first."""
    columns = waiting.c
    query = select(columns.number, columns.conversation_id, columns.kind, columns.body).where(
        columns.channel == channel, columns.kind == CHANGE, columns.holder == NOBODY
    )
    rows = connection.execute(query.order_by(columns.number).with_for_update(skip_locked=True)).all()
    numbers = [row.number for row in rows]
    if numbers:
        connection.execute(update(waiting).where(columns.number.in_(numbers)).values(holder=process))
    return [WaitingRow(*row) for row in rows]


def release(connection: Connection) -> bool:
    """Release what processes have that have ended, all but those with a row in the table of processes; return whether they had
    anything."""
    at_work = select(processes.table.c.id)
    gone = (calls.c.next_holder != NOBODY) & calls.c.next_holder.not_in(at_work)
    connection.execute(update(calls).where(gone).values(next_holder=NOBODY))
    # A call that has an answer already needs no other holder.
    follows = case((calls.c.answer.is_(None), calls.c.next_holder), else_=NOBODY)
    released = connection.execute(delete(turns).where(turns.c.holder.not_in(at_work))).rowcount
    for table, holder in ((calls, follows), (waiting, NOBODY)):
        ended = (table.c.holder != NOBODY) & table.c.holder.not_in(at_work)
        released += connection.execute(update(table).where(ended).values(holder=holder)).rowcount
    return bool(released)


def create_context(connection: Connection, channel: str, conversation_id: str, context: str) -> bool:
    """Store with what a conversation was created; return False if it was created before."""
    here, now = {"here": channel, "conversation": conversation_id}, time.time()
    if _ADD_CONTEXT.change(connection, {**here, "context": context, "now": now}):
        return True
    is_new = _FIND_CONTEXT.first(connection, here).body is None
    _SET_CONTEXT.change(connection, {**here, "body": context, "at": now})
    return is_new


def find_context(connection: Connection, channel: str, conversation_id: str) -> tuple[bool, str | None]:
    """Return whether the conversation is known, and its context; one that isn't is known from now on."""
    here, now = {"here": channel, "conversation": conversation_id}, time.time()
    row = _FIND_CONTEXT.first(connection, here)
    if row is None and _ADD_CONTEXT.change(connection, {**here, "context": None, "now": now}):
        return False, None
    row = row or _FIND_CONTEXT.first(connection, here)
    if row.at < now - TOUCHED_EVERY:
        _SET_CONTEXT.change(connection, {**here, "body": row.body, "at": now})
    return True, row.body


def forget(connection: Connection, conversation_id: str) -> int:
    """Delete all that is kept of a conversation, of whichever channel, and return how many rows there were.

    Raises:
        Refused: the conversation is being answered.
    """
    if connection.execute(select(turns.c.holder).where(turns.c.conversation_id == conversation_id)).first() is not None:
        raise Refused("under_way", "The bot is answering this conversation now. Give the command again in a moment.")
    deleted = (
        connection.execute(delete(table).where(table.c.conversation_id == conversation_id)).rowcount
        for table in (calls, waiting, contexts)
    )
    return sum(deleted)


def delete_older(table: Table, only: Callable[[Any], Any] | None = None) -> Callable[[Connection, float], DeletionStep]:
    """Return a step that deletes rows of this table that are older than a time, ``MOST_ROWS`` at most."""
    keys = list(table.primary_key.columns)

    def step(connection: Connection, before: float) -> DeletionStep:
        query = select(*keys).where(table.c.at < before)
        if only is not None:
            query = query.where(only(table))
        rows = connection.execute(query.order_by(table.c.at).limit(MOST_ROWS)).all()
        for row in rows:
            same = (column == value for column, value in zip(keys, row, strict=True))
            connection.execute(delete(table).where(*same))
        return DeletionStep(deleted=len(rows), place=True if len(rows) == MOST_ROWS else None)

    return step
