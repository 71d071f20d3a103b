"""The repository of conversations and their messages: read and written inside a transaction."""

import time
import uuid
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Assignment, Ending, Stage
from rasa_handoff.core.assignment_events import KeepMessage
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.protocol.desk_payloads import Message
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.message_parts import read_parts
from rasa_handoff.protocol.payloads import DeskStatusPayload, MessagePayload
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Agent, Offer, Priority, Speaker, Status, Value
from rasa_handoff.server.storage.customer_entries import MessageEntry, StatusEntry
from rasa_handoff.server.storage.tables import HANDOFFS, MESSAGES, TO_FOLLOW_UP
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.row_waits import about
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.writer import PROCESS

log = get_log(__name__)

RELAY: Final = "relay"
"""``Record.side`` of conversations that HandoffChannel handed over: the outbox target that leads back to it."""
UNKNOWN: Final = "This conversation isn't known here."
MOST_LOGGED: Final = 1_000
"""How many of the rows that can't be read are logged, each of them once."""
MOST_UNREADABLE: Final = 20
"""Rows at the head of a queue that may be unreadable, before the queue counts as empty."""
URGENCY: Final = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2, Priority.URGENT: 3}
RANK: Final = {Status.STORED: 0, Status.WAITING: 1, Status.FAILED: 2, Status.DELIVERED: 3, Status.READ: 4}
"""A message's status only rises: a late "waiting" doesn't undo "delivered"."""

MOST_TO_FOLLOW_UP: Final = 200
"""Conversations to be followed up that a desk lists; with some done, older ones come with the next connect."""

OFFERS_IN_MEMORY: Final = 256
"""Offers that are kept as they were read. Each message needs its conversation's, whose transcript may be long."""

_unreadable: Final[set[str]] = set()

# The statements of ordinary messages are built once: building one costs more than running it.
_this_handoff = HANDOFFS.c.handoff_id == bindparam("handoff")
_this_message = (MESSAGES.c.handoff_id == bindparam("handoff")) & (MESSAGES.c.id == bindparam("message"))
_later = and_(
    MESSAGES.c.handoff_id == bindparam("handoff"),
    MESSAGES.c.seq > bindparam("after"),
    MESSAGES.c.speaker == Speaker.CUSTOMER.value,
)
_ORDER: Final = (HANDOFFS.c.urgency.desc(), HANDOFFS.c.ahead.desc(), HANDOFFS.c.queued_at, HANDOFFS.c.handoff_id)
"""The order of a queue."""
_FIND: Final = Statement(select(HANDOFFS).where(_this_handoff).with_for_update())
_FIND_IF_FREE: Final = Statement(select(HANDOFFS).where(_this_handoff).with_for_update(skip_locked=True))
_READ: Final = Statement(select(HANDOFFS).where(_this_handoff))
_SAVE: Final = Statement(update(HANDOFFS).where(_this_handoff))
_LAST_RECEIVED: Final = Statement(select(HANDOFFS.c.last_received).where(_this_handoff))
_NOTE_RECEIVED: Final = Statement(update(HANDOFFS).where(_this_handoff))
_INSERT_MESSAGE: Final = Statement(insert(MESSAGES))
_FIND_MESSAGE: Final = Statement(select(MESSAGES).where(_this_message))
_LAST_MESSAGE: Final = Statement(
    select(MESSAGES).where(MESSAGES.c.handoff_id == bindparam("handoff")).order_by(MESSAGES.c.seq.desc()).limit(1)
)
_UPDATE_MESSAGE: Final = Statement(update(MESSAGES).where(_this_message))
_CUSTOMER_SAID_LATER: Final = Statement(select(MESSAGES.c.seq).where(_later).limit(1))


def _recent_waits(of_department: Any) -> Statement:
    taken = and_(HANDOFFS.c.assigned_at > bindparam("since"), of_department)
    waited = (HANDOFFS.c.assigned_at - HANDOFFS.c.queued_at).label("seconds")
    return Statement(select(waited).where(taken).order_by(HANDOFFS.c.assigned_at.desc()).limit(bindparam("most")))


_WAITS: Final = _recent_waits(HANDOFFS.c.department == bindparam("in_department"))
_WAITS_OF_ALL: Final = _recent_waits(HANDOFFS.c.department.is_(None))


OPEN_STAGES: Final = tuple(stage.value for stage in Stage if stage is not Stage.ENDED)
"""The stages of conversations that haven't ended. A query that names each uses the index of stages; with "not ended" it can't."""


