"""The tables of what platform channels remember of conversations, in one database for all processes of a Rasa project.

- ``call``: the platform's calls, each with the answer that it had. A call without an answer is being answered by its
  ``holder``, a process, or waits for its turn there; in a conversation they have their turns in the order of their numbers.
- ``turn``: the process (``holder``) that has a conversation's turn now. A second row for a conversation can't be inserted.
- ``waiting``: late messages, for the next answer, and changes to trackers, for a tracker store that is away.
- ``context``: with what a platform created a conversation (LivePerson's Custom Endpoint).

What a process has is released when it has ended: :func:`release`. The functions run inside a transaction of the store.
"""

import time
from collections.abc import Callable, Iterable, Sequence
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
    delete,
    insert,
    or_,
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
STEPS: Final[Steps] = {}
"""For each schema after the first, the step that leads to it (``store/migrations.py``)."""

LATE, CHANGE = "late", "change"
"""Kinds of what waits: a late message, a change to the tracker."""
NOBODY: Final = ""
"""In place of a process that has ended, or isn't at work on a row any more."""
SAME_ANSWER_SECONDS: Final = 600.0
"""Seconds for which an answer is kept; the last one of a conversation is kept for longer."""
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


class CallId(NamedTuple):
    """A call, and the process that answers it."""

    channel: str
    conversation_id: str
    key: str
    process: str

    @property
    def here(self) -> dict[str, str]:
        """The parameters that name its conversation."""
        return {"here": self.channel, "conversation": self.conversation_id}


class WaitingRow(NamedTuple):
    """Something that waits. ``body``: JSON."""

    number: int
    conversation_id: str
    kind: str
    body: str


class Begun(NamedTuple):
    """How a call has begun.

    ``answer``: the one that it had before, as JSON. ``waits``: another call of the conversation has its turn first, or another
    process answers this one. ``waiting``: what waits in the conversation, oldest first.
    """

    number: int
    answer: str | None = None
    waits: bool = False
    waiting: tuple[WaitingRow, ...] = ()


# Statements are built once: building one costs more than running it. Names of parameters differ from those of columns, since an
# update writes each column that a parameter is named after.
def _in(table: Table) -> Any:
    return (table.c.channel == bindparam("here")) & (table.c.conversation_id == bindparam("conversation"))


_same = calls.c.number == bindparam("of")
_free = (calls.c.holder == NOBODY) & calls.c.answer.is_(None)
_DRAW: Final = Statement(
    text(
        "INSERT INTO call (channel, conversation_id, key, holder, while_last, at) "
        "VALUES (:here, :conversation, :name, :mine, false, :now) ON CONFLICT DO NOTHING"
    )
)
_FIND: Final = Statement(
    select(calls.c.number, calls.c.holder, calls.c.answer).where(_in(calls), calls.c.key == bindparam("name"))
)
_TAKE_OVER: Final = Statement(update(calls).where(_same, _free))
_BEGIN_TURN: Final = Statement(
    text(
        "INSERT INTO turn (channel, conversation_id, holder) SELECT :here, :conversation, :mine WHERE NOT EXISTS "
        "(SELECT 1 FROM call WHERE channel = :here AND conversation_id = :conversation AND holder <> '' AND number < :of) "
        "ON CONFLICT DO NOTHING"
    )
)
_END_TURN: Final = Statement(delete(turns).where(_in(turns), turns.c.holder == bindparam("mine")))
_WAITING: Final = Statement(
    select(waiting.c.number, waiting.c.conversation_id, waiting.c.kind, waiting.c.body)
    .where(_in(waiting), or_(waiting.c.kind == CHANGE, waiting.c.holder == NOBODY))
    .order_by(waiting.c.number)
)
_is_mine = or_(calls.c.holder == bindparam("mine"), _free)  # or it was, and nobody has answered it instead
_GIVE: Final = Statement(update(calls).where(_same, _is_mine))
_KEEP_ANSWER: Final = Statement(update(calls).where(_same, _is_mine))
_FORGET_CALL: Final = Statement(delete(calls).where(_same, _is_mine))
_FORGET_OLDER: Final = Statement(
    delete(calls).where(
        _in(calls),
        calls.c.holder == NOBODY,
        calls.c.number < bindparam("of"),
        or_(calls.c.while_last, calls.c.at < bindparam("before")),
    )
)
_ADD: Final = Statement(insert(waiting))
_REMOVE: Final = Statement(delete(waiting).where(waiting.c.number == bindparam("of")))
_newest_dropped = (
    select(waiting.c.number)
    .where(_in(waiting), waiting.c.kind == LATE)
    .order_by(waiting.c.number.desc())
    .offset(MOST_LATE)
    .limit(1)
    .scalar_subquery()
)
_DROP_OLDEST: Final = Statement(
    delete(waiting).where(_in(waiting), waiting.c.kind == LATE, waiting.c.number <= _newest_dropped)
)
_FIND_CONTEXT: Final = Statement(select(contexts.c.body, contexts.c.at).where(_in(contexts)).with_for_update())
_ADD_CONTEXT: Final = Statement(
    text(
        "INSERT INTO context (channel, conversation_id, body, at) VALUES (:here, :conversation, :context, :now) "
        "ON CONFLICT DO NOTHING"
    )
)
_SET_CONTEXT: Final = Statement(update(contexts).where(_in(contexts)))


