"""A secret by which a client of Botlhale's protocol shows that a conversation is its own when it comes back.

The protocol has nothing of the kind, so clients that don't know it never notice. Once a conversation's secret was shown, nobody
joins it without.
"""

import hmac
import secrets
from typing import Any, Final

from sqlalchemy import Boolean, Column, ForeignKey, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.server.tables import ID, METADATA
from rasa_handoff.vocabulary.errors import Refused

RESUME_KEY: Final = "resume"
"""In the acknowledgement of what began a conversation; and in whatever a client sends to show it."""
REFUSED: Final = "resume_needed"

RESUME_SECRETS: Final = Table(
    "resume_secrets",
    METADATA,
    Column("handoff_id", String(ID), ForeignKey("handoffs.handoff_id", ondelete="CASCADE"), primary_key=True),
    Column("secret", String(64), nullable=False),
    Column("shown", Boolean, nullable=False),
)


def issue(connection: Connection, handoff_id: str) -> str:
    """The secret of a conversation that has just begun."""
    secret = secrets.token_hex(32)
    connection.execute(insert(RESUME_SECRETS).values(handoff_id=handoff_id, secret=secret, shown=False))
    return secret


def show(connection: Connection, handoff_id: str, given: Any) -> bool:
    """Whether the conversation's secret was given.

    Raises:
        Refused: another one was, or none although it was shown before.
    """
    table = RESUME_SECRETS.c
    here = table.handoff_id == handoff_id
    known = connection.execute(select(table.secret, table.shown).where(here)).one_or_none()
    if known is None:
        return False
    fits = isinstance(given, str) and hmac.compare_digest(given.encode(), known.secret.encode())
    if not fits and (known.shown or given is not None):
        raise Refused(REFUSED, "This conversation is resumed with the secret that it began with.")
    if fits and not known.shown:
        connection.execute(update(RESUME_SECRETS).where(here).values(shown=True))
    return fits
