"""The relay's tables: conversations, handoffs, the messages of live chats, and the outbox."""

import time
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.store.outbox import Entry, Outbox
from rasa_handoff.store.timers import Timers
from rasa_handoff.thinking.control import Control, Conversation
from rasa_handoff.thinking.transcript import latest
from rasa_handoff.vocabulary.events import AgentSaid, CustomerSaid
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.text import as_json
from rasa_handoff.vocabulary.values import Line, Offer, Speaker

DESK, CUSTOMER, TRACKER = "desk", "customer", "tracker"
"""The outbox's targets on this side."""

log = get_log(__name__)

SIDE: Final = "relay"
SCHEMA: Final = 1

metadata = MetaData()
outbox = Outbox(metadata)
timers = Timers(metadata)

conversations = Table(
    "conversation",
    metadata,
    Column("conversation_id", String(300), primary_key=True),
    Column("state", String(20), nullable=False, index=True),
    Column("body", Text, nullable=False),
)

handoffs = Table(
    "handoff",
    metadata,
    Column("handoff_id", String(64), primary_key=True),
    Column("conversation_id", String(300), nullable=False, index=True),
    # How many durable events were sent to the desk: the next one's number is this plus one.
    Column("sent", Integer, nullable=False, default=0),
    # The highest number of the desk's that was taken in.
    Column("received", Integer, nullable=False, default=0),
    Column("offer", Text, nullable=False),
    # The customer left a message: the desk may answer it although the conversation is the bot's again.
    Column("message_left", Boolean, nullable=False, default=False),
    Column("started_at", Float, nullable=False),
)