class Record(Value, frozen=True, kw_only=True):
    """A conversation: its offer and its state.

    ``side``: the outbox target that leads to the customer. ``customer_is_away``: whether no page of theirs is open, as far as
    their channel knows. ``position``: the place in the queue that was sent last. ``seq``: the number of the last message,
    whoever wrote it. ``last_number``: the number of the last entry to the customer's side, a message or a status.
    ``followed_up``: whether somebody has done what the outcome "follow_up" asks for.
    """

    offer: Offer
    side: str
    assignment: Assignment
    position: int | None = None
    seq: int = 0
    last_number: int = 0
    customer_is_away: bool = False
    followed_up: bool = False

    @property
    def handoff_id(self) -> str:
        """The handoff's id, unique among all bots."""
        return self.offer.handoff_id

    def is_of(self, side: str, bot_id: str) -> bool:
        """Return whether this is a conversation of this bot, on this side."""
        return self.side == side and self.offer.bot_id == bot_id


def find(connection: Connection, handoff_id: str) -> Record | None:
    """Return the conversation, locked until the transaction ends where the database has such locks.

    None: it isn't known, or its row can't be read, which is logged.
    """
    about(connection, handoff_id)
    row = _FIND.first(connection, {"handoff": handoff_id})
    return _read(row) if row else None


def find_if_free(connection: Connection, handoff_id: str) -> Record | None:
    """Return the conversation, locked as by :func:`find`; None too if another process has locked it, which isn't waited for."""
    row = _FIND_IF_FREE.first(connection, {"handoff": handoff_id})
    return _read(row) if row else None


def look_at(connection: Connection, handoff_id: str) -> Record | None:
    """Return the conversation without locking it: it may only be read."""
    row = _READ.first(connection, {"handoff": handoff_id})
    return _read(row) if row else None


def lock(connection: Connection, handoff_ids: Iterable[str]) -> None:
    """Lock these conversations where several processes share the database, before what belongs to them is changed.

    Whoever changes a conversation locks it first, and its outbox entries later; two who do it the other way round could wait
    for each other.
    """
    ids = sorted(set(handoff_ids))
    if ids and connection.info.get(PROCESS) is not None:
        about(connection, *ids)
        columns = HANDOFFS.c
        query = select(columns.handoff_id).where(columns.handoff_id.in_(ids)).order_by(columns.handoff_id)
        connection.execute(query.with_for_update()).all()


def must_find(connection: Connection, handoff_id: str) -> Record:
    """Return the conversation, locked as by :func:`find`.

    Raises:
        Refused: with code ``unknown_handoff``.
    """
    record = find(connection, handoff_id)
    if record is None:
        raise Refused("unknown_handoff", UNKNOWN)
    return record


def newest_of(connection: Connection, side: str, bot_id: str, conversation_id: str) -> Record | None:
    """Return the last handoff of a conversation, locked as by :func:`find`; None if there is none."""
    columns = HANDOFFS.c
    matches = and_(columns.side == side, columns.bot_id == bot_id, columns.conversation_id == conversation_id)
    newest = select(HANDOFFS).where(matches).order_by(columns.queued_at.desc()).limit(1)
    row = connection.execute(newest.with_for_update()).first()
    return _read(row) if row else None


def unfinished(connection: Connection) -> list[Record]:
    """Return all conversations that haven't ended, in the queue's order: priority, who goes ahead, time. Not locked."""
    return _read_all(connection.execute(_in_order(HANDOFFS.c.stage.in_(OPEN_STAGES))))


def to_follow_up(connection: Connection) -> list[Record]:
    """Return the conversations that ended with the outcome "follow_up", for which nobody has done that: the newest ones."""
    newest = select(HANDOFFS).where(TO_FOLLOW_UP).order_by(HANDOFFS.c.ended_at.desc()).limit(MOST_TO_FOLLOW_UP)
    return _read_all(connection.execute(newest))


def assigned_to(connection: Connection, agent: str) -> list[Record]:
    """Return the conversations of an agent, the oldest first, locked as by :func:`find`."""
    columns = HANDOFFS.c
    query = (
        select(HANDOFFS)
        .where(columns.stage == Stage.ASSIGNED.value, columns.agent == agent)
        .order_by(columns.queued_at, columns.handoff_id)
    )
    return _read_all(connection.execute(query.with_for_update()))


def first_queued(connection: Connection, department: str | None) -> Record | None:
    """Return the conversation that is next in a queue, not locked: it may only be read. None if the queue is empty.

    ``department``: whose queue; None: the queue of conversations without a department.
    """
    for row in connection.execute(_in_order(_in_queue(department)).limit(MOST_UNREADABLE)):
        if (record := _read(row)) is not None:
            return record
    return None


