"""The customers' messages by the ids their side gave them (idempotency keys), so that none is processed twice.

A message is stored as begun before it is processed. It becomes done in the transaction that applies it to a live chat, or after
the bot's turn. One that is begun but not done was interrupted by the end of a process; Rasa's tracker then shows whether the
turn was finished.
"""

import enum
import time
import uuid
from typing import Final

from sqlalchemy import Boolean, Column, Float, String, Table, delete, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry

KEPT_SECONDS: Final = 7 * 86_400.0
"""Seconds for which a message's id is kept."""
SWEPT_EVERY: Final = 1_000
"""Messages between two deletions of old ids."""

ID_LENGTH: Final = 120

received = Table(
    "received",
    repository.metadata,
    Column("conversation_id", String(300), primary_key=True),
    Column("id", String(120), primary_key=True),
    Column("done", Boolean, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

requests = Table(
    "request",
    repository.metadata,
    # Messages that began a handoff: a copy of one must not begin another.
    Column("conversation_id", String(300), primary_key=True),
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("at", Float, nullable=False, index=True),
)


class Met(enum.Enum):
    """Whether a message has come before, and how far it was processed then."""

    NEVER = "never"
    BEGUN = "begun"
    DONE = "done"


class Inbox:
    """The stored ids of the customers' messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._met = 0

    async def meet(self, conversation_id: str, id: str) -> Met:
        """Store the message as begun, and return how far it was processed before."""
        sweep = self._is_swept_now()

        def work(connection: Connection) -> Met:
            if sweep:
                _sweep(connection)
            return _meet(connection, conversation_id, id)

        return await self._store.write(work)

    async def meet_lately(self, conversation_id: str, key: str, seconds: float) -> tuple[str, Met]:
        """Do as :meth:`meet` for a message whose ``key`` identifies it only for ``seconds``.

        Returns the id it is stored by, and how far it was processed before.
        """
        fresh, since, sweep = f"{key}.{uuid.uuid4().hex[:16]}", time.time() - seconds, self._is_swept_now()

        def work(connection: Connection) -> tuple[str, Met]:
            if sweep:
                _sweep(connection)
            lately = (received.c.conversation_id == conversation_id) & (received.c.at > since)
            same = select(received.c.id).where(lately & received.c.id.like(f"{key}.%")).limit(1)
            id = connection.execute(same).scalar_one_or_none() or fresh
            return id, _meet(connection, conversation_id, id)

        return await self._store.write(work)

    def _is_swept_now(self) -> bool:
        self._met += 1
        return self._met % SWEPT_EVERY == 1

    async def led_to_handoff(self, conversation_id: str, id: str) -> bool:
        """Return whether this message has begun a handoff."""
        return await self._store.write(lambda connection: _led_to_handoff(connection, conversation_id, id))

    async def done(self, conversation_id: str, id: str) -> None:
        """Mark the message as done."""
        await self._store.write(lambda connection: done_with(connection, conversation_id, id))

    async def put_once(self, entry: Entry) -> None:
        """Add an entry to the outbox unless it waits there already, as after an interrupted turn that is repeated.

        It is left out, with a log line, where its lane is full.
        """
        await self._store.write(lambda connection: _put_once(connection, entry))


def _sweep(connection: Connection) -> None:
    for table in (received, requests):
        connection.execute(delete(table).where(table.c.at < time.time() - KEPT_SECONDS))


def done_with(connection: Connection, conversation_id: str, id: str) -> None:
    """Mark a customer's message as done."""
    here = (received.c.conversation_id == conversation_id) & (received.c.id == id)
    connection.execute(update(received).where(here).values(done=True))


def note_request(connection: Connection, conversation_id: str, id: str) -> None:
    """Store that this message has begun a handoff."""
    if not _led_to_handoff(connection, conversation_id, id):
        row = {"conversation_id": conversation_id, "id": id[:ID_LENGTH], "at": time.time()}
        connection.execute(insert(requests).values(row))


def _meet(connection: Connection, conversation_id: str, id: str) -> Met:
    here = (received.c.conversation_id == conversation_id) & (received.c.id == id)
    done = connection.execute(select(received.c.done).where(here)).scalar_one_or_none()
    if done is None:
        row = {"conversation_id": conversation_id, "id": id, "done": False, "at": time.time()}
        connection.execute(insert(received).values(row))
        return Met.NEVER
    return Met.DONE if done else Met.BEGUN


def _led_to_handoff(connection: Connection, conversation_id: str, id: str) -> bool:
    here = (requests.c.conversation_id == conversation_id) & (requests.c.id == id[:ID_LENGTH])
    return connection.execute(select(requests.c.id).where(here)).first() is not None


def _put_once(connection: Connection, entry: Entry) -> None:
    waiting = repository.outbox.head(connection, entry.target, entry.lane)
    if any(other.id == entry.id for other in waiting):
        return
    if not repository.outbox.without_room(connection, [entry.target], [entry.lane]):
        repository.outbox.put(connection, [entry])