messages = Table(
    "message",
    metadata,
    # What was said in live chats. The id is unique in its handoff, which ends duplicates; the words are kept to tell a desk
    # that lost its database.
    Column("handoff_id", String(64), primary_key=True),
    Column("id", String(120), primary_key=True),
    # 1, 2, 3 ... in its handoff. The times are those of two machines' clocks, which don't tell an order.
    Column("place", Integer, nullable=False),
    Column("speaker", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
)


def load(connection: Connection, conversation_id: str) -> Conversation:
    """The conversation, or a fresh one where the bot has always been active."""
    query = select(conversations.c.body).where(conversations.c.conversation_id == conversation_id)
    body = connection.execute(query).scalar_one_or_none()
    known = None if body is None else _read(body, conversation_id)
    return known or Conversation(conversation_id=conversation_id)


def save(connection: Connection, conversation: Conversation) -> None:
    """Write the conversation down as it is now."""
    values = {"state": conversation.state.value, "body": as_json(conversation)}
    known = conversations.c.conversation_id == conversation.conversation_id
    if connection.execute(update(conversations).where(known).values(values)).rowcount == 0:
        connection.execute(insert(conversations).values(conversation_id=conversation.conversation_id, **values))


def under_way(connection: Connection) -> list[Conversation]:
    """Every conversation in which the bot alone isn't active."""
    c = conversations.c
    rows = connection.execute(select(c.body, c.conversation_id).where(c.state != Control.BOT.value))
    found = [_read(row.body, row.conversation_id) for row in rows]
    return [conversation for conversation in found if conversation is not None]


def _read(body: str, conversation_id: str) -> Conversation | None:
    """A conversation's row; None if it can't be read. It then counts as the bot's: one row must not keep the others from being
    loaded, and a tracker that is paused for nobody is looked up at the desk."""
    try:
        return msgspec.json.decode(body, type=Conversation)
    except msgspec.DecodeError as problem:
        log.error(
            "The row of conversation %r can't be read, so it counts as the bot's: %s",
            short_id(conversation_id),
            problem,
        )
        return None


def begin(connection: Connection, offer: Offer) -> None:
    """A new handoff, nothing sent yet."""
    row = {
        "handoff_id": offer.handoff_id,
        "conversation_id": offer.conversation_id,
        "sent": 0,
        "started_at": time.time(),
    }
    connection.execute(insert(handoffs).values(**row, offer=as_json(offer)))


def offer_of(connection: Connection, handoff_id: str) -> Offer:
    """The offer a handoff began with."""
    body = connection.execute(select(handoffs.c.offer).where(handoffs.c.handoff_id == handoff_id)).scalar_one()
    return msgspec.json.decode(body, type=Offer)


def keep_offer(connection: Connection, offer: Offer) -> None:
    """What a handoff began with is known only now."""
    here = handoffs.c.handoff_id == offer.handoff_id
    connection.execute(update(handoffs).where(here).values(offer=as_json(offer)))


def is_next(connection: Connection, handoff_id: str, number: int) -> bool:
    """Note a number of the desk's; False if it, or a later one, was noted before."""
    here = (handoffs.c.handoff_id == handoff_id) & (handoffs.c.received < number)
    return bool(connection.execute(update(handoffs).where(here).values(received=number)).rowcount)


def count_anew(connection: Connection, handoff_id: str) -> None:
    """The desk has forgotten all, its numbers too."""
    connection.execute(update(handoffs).where(handoffs.c.handoff_id == handoff_id).values(received=0))


def heard(connection: Connection) -> list[dict[str, Any]]:
    """Of each handoff under way the highest number taken in, and the id of the last words of an agent's."""
    found = []
    for conversation in under_way(connection):
        query = select(handoffs.c.received).where(handoffs.c.handoff_id == conversation.handoff_id)
        number = connection.execute(query).scalar_one_or_none()
        if number is not None:
            words = _last_words(connection, str(conversation.handoff_id))
            found.append({"handoff_id": conversation.handoff_id, "last": number, "words": words})
    return found


def _last_words(connection: Connection, handoff_id: str) -> str | None:
    of_agents = (messages.c.handoff_id == handoff_id) & (messages.c.speaker == Speaker.AGENT.value)
    query = select(messages.c.id).where(of_agents).order_by(messages.c.place.desc()).limit(1)
    id: str | None = connection.execute(query).scalar_one_or_none()
    return id


def leave_message(connection: Connection, handoff_id: str) -> None:
    """Note that the customer left a message with this handoff."""
    connection.execute(update(handoffs).where(handoffs.c.handoff_id == handoff_id).values(message_left=True))


def has_message(connection: Connection, handoff_id: str | None) -> bool:
    """Whether the customer left a message with this handoff."""
    query = select(handoffs.c.message_left).where(handoffs.c.handoff_id == handoff_id)
    return bool(connection.execute(query).scalar_one_or_none())


def conversation_of(connection: Connection, handoff_id: str) -> str | None:
    """Whose handoff it is or was; None for one this relay never began."""
    query = select(handoffs.c.conversation_id).where(handoffs.c.handoff_id == handoff_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def is_new(connection: Connection, handoff_id: str, said: CustomerSaid | AgentSaid) -> bool:
    """Keep what was said; False if it was kept before."""
    here = (messages.c.handoff_id == handoff_id) & (messages.c.id == said.id)
    if connection.execute(select(messages.c.id).where(here)).first() is not None:
        return False
    speaker = Speaker.CUSTOMER if isinstance(said, CustomerSaid) else Speaker.AGENT
    row = {"handoff_id": handoff_id, "id": said.id, "speaker": speaker.value, "text": said.text, "at": said.at}
    before = select(func.coalesce(func.max(messages.c.place), 0) + 1).where(messages.c.handoff_id == handoff_id)
    connection.execute(insert(messages).values(**row, place=before.scalar_subquery()))
    return True


def handoff_of_words(connection: Connection, conversation_id: str, id: str) -> str | None:
    """The handoff in which an agent said this to the customer; None for anybody else's words."""
    here = (handoffs.c.conversation_id == conversation_id) & (messages.c.handoff_id == handoffs.c.handoff_id)
    query = select(messages.c.handoff_id).where(here, messages.c.id == id, messages.c.speaker == Speaker.AGENT.value)
    found: str | None = connection.execute(query).scalars().first()
    return found


def told_again(connection: Connection, handoff_id: str) -> Offer:
    """The offer a handoff began with, with what was said since in its transcript; as much of its end as fits an offer.
    Without the words that wait for the desk: they are told by themselves."""
    offer = offer_of(connection, handoff_id)
    query = select(messages).where(messages.c.handoff_id == handoff_id).order_by(messages.c.place)
    untold = {entry.id for entry in waiting(connection, offer.conversation_id, handoff_id)}
    rows = [row for row in connection.execute(query) if row.id not in untold]
    lines = (Line(speaker=Speaker(row.speaker), text=row.text, at=row.at) for row in rows)
    return msgspec.structs.replace(offer, transcript=latest((*offer.transcript, *lines)))


def waiting(connection: Connection, lane: str, handoff_id: str | None) -> list[Entry]:
    """What the desk wasn't told yet of this handoff, oldest first."""
    entries = outbox.head(connection, DESK, lane)
    return [entry for entry in entries if entry.handoff_id == handoff_id]


def desk_epoch(connection: Connection) -> str | None:
    """The desk's epoch, as it was noted last."""
    table = metadata.tables["meta"]
    epoch: str | None = connection.execute(
        select(table.c.value).where(table.c.key == "desk_epoch")
    ).scalar_one_or_none()
    return epoch


def note_desk_epoch(connection: Connection, epoch: str) -> None:
    """What is told from now on is told to this one."""
    table = metadata.tables["meta"]
    connection.execute(delete(table).where(table.c.key == "desk_epoch"))
    connection.execute(insert(table).values(key="desk_epoch", value=epoch))


def stamped(connection: Connection, body: dict[str, Any]) -> dict[str, Any]:
    """The body with its number in the handoff and, unless it has one, an id."""
    here = handoffs.c.handoff_id == body["handoff_id"]
    connection.execute(update(handoffs).where(here).values(sent=handoffs.c.sent + 1))
    number = connection.execute(select(handoffs.c.sent).where(here)).scalar_one()
    return {"id": uuid.uuid4().hex, **body, "number": number}
