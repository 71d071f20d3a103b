"""The messages of live conversations: read and written inside a transaction."""

from typing import Any, Final

import msgspec
from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import MESSAGES
from rasa_handoff.thinking.desk_events import Kept
from rasa_handoff.vocabulary.values import Speaker, Status, Value

RANK: Final = {Status.STORED: 0, Status.WAITING: 1, Status.FAILED: 2, Status.DELIVERED: 3, Status.READ: 4}
"""A message's status only rises: a late "waiting" doesn't undo "delivered"."""


class Message(Value, frozen=True, kw_only=True):
    """A message of a live conversation, as the desk reads it (docs/protocol.md)."""

    id: str
    seq: int
    speaker: Speaker
    agent: str | None
    text: str
    at: float
    status: Status
    reason: str | None


def keep(connection: Connection, record: Record, kept: Kept) -> tuple[Record, Message]:
    """Write a message down under the next number."""
    message = Message(
        id=kept.id,
        seq=record.seq + 1,
        speaker=kept.speaker,
        agent=kept.agent.name if kept.agent else None,
        text=kept.text,
        at=kept.at,
        status=Status.STORED,
        reason=None,
    )
    row = {**msgspec.to_builtins(message), "handoff_id": record.handoff_id}
    connection.execute(insert(MESSAGES).values(**row))
    return record.but(seq=message.seq), message


def known(connection: Connection, handoff_id: str, id: str) -> Message | None:
    """The message with this id, if it came before."""
    m = MESSAGES.c
    row = connection.execute(select(MESSAGES).where(m.handoff_id == handoff_id, m.id == id)).first()
    return _message(row) if row else None


def after(connection: Connection, handoff_id: str, seq: int) -> list[Message]:
    """The messages with a larger number than ``seq``, in order."""
    m = MESSAGES.c
    rows = connection.execute(select(MESSAGES).where(m.handoff_id == handoff_id, m.seq > seq).order_by(m.seq))
    return [_message(row) for row in rows]


def last(connection: Connection, handoff_ids: list[str]) -> dict[str, Message]:
    """The last message of each of these conversations that has any."""
    m = MESSAGES.c
    latest = select(m.handoff_id, func.max(m.seq).label("seq")).where(m.handoff_id.in_(handoff_ids))
    ends = latest.group_by(m.handoff_id).subquery()
    rows = connection.execute(select(MESSAGES).join(ends, and_(m.handoff_id == ends.c.handoff_id, m.seq == ends.c.seq)))
    return {row.handoff_id: _message(row) for row in rows}


def mark(connection: Connection, handoff_id: str, id: str, status: Status, reason: str | None) -> Message | None:
    """Note what became of a message; gives it as it was, or None if it isn't known or was further on."""
    message = known(connection, handoff_id, id)
    if message is None or RANK[message.status] >= RANK[status]:
        return None
    here = and_(MESSAGES.c.handoff_id == handoff_id, MESSAGES.c.id == id)
    connection.execute(update(MESSAGES).where(here).values(status=status.value, reason=reason))
    return message


def is_last_word(connection: Connection, handoff_id: str, message: Message) -> bool:
    """Whether the customer has said nothing after this message."""
    m = MESSAGES.c
    later = and_(m.handoff_id == handoff_id, m.seq > message.seq, m.speaker == Speaker.CUSTOMER.value)
    return not connection.execute(select(exists().where(later))).scalar()


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        seq=row.seq,
        speaker=Speaker(row.speaker),
        agent=row.agent,
        text=row.text,
        at=row.at,
        status=Status(row.status),
        reason=row.reason,
    )
