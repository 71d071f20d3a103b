"""Conversations as they stand in the database: read and written inside a transaction."""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import and_, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.server.tables import HANDOFFS
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.assignment import Assignment, Ending, Stage
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.text import as_json
from rasa_handoff.vocabulary.values import Agent, Offer, Priority, Value

log = get_log(__name__)

_unreadable: Final[set[str]] = set()
MOST_NAMED: Final = 1_000
"""Rows that can't be read are named once in the log, so many of them."""
URGENCY: Final = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2, Priority.URGENT: 3}


class Record(Value, frozen=True, kw_only=True):
    """A conversation: what was offered and where it stands. ``side`` is the outbox target that leads to the customer."""

    offer: Offer
    side: str
    assignment: Assignment
    position: int | None = None
    seq: int = 0
    told: int = 0

    @property
    def handoff_id(self) -> str:
        """Its id, unique among all bots."""
        return self.offer.handoff_id

    def but(self, **changes: Any) -> "Record":
        """The same with some fields changed."""
        return Record(**{name: changes.get(name, getattr(self, name)) for name in Record.__struct_fields__})


def find(connection: Connection, handoff_id: str) -> Record | None:
    """The conversation, locked until the transaction ends where the database has such locks."""
    query = select(HANDOFFS).where(HANDOFFS.c.handoff_id == handoff_id).with_for_update()
    row = connection.execute(query).first()
    return _read(row) if row else None


def must_find(connection: Connection, handoff_id: str) -> Record:
    """The conversation.

    Raises:
        Refused: with code ``unknown_handoff``.
    """
    record = find(connection, handoff_id)
    if record is None:
        raise Refused("unknown_handoff", "This conversation isn't known here.")
    return record


def newest_of(connection: Connection, side: str, bot_id: str, conversation_id: str) -> Record | None:
    """The last handoff of a conversation."""
    h = HANDOFFS.c
    here = and_(h.side == side, h.bot_id == bot_id, h.conversation_id == conversation_id)
    row = connection.execute(select(HANDOFFS).where(here).order_by(h.queued_at.desc()).limit(1)).first()
    return _read(row) if row else None


def unfinished(connection: Connection) -> list[Record]:
    """All that haven't ended, in the queue's order: priority, who goes ahead, time."""
    h = HANDOFFS.c
    return _read_all(connection.execute(_in_order(h.stage != Stage.ENDED.value)))


def assigned_to(connection: Connection, agent: str) -> list[Record]:
    """The conversations an agent has, the oldest first."""
    h = HANDOFFS.c
    query = select(HANDOFFS).where(h.stage == Stage.ASSIGNED.value, h.agent == agent).order_by(h.queued_at)
    return _read_all(connection.execute(query))


def queued(connection: Connection, department: str | None) -> list[Record]:
    """The queue of a department, in its order; None: of those that nobody sent to one."""
    h = HANDOFFS.c
    here = and_(h.stage == Stage.QUEUED.value, h.department == department)
    return _read_all(connection.execute(_in_order(here)))


def add(connection: Connection, record: Record) -> None:
    """A conversation that wasn't known."""
    offer = record.offer
    fixed = {
        "handoff_id": offer.handoff_id,
        "bot_id": offer.bot_id,
        "conversation_id": offer.conversation_id,
        "side": record.side,
        "urgency": URGENCY[offer.priority],
        "offer": _packed(offer),
    }
    connection.execute(insert(HANDOFFS).values(**fixed, **_changing(record)))


def save(connection: Connection, record: Record) -> None:
    """A conversation that changed; not what was offered, which is large and stays."""
    here = HANDOFFS.c.handoff_id == record.handoff_id
    connection.execute(update(HANDOFFS).where(here).values(**_changing(record)))


def save_offer(connection: Connection, record: Record) -> None:
    """What was offered has become more."""
    here = HANDOFFS.c.handoff_id == record.handoff_id
    connection.execute(update(HANDOFFS).where(here).values(offer=_packed(record.offer)))


