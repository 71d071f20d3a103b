"""The relay's database: conversations, handoffs, the messages of live chats, the outbox and the timers.

The functions run inside a transaction of :class:`RelayStore`.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    Boolean,
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
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control, Conversation
from rasa_handoff.core.transcript import latest
from rasa_handoff.media.media_table import MediaTable
from rasa_handoff.protocol.errors import StoreUnavailable
from rasa_handoff.protocol.events import AgentSaid, CustomerSaid
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.message_parts import read_parts
from rasa_handoff.protocol.payloads import OpenHandoffPayload, ToDeskPayload
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Line, Offer, Speaker
from rasa_handoff.store.batch import Work
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import Processes
from rasa_handoff.store.migrations import Steps
from rasa_handoff.store.outbox import Entry, Outbox
from rasa_handoff.store.row_waits import ALL, about
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.timers import Timers
from rasa_handoff.store.troubles import TROUBLES

T = TypeVar("T")

log = get_log(__name__)

DESK, CUSTOMER, TRACKER = "desk", "customer", "tracker"
"""The outbox's targets on this side."""

SIDE: Final = "relay"
SCHEMA: Final = 3
OLDEST: Final = 1
"""The oldest schema whose version of this package can work with a database of ``SCHEMA`` (``store/identity.py``)."""
STEPS: Final[Steps] = {2: lambda operations: operations.add_column("message", Column("parts", Text))}
"""For each schema after the first, the step that leads to it (``store/migrations.py``); 3 has new tables, made anyway."""

SAME_OUTAGE: Final = 60.0
"""Failures less than this many seconds apart are one outage. With a full disk reads succeed while every write fails, so a success
in between doesn't end an outage."""

metadata = MetaData()
outbox = Outbox(metadata)
timers = Timers(metadata)
processes = Processes(metadata)
media = MediaTable(metadata)
CONVERSATION: Final = "conversation"
"""The topic of a change that says that a conversation is in another state now."""

conversations = Table(
    "conversation",
    metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("state", String(20), nullable=False, index=True),
    Column("body", Text, nullable=False),
)

handoffs = Table(
    "handoff",
    metadata,
    Column("handoff_id", String(LONGEST_ID), primary_key=True),
    Column("conversation_id", String(LONGEST_ID), nullable=False, index=True),
    # How many numbered events were sent to the desk: the next one's number is this plus one.
    Column("sent", Integer, nullable=False, default=0),
    # The highest number of an event that was received from the desk.
    Column("received", Integer, nullable=False, default=0),
    Column("offer", Text, nullable=False),
    # The customer left a message: the desk may answer it although the conversation is the bot's again.
    Column("message_left", Boolean, nullable=False, default=False),
    Column("started_at", Float, nullable=False),
    # When the conversation went back to the bot; for a message that was left: when it was answered last.
    Column("ended_at", Float),
)
# Finds the handoffs that ended before a time, however many there are; those under way aren't in this index.
Index(
    "handoff_ended",
    handoffs.c.ended_at,
    sqlite_where=handoffs.c.ended_at.isnot(None),
    postgresql_where=handoffs.c.ended_at.isnot(None),
)

