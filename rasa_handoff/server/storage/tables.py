"""The server's tables, and its database: how it is opened, and how it fails.

While the database can't be used (locked, full, unreachable) nothing is accepted; it recovers by itself. A transaction that
couldn't be committed has left nothing behind: its caller gets the code ``unavailable`` and tries again.
"""

import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
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
    and_,
    delete,
    false,
    insert,
    literal_column,
)
from sqlalchemy.engine import Connection

from rasa_handoff.media.media_table import MediaTable
from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Outcome
from rasa_handoff.store.batch import Work
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import Processes
from rasa_handoff.store.migrations import Steps
from rasa_handoff.store.outbox import Outbox
from rasa_handoff.store.timers import Timers
from rasa_handoff.store.troubles import TROUBLES

if TYPE_CHECKING:
    from alembic.operations import Operations

T = TypeVar("T")

log = get_log(__name__)

UNAVAILABLE: Final = "The live-agent server can't write anything down just now. Please try again in a moment."
PROBE: Final = "x" * 200_000
"""As long as a long conversation's offer: a full database may still take something shorter."""


class Unavailable(Refused, Unreachable):
    """The database can't be used now. Nothing was done; try again."""

    def __init__(self) -> None:
        super().__init__("unavailable", UNAVAILABLE)


class Database(Store):
    """A store that knows whether it can be used. ``trouble``: why its last transaction failed; None if it didn't."""

    def __init__(self, url: str, metadata: MetaData, side: str, schema: int, *more: Any, **options: Any) -> None:
        self.trouble: str | None = None
        self._probes = metadata.tables.get("probe", None)
        if self._probes is None:
            self._probes = Table(
                "probe", metadata, Column("id", String(32), primary_key=True), Column("text", Text, nullable=False)
            )
        super().__init__(url, metadata, side, schema, *more, **options)

    async def write(self, work: Work[T]) -> T:
        """Run work in a transaction.

        Raises:
            Unavailable: the database is locked, full or unreachable; nothing was done.
        """
        try:
            return await super().write(work)
        except TROUBLES as problem:
            if self.trouble is None:
                log.error("The database can't be used, so messages are refused until it can: %s", _reason(problem))
            self.trouble = _reason(problem)
            raise Unavailable from problem

    async def look(self) -> str | None:
        """Check whether the database can be used now, and return why not, or None.

        After a failure the check writes as much as an offer has, and ``trouble`` is emptied only when that works.
        """
        was = self.trouble
        try:
            await self.write(self._nothing if was is None else self._probe)
        except Unavailable:
            return self.trouble
        if was is not None:
            log.warning("The database can be used again.")
        self.trouble = None
        return None

    def _nothing(self, connection: Connection) -> None:
        """Do nothing: the transaction itself is the check."""

    def _probe(self, connection: Connection) -> None:
        probes, id = self._probes, uuid.uuid4().hex
        assert probes is not None
        connection.execute(insert(probes).values(id=id, text=PROBE))
        connection.execute(delete(probes).where(probes.c.id == id))


def _reason(problem: Exception) -> str:
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")


SIDE: Final = "server"
SCHEMA: Final = 4
OLDEST: Final = 1
"""The oldest schema whose version of this package can work with a database of ``SCHEMA`` (``store/identity.py``)."""
LONGEST_NAME: Final = 100
LONGEST_EMAIL: Final = 254
LONGEST_ROLE: Final = 20


def _add_roles_and_hours(operations: "Operations") -> None:
    operations.add_column("agents", Column("role", String(LONGEST_ROLE), nullable=False, server_default="agent"))
    operations.add_column("departments", Column("hours", Text))


STEPS: Final[Steps] = {
    2: lambda operations: operations.add_column("messages", Column("parts", Text)),
    4: _add_roles_and_hours,
}
"""For each schema after the first, the step that leads to it (``store/migrations.py``); 3 only adds a table, and so does 4 beside
its step."""

METADATA: Final = MetaData()
OUTBOX: Final = Outbox(METADATA)
TIMERS: Final = Timers(METADATA)
PROCESSES: Final = Processes(METADATA)
MEDIA: Final = MediaTable(METADATA)

