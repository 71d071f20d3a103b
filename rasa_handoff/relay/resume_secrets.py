"""The secrets by which the relay, as a client of a live-agent server of our own, shows that a conversation is its own.

The server gives one with a conversation's beginning (server/resume_secrets.py). It is kept by the conversation's id, not by the
handoff's: the next handoff may find the conversation still open there. The next one that is given takes its place.
"""

from typing import Final

from sqlalchemy import Column, String, Table, delete, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.relay import memory

LONGEST_SECRET: Final = 200

resume_secrets: Final = Table(
    "resume_secret",
    memory.metadata,
    Column("conversation_id", String(300), primary_key=True),
    Column("secret", String(LONGEST_SECRET), nullable=False),
)


def find(connection: Connection, conversation_id: str) -> str | None:
    """The secret of this conversation; None if none was given."""
    here = resume_secrets.c.conversation_id == conversation_id
    secret: str | None = connection.execute(select(resume_secrets.c.secret).where(here)).scalar_one_or_none()
    return secret


def keep(connection: Connection, conversation_id: str, secret: str) -> None:
    """The secret of the conversation from now on."""
    here = resume_secrets.c.conversation_id == conversation_id
    if connection.execute(update(resume_secrets).where(here).values(secret=secret)).rowcount == 0:
        connection.execute(insert(resume_secrets).values(conversation_id=conversation_id, secret=secret))


def forget(connection: Connection, conversation_id: str) -> None:
    """It isn't the secret of what is open there."""
    connection.execute(delete(resume_secrets).where(resume_secrets.c.conversation_id == conversation_id))