def place_of(connection: Connection, record: Record) -> int:
    """Return the place of a queued conversation, from 1."""
    state, columns = record.assignment, HANDOFFS.c
    as_urgent = columns.urgency == URGENCY[record.offer.priority]
    same_time = and_(columns.queued_at == state.queued_at, columns.handoff_id < record.handoff_id)
    earlier = or_(columns.queued_at < state.queued_at, same_time)
    before = [
        columns.urgency > URGENCY[record.offer.priority],
        and_(as_urgent, columns.ahead.is_(state.ahead), earlier),
    ]
    if not state.ahead:
        before.append(and_(as_urgent, columns.ahead.is_(True)))
    query = select(func.count()).select_from(HANDOFFS).where(_in_queue(state.department), or_(*before))
    return int(connection.execute(query).scalar_one()) + 1


def _in_queue(department: str | None) -> Any:
    return and_(HANDOFFS.c.stage == Stage.QUEUED.value, HANDOFFS.c.department == department)


class Place(Value, frozen=True, kw_only=True):
    """A place in a queue, from 1. ``sent``: the one that was sent last."""

    handoff_id: str
    place: int
    sent: int | None
    queued_at: float


def places(connection: Connection) -> list[Place]:
    """Return the places of all who wait."""
    columns = HANDOFFS.c
    wanted = (columns.handoff_id, columns.department, columns.position, columns.queued_at)
    query = select(*wanted).where(columns.stage == Stage.QUEUED.value).order_by(*_ORDER)
    counted: Counter[str | None] = Counter()
    found = []
    for row in connection.execute(query):
        counted[row.department] += 1
        place = counted[row.department]
        found.append(Place(handoff_id=row.handoff_id, place=place, sent=row.position, queued_at=row.queued_at))
    return found


def owner_of(record: Record) -> MediaOwner:
    """Return the conversation to which its pictures and files belong, whichever handoff they came with."""
    return MediaOwner(conversation_id=record.offer.conversation_id, bot_id=record.offer.bot_id)


def add(connection: Connection, record: Record) -> None:
    """Insert a new conversation."""
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
    """Update a conversation that changed; not its offer, which is large and stays. It was locked before it was read."""
    _SAVE.change(connection, {"handoff": record.handoff_id, **_changing(record)})


def save_offer(connection: Connection, record: Record) -> None:
    """Update the offer of a conversation."""
    matches = HANDOFFS.c.handoff_id == record.handoff_id
    connection.execute(update(HANDOFFS).where(matches).values(offer=_packed(record.offer)))


def note_received(connection: Connection, handoff_id: str, id: str | None) -> None:
    """Store the id of the last event that came from the customer's side; nothing if the event has no id."""
    if id is None:
        return
    _NOTE_RECEIVED.change(connection, {"handoff": handoff_id, "last_received": id})


def last_received(connection: Connection, handoff_id: str) -> str | None:
    """Return the id of the last event that came from the customer's side; None if none had an id."""
    received: str | None = _LAST_RECEIVED.scalar(connection, {"handoff": handoff_id})
    return received


def number_entry(record: Record, payload: MessagePayload | DeskStatusPayload) -> tuple[Record, Entry]:
    """Make an outbox entry for the customer's side under the next number; return the record that counted it, and the entry."""
    number, offer = record.last_number + 1, record.offer
    body: MessageEntry | StatusEntry
    if isinstance(payload, MessagePayload):
        message = replace(payload, number=number)
        body = MessageEntry(bot_id=offer.bot_id, conversation_id=offer.conversation_id, payload=message)
    else:
        status = replace(payload, number=number, id=payload.id or uuid.uuid4().hex)
        body = StatusEntry(bot_id=offer.bot_id, conversation_id=offer.conversation_id, payload=status)
    return replace(record, last_number=number), Entry.of(record.side, record.handoff_id, payload.event, body)


def recent_waits(connection: Connection, department: str | None, most: int, within: float) -> list[float]:
    """Return the seconds that conversations of a department waited: the last ``most`` of those taken ``within`` these seconds."""
    values = {"since": time.time() - within, "most": most}
    if department is None:
        return [row.seconds for row in _WAITS_OF_ALL.all(connection, values)]
    return [row.seconds for row in _WAITS.all(connection, {**values, "in_department": department})]


