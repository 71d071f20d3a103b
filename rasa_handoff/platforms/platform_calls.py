"""The calls of a platform, and the turns of its conversations, as rows that all processes of a project see.

A call is drawn when it comes, begins when no call before it in its conversation is at work or waits, and is finished with its
answer. The functions run inside a transaction of the store.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, or_, select, text, update
from sqlalchemy.engine import Connection

from rasa_handoff.platforms.memory_tables import (
    CHANGE,
    NOBODY,
    WaitingRow,
    add_late,
    calls,
    in_conversation,
    remove,
    turns,
    waiting,
)
from rasa_handoff.store.statements import Statement

SAME_ANSWER_SECONDS: Final = 600.0
"""Seconds for which an answer is kept; the last one of a conversation is kept for longer."""


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


class Begun(NamedTuple):
    """How a call has begun.

    ``answer``: the one that it had before, as JSON. ``waits``: another call of the conversation has its turn first, or another
    process answers this one. ``is_held``: it waits as the call of this process. ``waiting``: what waits in the
    conversation, oldest first.
    """

    number: int
    answer: str | None = None
    waits: bool = False
    is_held: bool = False
    waiting: tuple[WaitingRow, ...] = ()


# Statements are built once: building one costs more than running it. Names of parameters differ from those of columns, since an
# update writes each column that a parameter is named after.
_same = calls.c.number == bindparam("of")
_free = (calls.c.holder == NOBODY) & calls.c.answer.is_(None)
_DRAW: Final = Statement(
    text(
        "INSERT INTO call (channel, conversation_id, key, holder, next_holder, while_last, at) "
        "VALUES (:here, :conversation, :name, :mine, '', false, :now) ON CONFLICT DO NOTHING"
    )
)
_FIND: Final = Statement(
    select(calls.c.number, calls.c.holder, calls.c.answer).where(
        in_conversation(calls), calls.c.key == bindparam("name")
    )
)
_TAKE_OVER: Final = Statement(update(calls).where(_same, _free))
_named = in_conversation(calls) & (calls.c.key == bindparam("name"))
_elsewhere = (calls.c.holder != NOBODY) & (calls.c.holder != bindparam("mine")) & calls.c.answer.is_(None)
_FOLLOW: Final = Statement(update(calls).where(_named, _elsewhere, calls.c.next_holder == NOBODY))
_FORGET_NAMED: Final = Statement(
    delete(calls).where(_named, calls.c.holder == bindparam("mine"), calls.c.answer.is_(None))
)
_UNFOLLOW: Final = Statement(
    update(calls).where(_named, calls.c.next_holder == bindparam("mine")).values(next_holder=NOBODY)
)
_BEGIN_TURN: Final = Statement(
    text(
        "INSERT INTO turn (channel, conversation_id, holder) SELECT :here, :conversation, :mine WHERE NOT EXISTS "
        "(SELECT 1 FROM call WHERE channel = :here AND conversation_id = :conversation AND holder <> '' AND number < :of) "
        "ON CONFLICT DO NOTHING"
    )
)
_END_TURN: Final = Statement(delete(turns).where(in_conversation(turns), turns.c.holder == bindparam("mine")))
_WAITING: Final = Statement(
    select(waiting.c.number, waiting.c.conversation_id, waiting.c.kind, waiting.c.body)
    .where(in_conversation(waiting), or_(waiting.c.kind == CHANGE, waiting.c.holder == NOBODY))
    .order_by(waiting.c.number)
)
_is_mine = or_(calls.c.holder == bindparam("mine"), _free)  # or it was, and nobody has answered it instead
_GIVE: Final = Statement(update(calls).where(_same, _is_mine))
_KEEP_ANSWER: Final = Statement(update(calls).where(_same, _is_mine))
_FORGET_CALL: Final = Statement(delete(calls).where(_same, _is_mine))
_FORGET_OLDER: Final = Statement(
    delete(calls).where(
        in_conversation(calls),
        calls.c.holder == NOBODY,
        calls.c.number < bindparam("of"),
        or_(calls.c.while_last, calls.c.at < bindparam("before")),
    )
)


def draw(connection: Connection, call: CallId) -> bool:
    """Give a call its place among those of its conversation; return False if a copy of it has it.

    If that copy is at another process, this one answers the call if that one ends.
    """
    named = {**call.here, "name": call.key, "mine": call.process}
    if _DRAW.change(connection, {**named, "now": time.time()}):
        return True
    _FOLLOW.change(connection, {**named, "next_holder": call.process})
    return False


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
        return Begun(row.number, waits=True, is_held=True)
    rows = _WAITING.all(connection, call.here)
    return Begun(row.number, waiting=tuple(WaitingRow(*found) for found in rows))


def give_up(connection: Connection, call: CallId, has_lock: bool) -> None:
    """Have a call wait no longer, since nobody waits for its answer. ``has_lock``: its turn may have begun, and no other here."""
    named = {**call.here, "name": call.key, "mine": call.process}
    _FORGET_NAMED.change(connection, named)
    _UNFOLLOW.change(connection, named)
    if has_lock:
        _END_TURN.change(connection, {**call.here, "mine": call.process})


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
        named = {**call.here, "name": call.key, "mine": call.process}
        _DRAW.change(connection, {**named, "now": time.time()})
        _UNFOLLOW.change(connection, named)
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
