"""Proof of who may use a conversation, in two tables of the relay.

- ``customer_id``: the proof that a customer's requests have shown. It is kept as long as the conversation, so a later request
  can't leave the token out.
- ``resume_secret``: a secret for each conversation, where the relay speaks Botlhale's protocol to our own live-agent server. The
  server issues it when a conversation begins (``server/gateways/botlhale_clients.py``); when the relay connects again, it shows
  the secret to prove that the conversation is its own. A new secret replaces the one before. It is stored by conversation rather
  than by handoff, because the next handoff may find the conversation still open at the server.
"""

import enum
import time
from typing import Final

from sqlalchemy import Column, Float, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.values import Value
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store

LONGEST_SECRET: Final = 200

customer_ids: Final = Table(
    "customer_id",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("proof", String(20), nullable=False),
    # The "sub" of the JSON web token that began it.
    Column("subject", String(LONGEST_ID)),
    Column("at", Float, nullable=False),
)

resume_secrets: Final = Table(
    "resume_secret",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("secret", String(LONGEST_SECRET), nullable=False),
)

_FIND: Final = select(customer_ids.c.proof, customer_ids.c.subject).where(
    customer_ids.c.conversation_id == bindparam("conversation")
)


class ProofLevel(enum.Enum):
    """The proof that a conversation's requests must show from now on."""

    NONE = "none"
    CHANNEL = "channel"
    """A token that HandoffChannel gave to the page that began the conversation, or one of the backend's."""
    BACKEND = "backend"
    """A token of the project's backend, or a JSON web token with the same subject."""

    def outranks(self, other: "ProofLevel") -> bool:
        """Return whether this proof replaces the other."""
        ranks = list(ProofLevel)
        return ranks.index(self) > ranks.index(other)


class StoredProof(Value, frozen=True, kw_only=True):
    """The proof stored for a conversation. ``subject``: the ``sub`` of the JSON web token that began it."""

    proof: ProofLevel
    subject: str | None = None


class StoredProofs:
    """The stored proofs of all conversations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, conversation_id: str) -> StoredProof | None:
        """Return the stored proof; None if nobody has used this conversation since tokens were switched on."""
        return await self._store.write(lambda connection: _find(connection, conversation_id))

    async def note(self, conversation_id: str, shown: StoredProof) -> StoredProof | None:
        """Store this proof unless an equal or higher one is stored, and return the one stored before."""
        try:
            return await self._store.write(lambda connection: _note(connection, conversation_id, shown))
        except IntegrityError:  # another process has just stored it
            return await self._store.write(lambda connection: _note(connection, conversation_id, shown))


def _find(connection: Connection, conversation_id: str) -> StoredProof | None:
    row = connection.execute(_FIND, {"conversation": conversation_id}).one_or_none()
    return StoredProof(proof=ProofLevel(row.proof), subject=row.subject) if row is not None else None


def _note(connection: Connection, conversation_id: str, shown: StoredProof) -> StoredProof | None:
    known = _find(connection, conversation_id)
    values = {"proof": shown.proof.value, "subject": shown.subject, "at": time.time()}
    if known is None:
        connection.execute(insert(customer_ids).values(conversation_id=conversation_id, **values))
    elif shown.proof.outranks(known.proof):
        here = customer_ids.c.conversation_id == conversation_id
        connection.execute(update(customer_ids).where(here).values(values))
    return known


def find_secret(connection: Connection, conversation_id: str) -> str | None:
    """Return the resume secret of this conversation; None if there is none."""
    here = resume_secrets.c.conversation_id == conversation_id
    secret: str | None = connection.execute(select(resume_secrets.c.secret).where(here)).scalar_one_or_none()
    return secret


def keep_secret(connection: Connection, conversation_id: str, secret: str) -> None:
    """Store the resume secret of this conversation in place of an earlier one."""
    here = resume_secrets.c.conversation_id == conversation_id
    if connection.execute(update(resume_secrets).where(here).values(secret=secret)).rowcount == 0:
        connection.execute(insert(resume_secrets).values(conversation_id=conversation_id, secret=secret))


def forget_secret(connection: Connection, conversation_id: str) -> None:
    """Delete the resume secret of this conversation: the server doesn't accept it any more."""
    connection.execute(delete(resume_secrets).where(resume_secrets.c.conversation_id == conversation_id))