messages = Table(
    "message",
    metadata,
    # The messages of live chats. The id is unique in its handoff, so that duplicates are recognised; the text is kept for a
    # desk that has lost its database.
    Column("handoff_id", String(LONGEST_ID), primary_key=True),
    Column("id", String(LONGEST_ID), primary_key=True),
    # 1, 2, 3 ... in its handoff. The times come from two machines' clocks, so they don't define an order.
    Column("place", Integer, nullable=False),
    Column("speaker", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    # What it has beside text, as JSON; null if the text says all.
    Column("parts", Text),
)


# Statements of ordinary messages, and of a reconnect, are built once: building one costs more than running it.
_of_conversation = conversations.c.conversation_id == bindparam("conversation")
_of_handoff = handoffs.c.handoff_id == bindparam("handoff")
_same_message = (messages.c.handoff_id == bindparam("handoff")) & (messages.c.id == bindparam("message"))
_next_place = (
    select(func.coalesce(func.max(messages.c.place), 0) + 1)
    .where(messages.c.handoff_id == bindparam("handoff"))
    .scalar_subquery()
)
_LOAD: Final = Statement(select(conversations.c.body).where(_of_conversation))
_LOAD_TO_CHANGE: Final = Statement(select(conversations.c.body).where(_of_conversation).with_for_update())
_UPDATE: Final = Statement(update(conversations).where(_of_conversation))
_INSERT: Final = Statement(insert(conversations))
_ACCEPT_NUMBER: Final = Statement(update(handoffs).where(_of_handoff, handoffs.c.received < bindparam("number")))
_COUNT_SENT: Final = Statement(update(handoffs).where(_of_handoff).values(sent=handoffs.c.sent + 1))
_SENT: Final = Statement(select(handoffs.c.sent).where(_of_handoff))
_COUNTED: Final = Statement(
    update(handoffs).where(_of_handoff).values(sent=handoffs.c.sent + 1).returning(handoffs.c.sent)
)
"""Both by one statement, on Postgres; not every SQLite can do it."""
_RECEIVED: Final = Statement(select(handoffs.c.received).where(_of_handoff))
_LAST_AGENT_MESSAGE: Final = Statement(
    select(messages.c.id)
    .where(messages.c.handoff_id == bindparam("handoff"), messages.c.speaker == Speaker.AGENT.value)
    .order_by(messages.c.place.desc())
    .limit(1)
)
_MESSAGE_LEFT: Final = Statement(select(handoffs.c.message_left).where(_of_handoff))
_CONVERSATION_OF: Final = Statement(select(handoffs.c.conversation_id).where(_of_handoff))
_FIND_MESSAGE: Final = Statement(select(messages.c.id).where(_same_message))
_NEW_MESSAGE: Final[dict[str, Any]] = {"handoff_id": bindparam("handoff"), "place": _next_place}
_INSERT_MESSAGE: Final = Statement(insert(messages).values(**_NEW_MESSAGE))
_INSERT_IF_NEW: Final = Statement(postgresql.insert(messages).values(**_NEW_MESSAGE).on_conflict_do_nothing())


def load(connection: Connection, conversation_id: str) -> Conversation:
    """Return the conversation, or a new one where the bot has always been active."""
    about(connection, conversation_id)
    return _loaded(_LOAD, connection, conversation_id)


def load_to_change(connection: Connection, conversation_id: str) -> Conversation:
    """Return the conversation as :func:`load` does, and lock it until the transaction ends, where others could change it.

    Everything that belongs to a conversation is changed under its lock, and the lock is taken first.
    """
    about(connection, conversation_id)
    return _loaded(_LOAD_TO_CHANGE, connection, conversation_id)


def _loaded(statement: Statement, connection: Connection, conversation_id: str) -> Conversation:
    body = statement.scalar(connection, {"conversation": conversation_id})
    known = None if body is None else _read(body, conversation_id)
    return known or Conversation(conversation_id=conversation_id)


def load_all(connection: Connection, conversation_ids: Collection[str]) -> list[Conversation]:
    """Return these conversations."""
    about(connection, *conversation_ids)
    columns = conversations.c
    query = select(columns.body, columns.conversation_id).where(columns.conversation_id.in_(list(conversation_ids)))
    found = {row.conversation_id: _read(row.body, row.conversation_id) for row in connection.execute(query)}
    return [found.get(one) or Conversation(conversation_id=one) for one in conversation_ids]


def save(connection: Connection, conversation: Conversation) -> None:
    """Insert or update the conversation, and note that for other processes."""
    outbox.change_log.note(connection, CONVERSATION, conversation.conversation_id)
    values = {"state": conversation.state.value, "body": as_json(conversation)}
    id = conversation.conversation_id
    if _UPDATE.change(connection, {"conversation": id, **values}) == 0:
        _INSERT.change(connection, {"conversation_id": id, **values})


def under_way(connection: Connection) -> list[Conversation]:
    """Return every conversation with a handoff under way."""
    about(connection, ALL)
    columns = conversations.c
    rows = connection.execute(select(columns.body, columns.conversation_id).where(columns.state != Control.BOT.value))
    found = [_read(row.body, row.conversation_id) for row in rows]
    return [conversation for conversation in found if conversation is not None]


def _read(body: str, conversation_id: str) -> Conversation | None:
    """Decode a conversation's row; return None, with a log line, if it can't be read.

    It then counts as the bot's: one bad row must not keep the others from being loaded. If its tracker is paused, the desk is
    asked for the handoff (an orphaned pause).
    """
    try:
        return msgspec.json.decode(body, type=Conversation)
    except msgspec.DecodeError as problem:
        log.error(
            "The row of conversation %r can't be read, so it counts as the bot's: %s",
            short_id(conversation_id),
            problem,
        )
        return None


def add_handoff(connection: Connection, offer: Offer) -> None:
    """Insert a new handoff, of which nothing was sent yet."""
    row = {
        "handoff_id": offer.handoff_id,
        "conversation_id": offer.conversation_id,
        "sent": 0,
        "started_at": time.time(),
    }
    connection.execute(insert(handoffs).values(**row, offer=as_json(offer)))


def offer_of(connection: Connection, handoff_id: str) -> Offer:
    """Return the offer that a handoff began with."""
    body = connection.execute(select(handoffs.c.offer).where(handoffs.c.handoff_id == handoff_id)).scalar_one()
    return msgspec.json.decode(body, type=Offer)


def replace_offer(connection: Connection, offer: Offer) -> None:
    """Replace the offer of a handoff by one whose transcript could be read."""
    here = handoffs.c.handoff_id == offer.handoff_id
    connection.execute(update(handoffs).where(here).values(offer=as_json(offer)))


def accept_number(connection: Connection, handoff_id: str, number: int) -> bool:
    """Store the number of an event from the desk; return False, and store nothing, if it or a later one was stored before."""
    values = {"handoff": handoff_id, "number": number, "received": number}
    return bool(_ACCEPT_NUMBER.change(connection, values))


def reset_received(connection: Connection, handoff_id: str) -> None:
    """Reset the numbers of the desk's events: its database was lost, so it begins at 1 again."""
    connection.execute(update(handoffs).where(handoffs.c.handoff_id == handoff_id).values(received=0))


def open_handoffs(
    connection: Connection, found_under_way: Iterable[Conversation], is_away: Callable[[str], bool]
) -> list[OpenHandoffPayload]:
    """Return these handoffs with what came last from the desk: the highest number, and the last agent message's id.

    ``is_away``: whether the customer of a conversation is away.
    """
    found = []
    for conversation in found_under_way:
        number = _RECEIVED.scalar(connection, {"handoff": conversation.handoff_id})
        if number is not None:
            last_message = _last_agent_message(connection, str(conversation.handoff_id))
            found.append(
                OpenHandoffPayload(
                    handoff_id=str(conversation.handoff_id),
                    last=number,
                    words=last_message,
                    customer_is_away=is_away(conversation.conversation_id),
                )
            )
    return found


def _last_agent_message(connection: Connection, handoff_id: str) -> str | None:
    found: str | None = _LAST_AGENT_MESSAGE.scalar(connection, {"handoff": handoff_id})
    return found


def mark_message_left(connection: Connection, handoff_id: str) -> None:
    """Store that the customer left a message with this handoff."""
    connection.execute(update(handoffs).where(handoffs.c.handoff_id == handoff_id).values(message_left=True))


def end_handoff(connection: Connection, handoff_id: str, at: float) -> None:
    """Store when a handoff ended, or when a message that was left with it was answered: it is kept for a time from then on."""
    connection.execute(update(handoffs).where(handoffs.c.handoff_id == handoff_id).values(ended_at=at))


def message_was_left(connection: Connection, handoff_id: str | None) -> bool:
    """Return whether the customer left a message with this handoff."""
    return bool(_MESSAGE_LEFT.scalar(connection, {"handoff": handoff_id}))


def conversation_of(connection: Connection, handoff_id: str) -> str | None:
    """Return the id of the conversation that a handoff belongs to; None for one this relay never began."""
    found: str | None = _CONVERSATION_OF.scalar(connection, {"handoff": handoff_id})
    return found


def keep_message(connection: Connection, handoff_id: str, said: CustomerSaid | AgentSaid) -> bool:
    """Store a message; return False, and store nothing, if one with its id was stored in this handoff before."""
    speaker = Speaker.CUSTOMER if isinstance(said, CustomerSaid) else Speaker.AGENT
    row = {
        "handoff": handoff_id,
        "id": said.id,
        "speaker": speaker.value,
        "text": said.text,
        "at": said.at,
        "parts": as_json(said.parts) if said.parts else None,
    }
    if connection.dialect.name == "postgresql":
        return bool(_INSERT_IF_NEW.change(connection, row))
    if _FIND_MESSAGE.first(connection, {"handoff": handoff_id, "message": said.id}) is not None:
        return False
    _INSERT_MESSAGE.change(connection, row)
    return True


def handoff_of_agent_message(connection: Connection, conversation_id: str, message_id: str) -> str | None:
    """Return the handoff of an agent's message; None if it isn't a message of an agent."""
    here = (handoffs.c.conversation_id == conversation_id) & (messages.c.handoff_id == handoffs.c.handoff_id)
    query = select(messages.c.handoff_id).where(
        here, messages.c.id == message_id, messages.c.speaker == Speaker.AGENT.value
    )
    found: str | None = connection.execute(query).scalars().first()
    return found


def offer_with_messages(connection: Connection, handoff_id: str) -> Offer:
    """Return the offer that a handoff began with, its transcript extended by what was said since, as much as fits an offer.

    Messages that still wait for the desk are left out: they are delivered on their own.
    """
    offer = offer_of(connection, handoff_id)
    query = select(messages).where(messages.c.handoff_id == handoff_id).order_by(messages.c.place)
    undelivered = {entry.id for entry in waiting_for_desk(connection, offer.conversation_id, handoff_id)}
    rows = [row for row in connection.execute(query) if row.id not in undelivered]
    lines = (_line(row) for row in rows)
    return msgspec.structs.replace(offer, transcript=latest((*offer.transcript, *lines)))


def _line(row: Any) -> Line:
    parts = read_parts(msgspec.json.decode(row.parts)) if row.parts else ()
    return Line(speaker=Speaker(row.speaker), text=row.text, at=row.at, parts=parts)


def waiting_for_desk(connection: Connection, lane: str, handoff_id: str | None) -> list[Entry]:
    """Return the entries of this handoff that wait for the desk, oldest first."""
    entries = outbox.head(connection, DESK, lane)
    return [entry for entry in entries if entry.handoff_id == handoff_id]


def desk_epoch(connection: Connection) -> str | None:
    """Return the desk's epoch, as stored last."""
    table = metadata.tables["meta"]
    epoch: str | None = connection.execute(
        select(table.c.value).where(table.c.key == "desk_epoch")
    ).scalar_one_or_none()
    return epoch


def keep_desk_epoch(connection: Connection, epoch: str) -> None:
    """Store the desk's epoch."""
    table = metadata.tables["meta"]
    connection.execute(delete(table).where(table.c.key == "desk_epoch"))
    connection.execute(insert(table).values(key="desk_epoch", value=epoch))


def next_number(connection: Connection, handoff_id: str) -> int:
    """Count one more payload that is sent to the desk in this handoff, and return its number."""
    here = {"handoff": handoff_id}
    if connection.dialect.name == "postgresql":
        return int(_COUNTED.scalar(connection, here))
    _COUNT_SENT.change(connection, here)
    return int(_SENT.scalar(connection, here))


def numbered(connection: Connection, payload: ToDeskPayload) -> ToDeskPayload:
    """Return a payload for the desk with the next number in its handoff and, unless it has one, an id."""
    number = next_number(connection, payload.handoff_id)
    return msgspec.structs.replace(payload, id=payload.id or uuid.uuid4().hex, number=number)


class RelayStore(Store):
    """A store that raises :class:`StoreUnavailable` while its database is locked, full or unreachable."""

    _failed_at = float("-inf")

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` as :meth:`Store.write` does. An outage is logged once, not for each operation that fails.

        Raises:
            StoreUnavailable: the database can't be used now; nothing was done, and the caller may try again.
        """
        try:
            return await super().write(work)
        except TROUBLES as problem:
            sentence = f"The relay's database can't be used now: {problem}"
            if time.monotonic() - self._failed_at > SAME_OUTAGE:
                log.error("%s", sentence)
            self._failed_at = time.monotonic()
            raise StoreUnavailable(sentence) from problem