AGENTS: Final = Table(
    "agents",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("email", String(LONGEST_EMAIL), nullable=False, unique=True),
    Column("name", String(LONGEST_NAME), nullable=False),
    Column("password", String(300), nullable=False),
    # `online` is what the agent chose, `here` whether a desk of theirs is open (or was moments ago).
    Column("online", Boolean, nullable=False),
    Column("here", Boolean, nullable=False),
    # What they may do (`server/rights.py`): "agent", "supervisor" or "admin".
    Column("role", String(LONGEST_ROLE), nullable=False, server_default="agent"),
)

DESK_CONNECTIONS: Final = Table(
    "desk_connection",
    METADATA,
    # Which servers, of several, have a desk of which agents open, or had moments ago.
    Column("agent", String(32), primary_key=True),
    Column("process", String(32), primary_key=True),
)

CUSTOMER_CONNECTIONS: Final = Table(
    "customer_connection",
    METADATA,
    # Which server, of several, a customer is connected to who comes without a relay.
    Column("handoff_id", String(LONGEST_ID), primary_key=True),
    Column("process", String(32), nullable=False),
)

DEPARTMENTS: Final = Table(
    "departments",
    METADATA,
    Column("name", String(LONGEST_NAME), primary_key=True),
    Column("title", String(LONGEST_NAME), nullable=False),
    Column("open", Boolean, nullable=False),
    # Its opening hours (core/department_hours.py) as JSON; none: it is always open.
    Column("hours", Text),
)

