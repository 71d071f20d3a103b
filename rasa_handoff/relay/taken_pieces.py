"""How much of a message that is several to a vendor the vendor has taken, so that a repetition leaves that out.

It is in memory, and in the database for who sends the rest after a restart or at another process. A row goes when the last piece
was taken, with its conversation, or by its age.
"""

import contextlib
import time
from typing import Final

from sqlalchemy import Column, Float, Integer, String, Table, bindparam, delete, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.insertions import insert_or_update
from rasa_handoff.store.statements import Statement

KEPT_SECONDS: Final = 7 * 86_400.0
"""Seconds after which a row is deleted whose message was given up."""
MOST_REMEMBERED: Final = 10_000
"""The most messages that one process remembers."""

taken_pieces = Table(
    "taken_piece",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("id", String(LONGEST_ID), primary_key=True),
    # Of so many pieces so many were taken. With another number of pieces the message has become another one.
    Column("pieces", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
_same = (taken_pieces.c.conversation_id == bindparam("conversation")) & (taken_pieces.c.id == bindparam("message"))
_FIND: Final = Statement(select(taken_pieces.c.pieces, taken_pieces.c.taken).where(_same))
_DELETE: Final = Statement(delete(taken_pieces).where(_same))
_DELETE_OLD: Final = Statement(delete(taken_pieces).where(taken_pieces.c.at < bindparam("before")))


class TakenPieces:
    """The pieces that vendors have taken. Without a store, or while it can't be used, this process alone knows them."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    async def of(self, conversation_id: str, id: str, pieces: int) -> int:
        """Return how many pieces of a message of so many were taken."""
        found = [self._known.get((conversation_id, id))]
        if self._store is not None:
            here = {"conversation": conversation_id, "message": id}
            with contextlib.suppress(StoreError):  # another process may have gone on with it
                found.append(await self._store.write(lambda connection: _FIND.first(connection, here)))
        return max((known[1] for known in found if known is not None and known[0] == pieces), default=0)

    async def note(self, conversation_id: str, id: str, pieces: int, taken: int) -> None:
        """Note that so many were taken; forget the message when all were."""
        key = conversation_id, id
        self._known.pop(key, None)
        if taken < pieces:
            self._known[key] = pieces, taken
            if len(self._known) > MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
        if self._store is not None:
            with contextlib.suppress(StoreError):
                await self._store.write(lambda connection: _keep(connection, key, pieces, taken))


def _keep(connection: Connection, key: tuple[str, str], pieces: int, taken: int) -> None:
    if taken == pieces:
        _DELETE.change(connection, {"conversation": key[0], "message": key[1]})
        return
    now = time.time()
    _DELETE_OLD.change(connection, {"before": now - KEPT_SECONDS})
    row = {"conversation_id": key[0], "id": key[1], "pieces": pieces, "taken": taken, "at": now}
    insert_or_update(connection, taken_pieces, **row)
