"""What is known of who may use a conversation: kept for as long as the conversation, so that a token can't be left out later."""

import enum
import time
from typing import Final

from sqlalchemy import Column, Float, String, Table, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rasa_handoff.relay import memory
from rasa_handoff.store.engine import Store
from rasa_handoff.vocabulary.values import Value

customer_ids: Final = Table(
    "customer_id",
    memory.metadata,
    Column("conversation_id", String(300), primary_key=True),
    Column("proof", String(20), nullable=False),
    # The "sub" of the JSON web token that began it.
    Column("subject", String(300)),
    Column("at", Float, nullable=False),
)


class ProofLevel(enum.Enum):
    """What a conversation's requests must show from now on."""

    NONE = "none"
    CHANNEL = "channel"
    """A token that HandoffChannel gave to the page that began it, or one of the backend's."""
    BACKEND = "backend"
    """A token of the project's backend, or a web token with the same subject."""

    def outranks(self, other: "ProofLevel") -> bool:
        """Whether it takes the other's place."""
        ranks = list(ProofLevel)
        return ranks.index(self) > ranks.index(other)


class CustomerId(Value, frozen=True, kw_only=True):
    """A conversation's id as it is kept."""

    proof: ProofLevel
    subject: str | None = None


class CustomerIds:
    """The relay's memory of what was shown."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, conversation_id: str) -> CustomerId | None:
        """What is known; None if nobody has used this conversation since tokens were switched on."""
        return await self._store.write(lambda connection: _find(connection, conversation_id))

    async def note(self, conversation_id: str, shown: CustomerId) -> CustomerId | None:
        """Keep what was shown, unless as much was shown before; returns what was known before."""
        try:
            return await self._store.write(lambda connection: _note(connection, conversation_id, shown))
        except IntegrityError:  # another process noted it in this moment
            return await self._store.write(lambda connection: _note(connection, conversation_id, shown))


def _find(connection: Connection, conversation_id: str) -> CustomerId | None:
    table = customer_ids.c
    query = select(table.proof, table.subject).where(table.conversation_id == conversation_id)
    row = connection.execute(query).one_or_none()
    return CustomerId(proof=ProofLevel(row.proof), subject=row.subject) if row is not None else None


def _note(connection: Connection, conversation_id: str, shown: CustomerId) -> CustomerId | None:
    known = _find(connection, conversation_id)
    values = {"proof": shown.proof.value, "subject": shown.subject, "at": time.time()}
    if known is None:
        connection.execute(insert(customer_ids).values(conversation_id=conversation_id, **values))
    elif shown.proof.outranks(known.proof):
        here = customer_ids.c.conversation_id == conversation_id
        connection.execute(update(customer_ids).where(here).values(values))
    return known