SERVES: Final = Table(
    "serves",
    METADATA,
    Column("agent", String(32), ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("department", String(LONGEST_NAME), ForeignKey("departments.name", ondelete="CASCADE"), primary_key=True),
)

SERVES_NONE: Final = Table(
    "serves_none",
    METADATA,
    # Agents whose departments were all removed. Without a row in `serves` they would serve every department.
    Column("agent", String(32), ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("bot_id", String(LONGEST_ID), nullable=False, index=True),
    Column("at", Float, nullable=False),
)

RELAYS: Final = Table(
    "relays",
    METADATA,
    Column("bot_id", String(LONGEST_ID), primary_key=True),
    # The epoch of the database whose relay speaks for the bot.
    Column("epoch", String(LONGEST_ID), nullable=False),
)

RELAY_CONNECTIONS: Final = Table(
    "relay_connections",
    METADATA,
    # An id of ours: a socket's own id is known to its client alone, and to the process that has the socket.
    Column("id", String(32), primary_key=True),
    Column("bot_id", String(LONGEST_ID), nullable=False, index=True),
    # None: a relay of an older version, which doesn't name its database.
    Column("epoch", String(LONGEST_ID)),
    # The process that has the socket.
    Column("server", String(32), nullable=False),
    # The id of that process among those that share the database, once the relay can take something.
    Column("process", String(32)),
    # When the relay was last known to be connected, by the database's clock; and whether it has left then.
    Column("seen", Float, nullable=False),
    Column("gone", Boolean, nullable=False),
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

SIGN_IN_TRIES: Final = Table(
    "sign_in_tries",
    METADATA,
    # The SHA-256 of what is counted (brake.py), so that no address is kept in clear.
    Column("key", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    # When the first of these tries was, and when the next one is accepted.
    Column("since", Float, nullable=False),
    Column("next_at", Float, nullable=False, index=True),
)

HANDOFFS: Final = Table(
    "handoffs",
    METADATA,
    Column("handoff_id", String(LONGEST_ID), primary_key=True),
    Column("bot_id", String(LONGEST_ID), nullable=False),
    Column("conversation_id", String(LONGEST_ID), nullable=False),
    # The outbox target that leads to the customer: "relay", "botlhale" or "tkinter".
    Column("side", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("department", String(LONGEST_NAME)),
    Column("agent", String(32)),
    Column("agent_name", String(LONGEST_NAME)),
    # The queue's order: urgency, then who goes ahead, then time.
    Column("urgency", Integer, nullable=False),
    Column("ahead", Boolean, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("assigned_at", Float),
    Column("reminders", Integer, nullable=False),
    # Whether the silent customer was asked if they are there, and whether the agent who has it has written.
    Column("asked", Boolean, nullable=False),
    Column("answered", Boolean, nullable=False),
    # Whether the channel has told that no page of the customer's is open.
    Column("customer_is_away", Boolean, nullable=False, server_default=false()),
    Column("ended_at", Float),
    Column("outcome", String(100)),
    Column("end_note", Text),
    # Whether somebody has done what the outcome "follow_up" asks for.
    Column("followed_up", Boolean, nullable=False, server_default=false()),
    Column("offer", Text, nullable=False),
    # The last place in the queue that was sent to the customer's side.
    Column("position", Integer),
    # `seq`: the number of the last message; `last_number`: that of the last entry for the customer's side.
    Column("seq", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    # The id of the last durable event that came from the customer's side.
    Column("last_received", String(LONGEST_ID)),
    Index("handoffs_queue", "stage", "department"),
    # The last waits of a department, among any number of conversations that have ended. All that is read is in the index:
    # their rows are long, and lie far apart.
    Index("handoffs_waits", "department", "assigned_at", "queued_at"),
    Index("handoffs_conversation", "bot_id", "conversation_id"),
)
# Finds what is old among any number; conversations that go on aren't in it, so a message doesn't change it.
Index(
    "handoffs_ended",
    HANDOFFS.c.ended_at,
    sqlite_where=HANDOFFS.c.ended_at.isnot(None),
    postgresql_where=HANDOFFS.c.ended_at.isnot(None),
)

TO_FOLLOW_UP: Final = and_(
    HANDOFFS.c.outcome == literal_column(f"'{Outcome.FOLLOW_UP.value}'"), HANDOFFS.c.followed_up.is_(false())
)
"""Finds those that are to be followed up among any number that have ended: without parameters, so that the index is used."""
Index("handoffs_to_follow_up", HANDOFFS.c.ended_at, sqlite_where=TO_FOLLOW_UP, postgresql_where=TO_FOLLOW_UP)

MESSAGES: Final = Table(
    "messages",
    METADATA,
    Column("handoff_id", String(LONGEST_ID), ForeignKey("handoffs.handoff_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("id", String(LONGEST_ID), nullable=False),
    Column("speaker", String(20), nullable=False),
    Column("agent", String(LONGEST_NAME)),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text),
    # What it has beside text, as JSON; null if the text says all.
    Column("parts", Text),
    UniqueConstraint("handoff_id", "id"),
)


HANDOFF_EVENTS: Final = Table(
    "handoff_event",
    METADATA,
    # The order in which things happened to a handoff; AUTOINCREMENT makes sure that no number is used twice.
    Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    # No foreign key: a row stays when the handoff is deleted.
    Column("handoff_id", String(LONGEST_ID), nullable=False),
    Column("at", Float, nullable=False),
    Column("what", String(20), nullable=False),
    Column("who", String(20), nullable=False),
    Column("agent", String(32)),
    Column("department", String(LONGEST_NAME)),
    Column("details", Text, nullable=False),
    Index("handoff_event_handoff", "handoff_id", "key"),
    Index("handoff_event_at", "at"),
    sqlite_autoincrement=True,
)


AUDIT: Final = Table(
    "audit",
    METADATA,
    # Who changed what, and who looked at what isn't theirs: rows are only added (`server/storage/audit_log.py`).
    Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    # "account", "command line" or "bot"; the account's or the bot's id; the name as it was. No foreign key: a row stays when the
    # account is removed.
    Column("who", String(20), nullable=False),
    Column("who_id", String(LONGEST_ID)),
    Column("name", String(LONGEST_NAME)),
    Column("operation", String(60), nullable=False),
    # What it was done to: an e-mail, a department, a bot, a handoff, the short id of a conversation.
    Column("subject", String(LONGEST_ID)),
    # What changed, as JSON, without secrets and without a customer's words.
    Column("details", Text, nullable=False),
    Index("audit_at", "at"),
    Index("audit_subject", "subject", "key"),
    sqlite_autoincrement=True,
)


def open_store(database: str, alone: bool = False) -> Database:
    """Return the server's database by URL; enter it, or ``prepare()`` it for work without an event loop.

    Other servers may work with it at the same time, if it is Postgres. ``alone``: none may while it is entered, for a command
    that no running server would notice.
    """
    return Database(database, METADATA, SIDE, SCHEMA, STEPS, OLDEST, shares=not alone)