def draw(connection: Connection, call: CallId) -> None:
    """Give a call its place among those of its conversation, unless it has one."""
    _DRAW.change(connection, {**call.here, "name": call.key, "mine": call.process, "now": time.time()})


def begin(connection: Connection, call: CallId) -> Begun:
    """Begin the turn of a call if it may begin now. One that has an answer, or waits, may be asked for again."""
    draw(connection, call)
    row = _FIND.first(connection, {**call.here, "name": call.key})
    if row is None:  # another process has just forgotten it, and it may be drawn again
        return Begun(0, waits=True)
    if row.answer is not None:
        return Begun(row.number, answer=row.answer)
    if row.holder == NOBODY:  # its process ended before it was answered
        if not _TAKE_OVER.change(connection, {"of": row.number, "holder": call.process}):
            return Begun(row.number, waits=True)
    elif row.holder != call.process:
        return Begun(row.number, waits=True)
    if not _BEGIN_TURN.change(connection, {**call.here, "mine": call.process, "of": row.number}):
        return Begun(row.number, waits=True)
    rows = _WAITING.all(connection, call.here)
    return Begun(row.number, waiting=tuple(WaitingRow(*found) for found in rows))


def give(connection: Connection, call: CallId, number: int, answer: str, used: Iterable[int]) -> None:
    """Store an answer whose turn goes on. ``used``: the numbers of the late messages in it."""
    _GIVE.change(connection, {"of": number, "mine": call.process, "answer": answer})
    remove(connection, used)


def finish(
    connection: Connection,
    call: CallId,
    number: int | None,
    answer: str | None,
    while_last: bool,
    used: Iterable[int],
    late: Sequence[str],
) -> None:
    """End the turn of a call, and store its answer; without one the call is forgotten.

    ``number``: None if the turn began without the database. ``while_last``: the answer isn't given again once a later call has
    one. ``used``: the numbers of the late messages that were taken; ``late``: those that came too late.
    """
    if number is None:
        draw(connection, call)
        found = _FIND.first(connection, {**call.here, "name": call.key})
        number = 0 if found is None else int(found.number)
    now, held = time.time(), {"of": number, "mine": call.process}
    if answer is None:
        _FORGET_CALL.change(connection, held)
    else:
        row = {"answer": answer, "while_last": while_last, "holder": NOBODY, "at": now}
        _KEEP_ANSWER.change(connection, {**held, **row})
    remove(connection, used)
    if late:
        add_late(connection, call.channel, call.conversation_id, late)
    _END_TURN.change(connection, {**call.here, "mine": call.process})
    _FORGET_OLDER.change(connection, {**call.here, "of": number, "before": now - SAME_ANSWER_SECONDS})


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
    released = connection.execute(delete(turns).where(turns.c.holder.not_in(at_work))).rowcount
    for table in (calls, waiting):
        ended = (table.c.holder != NOBODY) & table.c.holder.not_in(at_work)
        released += connection.execute(update(table).where(ended).values(holder=NOBODY)).rowcount
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
