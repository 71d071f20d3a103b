"""The audit log: who changed what at the desk, and who looked at what isn't theirs.

Rows are only added, each in the transaction of what it says, so a change that was undone has none. They have a retention of their
own (:func:`remove_before`), and nothing else touches them: so a row has no secrets and no words of a customer, who may be
forgotten. A conversation is named by its handoff's id, or where it is forgotten by the first digits of its id's hash.

What happens to handoffs in the ordinary course (queued, taken, resolved by who has it) is in their history
(:mod:`~rasa_handoff.server.storage.handoff_events`).
"""

import enum
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import and_, delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Assignment, Stage
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Agent, Value
from rasa_handoff.server.storage.tables import AUDIT

LOOKED_AGAIN_SECONDS: Final = 600.0
"""Who looks at the same thing again within so many seconds has one row: a desk opens a conversation anew after each cut."""


class By(str, enum.Enum):
    """Who did it: an account, or whoever runs the server, by the command line or the admin token."""

    ACCOUNT = "account"
    COMMAND_LINE = "command line"
    BOT = "bot"


class Audited(str, enum.Enum):
    """The operations that have rows. Those of the command line are called as the command is."""

    ADD_AGENT = "agent add"
    SET_ROLE = "agent role"
    SET_DEPARTMENTS = "agent departments"
    SET_PASSWORD = "agent password"
    REMOVE_AGENT = "agent remove"
    ADD_DEPARTMENT = "department add"
    REMOVE_DEPARTMENT = "department remove"
    SET_HOURS = "department hours"
    ADD_TOKEN = "token add"
    REVOKE_TOKENS = "token revoke"
    FORGET = "forget"
    SEND_DEAD_LETTER = "dead-letters send"
    DROP_DEAD_LETTER = "dead-letters drop"
    OPEN = "open"
    """A conversation was read by somebody who doesn't have it, or after its end."""
    FILE = "file"
    """The same of a picture or a file of a conversation."""
    TRANSFER = "transfer"
    """By somebody else than who had it; by its owner it is in the history alone."""
    RESOLVE = "resolve"
    """The same."""


LOOKS: Final = frozenset({Audited.OPEN, Audited.FILE})


class AuditEntry(Value, frozen=True, kw_only=True):
    """A row. ``who_id``, ``name``: the account's, as they were. ``subject``: what it was done to. ``details``: what changed."""

    at: float
    who: By = By.COMMAND_LINE
    who_id: str | None = None
    name: str | None = None
    operation: str
    subject: str | None = None
    details: dict[str, Any] = {}


class AuditedChange(Value, frozen=True, kw_only=True):
    """What a command is about to change: its row of the log, but for the time. The work may add to ``details``."""

    operation: Audited
    subject: str
    details: dict[str, Any] = msgspec.field(default_factory=dict)


def add(connection: Connection, entry: AuditEntry) -> None:
    """Add a row."""
    subject = None if entry.subject is None else entry.subject[:LONGEST_ID]
    fixed = {name: getattr(entry, name) for name in ("at", "who_id", "name", "operation")}
    row = {**fixed, "who": entry.who.value, "subject": subject, "details": as_json(entry.details)}
    connection.execute(insert(AUDIT).values(**row))


def add_change(connection: Connection, change: AuditedChange, at: float) -> None:
    """Add the row of a change by whoever runs the server."""
    operation = change.operation.value
    add(connection, AuditEntry(at=at, operation=operation, subject=change.subject, details=change.details))


def add_of_agent(
    connection: Connection, agent: Agent, operation: Audited, subject: str, at: float, **details: Any
) -> None:
    """Add a row of an account. A look that it has had just now gets none."""
    if operation in LOOKS and _has_looked(connection, agent.id, operation, subject, at - LOOKED_AGAIN_SECONDS):
        return
    said = {name: value for name, value in details.items() if value is not None}
    entry = AuditEntry(
        at=at,
        who=By.ACCOUNT,
        who_id=agent.id,
        name=agent.name,
        operation=operation.value,
        subject=subject,
        details=said,
    )
    add(connection, entry)


def is_look(assignment: Assignment, agent_id: str) -> bool:
    """Return whether reading this conversation is a look that has a row: it isn't the agent's own, or has ended."""
    return assignment.stage is Stage.ENDED or assignment.agent is None or assignment.agent.id != agent_id


def find(connection: Connection, since: float | None = None, subject: str | None = None) -> Iterator[AuditEntry]:
    """Yield the rows in order. ``since``: those from this time on. ``subject``: those about it alone."""
    columns, wanted = AUDIT.c, []
    if since is not None:
        wanted.append(columns.at >= since)
    if subject is not None:
        wanted.append(columns.subject == subject)
    for row in connection.execute(select(AUDIT).where(and_(True, *wanted)).order_by(columns.key)):
        yield AuditEntry(
            at=row.at,
            who=By(row.who),
            who_id=row.who_id,
            name=row.name,
            operation=row.operation,
            subject=row.subject,
            details=msgspec.json.decode(row.details),
        )


def remove_before(connection: Connection, at: float, most: int) -> int:
    """Remove rows older than ``at``, the oldest first and ``most`` at once, and return how many were removed."""
    columns = AUDIT.c
    oldest = select(columns.key).where(columns.at < at).order_by(columns.at).limit(most)
    return int(connection.execute(delete(AUDIT).where(columns.key.in_(oldest))).rowcount)


def _has_looked(connection: Connection, agent_id: str, operation: Audited, subject: str, since: float) -> bool:
    columns = AUDIT.c
    same = and_(columns.subject == subject, columns.who_id == agent_id, columns.operation == operation.value)
    return connection.execute(select(columns.key).where(same, columns.at >= since).limit(1)).first() is not None
