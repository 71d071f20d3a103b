"""The customers' messages by the ids their side gave them (idempotency keys), so that none is processed twice.

A message for the bot is stored as begun before its turn, and is done after it. One of a live chat is stored as done in the
transaction that applies it. A message that is begun but not done was interrupted by the end of a process; Rasa's tracker then
shows whether the turn was finished.
"""

import enum
import time
import uuid
from typing import Final

from sqlalchemy import Boolean, Column, Float, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.statements import Statement

KEPT_SECONDS: Final = 7 * 86_400.0
"""Seconds for which a message's id is kept."""
SWEPT_EVERY: Final = 1_000
"""Messages between two deletions of old ids."""

received = Table(
    "received",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("id", String(LONGEST_ID), primary_key=True),
    Column("done", Boolean, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

handoff_requests = Table(
    "request",
    repository.metadata,
    # Messages that began a handoff: a copy of one must not begin another.
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("id", String(LONGEST_ID), primary_key=True),
    Column("at", Float, nullable=False, index=True),
)


# Statements are built once: building one costs more than running it.
_same = (received.c.conversation_id == bindparam("conversation")) & (received.c.id == bindparam("message"))
_DONE: Final = Statement(select(received.c.done).where(_same))
_FINISH: Final = Statement(update(received).where(_same).values(done=True))
_INSERT: Final = Statement(insert(received))


class MessageProgress(enum.Enum):
    """How far a message was processed when it came before; ``NEW``: it hasn't come before."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"


class CameBefore(Exception):
    """The inbox has the message already: how far it was processed decides what is done with it. Not an error."""


class Inbox:
    """The stored ids of the customers' messages.

    Each method is one transaction, and raises ``StoreUnavailable`` while the database can't be used.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun = 0

    async def begin(self, conversation_id: str, message_id: str) -> MessageProgress:
        """Store the message as begun, and return how far it was processed before."""
        sweep = self._count_toward_sweep()

        def work(connection: Connection) -> MessageProgress:
            if sweep:
                _sweep(connection)
            return _begin(connection, conversation_id, message_id)

        return await self._store.write(work)

    async def begin_recent(self, conversation_id: str, key: str, seconds: float) -> tuple[str, MessageProgress]:
        """Store a message as begun, as :meth:`begin` does, if its ``key`` identifies it only for ``seconds``.

        Returns the id it is stored by, and how far it was processed before.
        """
        fresh, since, sweep = f"{key}.{uuid.uuid4().hex[:16]}", time.time() - seconds, self._count_toward_sweep()

        def work(connection: Connection) -> tuple[str, MessageProgress]:
            if sweep:
                _sweep(connection)
            lately = (received.c.conversation_id == conversation_id) & (received.c.at > since)
            same = select(received.c.id).where(lately & received.c.id.like(f"{key}.%")).limit(1)
            message_id = connection.execute(same).scalar_one_or_none() or fresh
            return message_id, _begin(connection, conversation_id, message_id)

        return await self._store.write(work)

    def _count_toward_sweep(self) -> bool:
        """Count one more message, and return whether old ids are to be deleted now."""
        self._begun += 1
        return self._begun % SWEPT_EVERY == 1

    async def led_to_handoff(self, conversation_id: str, message_id: str) -> bool:
        """Return whether this message has begun a handoff."""
        return await self._store.write(lambda connection: _led_to_handoff(connection, conversation_id, message_id))

    async def finish(self, conversation_id: str, message_id: str) -> None:
        """Mark the message as done."""
        await self._store.write(lambda connection: finish_message(connection, conversation_id, message_id))

    async def put_once(self, entry: Entry) -> None:
        """Add an entry to the outbox unless it waits there already, as after an interrupted turn that is repeated.

        It is left out, with a log line, where its lane is full.
        """
        await self._store.write(lambda connection: _put_once(connection, entry))


def _sweep(connection: Connection) -> None:
    for table in (received, handoff_requests):
        connection.execute(delete(table).where(table.c.at < time.time() - KEPT_SECONDS))


def is_known(connection: Connection, conversation_id: str, message_id: str) -> bool:
    """Return whether a customer's message came with this id from its sender."""
    return _DONE.first(connection, {"conversation": conversation_id, "message": message_id}) is not None


def finish_message(connection: Connection, conversation_id: str, message_id: str) -> None:
    """Mark a customer's message as done."""
    _FINISH.change(connection, {"conversation": conversation_id, "message": message_id})


def add_finished_message(connection: Connection, conversation_id: str, message_id: str) -> None:
    """Store a customer's message as done.

    Raises:
        CameBefore: it was stored before.
    """
    if _DONE.first(connection, {"conversation": conversation_id, "message": message_id}) is not None:
        raise CameBefore
    row = {"conversation_id": conversation_id, "id": message_id, "done": True, "at": time.time()}
    _INSERT.change(connection, row)


def note_request(connection: Connection, conversation_id: str, message_id: str) -> None:
    """Store that this message has begun a handoff."""
    if not _led_to_handoff(connection, conversation_id, message_id):
        row = {"conversation_id": conversation_id, "id": message_id[:LONGEST_ID], "at": time.time()}
        connection.execute(insert(handoff_requests).values(row))


def _begin(connection: Connection, conversation_id: str, message_id: str) -> MessageProgress:
    done = _DONE.scalar(connection, {"conversation": conversation_id, "message": message_id})
    if done is None:
        row = {"conversation_id": conversation_id, "id": message_id, "done": False, "at": time.time()}
        _INSERT.change(connection, row)
        return MessageProgress.NEW
    return MessageProgress.DONE if done else MessageProgress.BEGUN


def _led_to_handoff(connection: Connection, conversation_id: str, message_id: str) -> bool:
    here = (handoff_requests.c.conversation_id == conversation_id) & (handoff_requests.c.id == message_id[:LONGEST_ID])
    return connection.execute(select(handoff_requests.c.id).where(here)).first() is not None


def _put_once(connection: Connection, entry: Entry) -> None:
    waiting = repository.outbox.head(connection, entry.target, entry.lane)
    if any(other.id == entry.id for other in waiting):
        return
    if not repository.outbox.lacks_room(connection, entry.target, entry.lane):
        repository.outbox.put(connection, [entry])