def hear(connection: Connection, handoff_id: str, id: str) -> None:
    """Note the last thing that came from the customer's side."""
    connection.execute(update(HANDOFFS).where(HANDOFFS.c.handoff_id == handoff_id).values(heard=id))


def last_heard(connection: Connection, handoff_id: str) -> str | None:
    """The id of the last thing that came from the customer's side, if it had one."""
    query = select(HANDOFFS.c.heard).where(HANDOFFS.c.handoff_id == handoff_id)
    heard: str | None = connection.execute(query).scalar_one_or_none()
    return heard


def told(record: Record, name: str, id: str, details: dict[str, Any]) -> tuple[Record, Entry]:
    """The next numbered thing the customer's side is told, as an outbox entry; with its address beside it."""
    number = record.told + 1
    say = {"handoff_id": record.handoff_id, "id": id, "number": number, **details}
    body = {"bot_id": record.offer.bot_id, "conversation_id": record.offer.conversation_id, "say": say}
    entry = Entry(target=record.side, lane=record.handoff_id, name=name, body=body)
    return record.but(told=number), entry


def waits(connection: Connection, department: str | None, most: int, within: float) -> list[float]:
    """How many seconds the last ``most`` taken conversations of a department waited, taken ``within`` seconds."""
    h = HANDOFFS.c
    query = select(h.assigned_at - h.queued_at).where(h.assigned_at > time.time() - within, h.department == department)
    return [row[0] for row in connection.execute(query.order_by(h.assigned_at.desc()).limit(most))]


def _in_order(here: Any) -> Any:
    h = HANDOFFS.c
    return select(HANDOFFS).where(here).order_by(h.urgency.desc(), h.ahead.desc(), h.queued_at, h.handoff_id)


def _packed(offer: Offer) -> str:
    return as_json(offer)


def _changing(record: Record) -> dict[str, Any]:
    state = record.assignment
    return {
        "stage": state.stage.value,
        "department": state.department,
        "agent": state.agent.id if state.agent else None,
        "agent_name": state.agent.name if state.agent else None,
        "queued_at": state.queued_at,
        "assigned_at": state.assigned_at,
        "ahead": state.ahead,
        "reminders": state.reminders,
        "asked": state.asked,
        "ended_at": state.ended.at if state.ended else None,
        "outcome": state.ended.outcome if state.ended else None,
        "end_note": state.ended.note if state.ended else None,
        "position": record.position,
        "seq": record.seq,
        "told": record.told,
    }


def _read_all(rows: Iterable[Any]) -> list[Record]:
    found = [_read(row) for row in rows]
    return [record for record in found if record is not None]


def _read(row: Any) -> Record | None:
    """A row as a conversation; None if it can't be read, with a line in the log: it must not hide the others."""
    try:
        return _record(row)
    except (ValueError, TypeError, msgspec.MsgspecError) as problem:
        if row.handoff_id not in _unreadable and len(_unreadable) < MOST_NAMED:
            _unreadable.add(row.handoff_id)
            log.error("The row of handoff %r can't be read, and is passed over: %s", row.handoff_id, problem)
        return None


def _record(row: Any) -> Record:
    ended = None if row.ended_at is None else Ending(outcome=row.outcome, note=row.end_note, at=row.ended_at)
    assignment = Assignment(
        stage=Stage(row.stage),
        department=row.department,
        queued_at=row.queued_at,
        agent=Agent(id=row.agent, name=row.agent_name) if row.agent else None,
        assigned_at=row.assigned_at,
        ahead=row.ahead,
        reminders=row.reminders,
        asked=row.asked,
        ended=ended,
    )
    offer = msgspec.json.decode(row.offer, type=Offer)
    return Record(offer=offer, side=row.side, assignment=assignment, position=row.position, seq=row.seq, told=row.told)
