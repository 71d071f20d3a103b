"""The server's tables, and how its database is opened."""

from typing import Final

from alembic.operations import Operations
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from rasa_handoff.server.database import Database
from rasa_handoff.store.migrations import Steps
from rasa_handoff.store.outbox import Outbox
from rasa_handoff.store.timers import Timers

SIDE: Final = "server"
SCHEMA: Final = 2
ID: Final = 200
"""Longest id of another system that is kept: bots, conversations, handoffs, messages."""
NAME: Final = 100
EMAIL: Final = 254

METADATA: Final = MetaData()
OUTBOX: Final = Outbox(METADATA)
TIMERS: Final = Timers(METADATA)

AGENTS: Final = Table(
    "agents",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("email", String(EMAIL), nullable=False, unique=True),
    Column("name", String(NAME), nullable=False),
    Column("password", String(300), nullable=False),
    # `online` is what the agent chose, `here` whether a desk of theirs is open (or was moments ago).
    Column("online", Boolean, nullable=False),
    Column("here", Boolean, nullable=False),
)

DEPARTMENTS: Final = Table(
    "departments",
    METADATA,
    Column("name", String(NAME), primary_key=True),
    Column("title", String(NAME), nullable=False),
    Column("open", Boolean, nullable=False),
)

SERVES: Final = Table(
    "serves",
    METADATA,
    Column("agent", String(32), ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("department", String(NAME), ForeignKey("departments.name", ondelete="CASCADE"), primary_key=True),
)

SERVES_NONE: Final = Table(
    "serves_none",
    METADATA,
    # Agents whose departments were all removed: without a row in `serves` they would serve every department.
    Column("agent", String(32), ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("bot_id", String(ID), nullable=False, index=True),
    Column("at", Float, nullable=False),
)

RELAYS: Final = Table(
    "relays",
    METADATA,
    # The epoch of the database whose relay speaks for the bot.
    Column("bot_id", String(ID), primary_key=True),
    Column("epoch", String(ID), nullable=False),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("agent", String(32), ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("until", Float, nullable=False),
)

SECRETS: Final = Table(
    "secrets", METADATA, Column("name", String(40), primary_key=True), Column("value", String(100), nullable=False)
)

HANDOFFS: Final = Table(
    "handoffs",
    METADATA,
    Column("handoff_id", String(ID), primary_key=True),
    Column("bot_id", String(ID), nullable=False),
    Column("conversation_id", String(ID), nullable=False),
    # The outbox target that leads to the customer: "relay" or "botlhale".
    Column("side", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("department", String(NAME)),
    Column("agent", String(32)),
    Column("agent_name", String(NAME)),
    # The queue's order: urgency, then who goes ahead, then time.
    Column("urgency", Integer, nullable=False),
    Column("ahead", Boolean, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("assigned_at", Float),
    Column("reminders", Integer, nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("ended_at", Float),
    Column("outcome", String(100)),
    Column("end_note", Text),
    Column("offer", Text, nullable=False),
    # The last place in the queue the customer's side was told.
    Column("position", Integer),
    # The last number given to a message, and to what the customer's side was told.
    Column("seq", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    # The id of the last durable thing that came from the customer's side.
    Column("heard", String(ID)),
    Index("handoffs_queue", "stage", "department"),
    Index("handoffs_conversation", "bot_id", "conversation_id"),
)

MESSAGES: Final = Table(
    "messages",
    METADATA,
    Column("handoff_id", String(ID), ForeignKey("handoffs.handoff_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("id", String(ID), nullable=False),
    Column("speaker", String(20), nullable=False),
    Column("agent", String(NAME)),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text),
    UniqueConstraint("handoff_id", "id"),
)


def _add_timing(operations: Operations) -> None:
    """Schema 2: what the timers know of a conversation; leases on the outbox."""
    for name, kind, otherwise in (
        ("ahead", Boolean(), false()),
        ("reminders", Integer(), "0"),
        ("asked", Boolean(), false()),
    ):
        operations.add_column("handoffs", Column(name, kind, nullable=False, server_default=otherwise))
    operations.add_column("handoffs", Column("heard", String(ID)))
    for name, kind, otherwise in (("holder", String(40), ""), ("held_until", Float(), "0")):
        operations.add_column("outbox", Column(name, kind, nullable=False, server_default=otherwise))


STEPS: Final[Steps] = {2: _add_timing}


def open_store(database: str) -> Database:
    """The server's database, by URL; enter it, or ``prepare()`` it for work without a loop."""
    return Database(database, METADATA, SIDE, SCHEMA, STEPS)