def _in_order(matches: Any) -> Any:
    return select(HANDOFFS).where(matches).order_by(*_ORDER)


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
        "answered": state.answered,
        "ended_at": state.ended.at if state.ended else None,
        "outcome": state.ended.outcome if state.ended else None,
        "end_note": state.ended.note if state.ended else None,
        "position": record.position,
        "seq": record.seq,
        "last_number": record.last_number,
        "customer_is_away": record.customer_is_away,
        "followed_up": record.followed_up,
    }


def _read_all(rows: Iterable[Any]) -> list[Record]:
    found = [_read(row) for row in rows]
    return [record for record in found if record is not None]


def _read(row: Any) -> Record | None:
    """Return the conversation of a row; None, with a line in the log, if it can't be read: it must not hide the others."""
    try:
        return _record(row)
    except (ValueError, TypeError, msgspec.MsgspecError) as problem:
        if row.handoff_id not in _unreadable and len(_unreadable) < MOST_LOGGED:
            _unreadable.add(row.handoff_id)
            log.error("The row of handoff %r can't be read, and is skipped: %s", row.handoff_id, problem)
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
        answered=row.answered,
        ended=ended,
    )
    return Record(
        offer=_offer(row.offer),
        side=row.side,
        assignment=assignment,
        position=row.position,
        seq=row.seq,
        last_number=row.last_number,
        customer_is_away=row.customer_is_away,
        followed_up=row.followed_up,
    )


@lru_cache(maxsize=OFFERS_IN_MEMORY)
def _offer(text: str) -> Offer:
    return msgspec.json.decode(text, type=Offer)


def forget_offers() -> None:
    """Forget the offers in memory: one of them is being deleted."""
    _offer.cache_clear()


def add_message(connection: Connection, record: Record, kept: KeepMessage) -> tuple[Record, Message]:
    """Insert a message under the next number; return the record that has counted it, and the message."""
    message = Message(
        id=kept.id,
        seq=record.seq + 1,
        speaker=kept.speaker,
        agent=kept.agent.name if kept.agent else None,
        text=kept.text,
        at=kept.at,
        status=Status.STORED,
        reason=None,
        parts=kept.parts,
    )
    parts = as_json(kept.parts) if kept.parts else None
    row = {**msgspec.to_builtins(message), "handoff_id": record.handoff_id, "parts": parts}
    _INSERT_MESSAGE.change(connection, row)
    return replace(record, seq=message.seq), message


def find_message(connection: Connection, handoff_id: str, id: str) -> Message | None:
    """Return the message with this id; None if there is none."""
    row = _FIND_MESSAGE.first(connection, {"handoff": handoff_id, "message": id})
    return _message(row) if row else None


def messages_after(connection: Connection, handoff_id: str, seq: int) -> list[Message]:
    """Return the messages with a larger number than ``seq``, in order."""
    columns = MESSAGES.c
    query = select(MESSAGES).where(columns.handoff_id == handoff_id, columns.seq > seq).order_by(columns.seq)
    return [_message(row) for row in connection.execute(query)]


def last_message(connection: Connection, handoff_id: str) -> Message | None:
    """Return the last message of a conversation; None if it has none."""
    row = _LAST_MESSAGE.first(connection, {"handoff": handoff_id})
    return _message(row) if row else None


def last_messages(connection: Connection, handoff_ids: list[str]) -> dict[str, Message]:
    """Return the last message of each of these conversations that has any, by the handoff's id."""
    columns = MESSAGES.c
    latest = select(columns.handoff_id, func.max(columns.seq).label("seq")).where(columns.handoff_id.in_(handoff_ids))
    ends = latest.group_by(columns.handoff_id).subquery()
    query = select(MESSAGES).join(ends, and_(columns.handoff_id == ends.c.handoff_id, columns.seq == ends.c.seq))
    return {row.handoff_id: _message(row) for row in connection.execute(query)}


def raise_status(
    connection: Connection, handoff_id: str, id: str, status: Status, reason: str | None
) -> Message | None:
    """Raise the status of a message.

    Return the message as it was; None if it isn't known, or has this status or a higher one.
    """
    message = find_message(connection, handoff_id, id)
    if message is None or RANK[message.status] >= RANK[status]:
        return None
    values = {"handoff": handoff_id, "message": id, "status": status.value, "reason": reason}
    _UPDATE_MESSAGE.change(connection, values)
    return message


def is_unanswered(connection: Connection, handoff_id: str, message: Message) -> bool:
    """Return whether the customer has written nothing after this message."""
    return _CUSTOMER_SAID_LATER.first(connection, {"handoff": handoff_id, "after": message.seq}) is None


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
        parts=read_parts(msgspec.json.decode(row.parts)) if row.parts else (),
    )
