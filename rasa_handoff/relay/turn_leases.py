"""Turn leases: among all processes that share the relay's database, a customer has one turn of the bot at a time.

Within a process the turn lock of the interceptor sees to that. A message of a live chat needs no lease: its conversation's row is
locked in the transaction that stores it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Column, String, Table, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.relay import repository
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement

log = get_log(__name__)

TURN: Final = "turn"
"""The topic of a change that says that a turn has ended."""
LOOK_SECONDS: Final = 0.5
"""Seconds between two looks whether another process has ended its turn: what it says may be lost."""

turns: Final = Table(
    "turn",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    # The lease lasts as long as this process.
    Column("process", String(32), nullable=False),
)

_processes = repository.processes.table
_new = insert(turns)
_TAKE: Final = Statement(
    _new.on_conflict_do_update(
        index_elements=[turns.c.conversation_id],
        set_={"process": _new.excluded.process},
        where=turns.c.process.notin_(select(_processes.c.id)),
    )
)
_END: Final = Statement(
    delete(turns).where(turns.c.conversation_id == bindparam("conversation"), turns.c.process == bindparam("of"))
)


class TurnLeases:
    """The leases of turns. On a database with one owner they cost nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait until no other process has a turn of this conversation, and keep others waiting meanwhile.

        Raises:
            StoreUnavailable: the database can't be used now.
        """
        if not self._store.shared:
            yield
            return
        process = self._store.process
        await self._wait(conversation_id, process)
        try:
            yield
        finally:
            try:
                await self._store.write(lambda connection: _end(connection, conversation_id, process))
            except StoreError as problem:  # it ends with this process, or with this conversation's next turn here
                log.warning("The end of a turn of %s can't be noted: %s", short_id(conversation_id), problem)

    async def _wait(self, conversation_id: str, process: str) -> None:
        row = {"conversation_id": conversation_id, "process": process}
        ended = self._ended.setdefault(conversation_id, asyncio.Event())
        try:
            while not await self._store.write(lambda connection: _TAKE.change(connection, row)):
                ended.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), LOOK_SECONDS)
        finally:
            self._ended.pop(conversation_id, None)

    async def follow(self, changes: Sequence[LoggedChange]) -> None:
        """Wake those who wait for turns that have ended in other processes."""
        for change in changes:
            if (ended := self._ended.get(change.subject)) is not None:
                ended.set()


def _end(connection: Connection, conversation_id: str, process: str) -> None:
    _END.change(connection, {"conversation": conversation_id, "of": process})
    repository.outbox.change_log.note(connection, TURN, conversation_id)


def remove_of_ended(connection: Connection) -> None:
    """Delete the leases of processes that have ended."""
    connection.execute(delete(turns).where(turns.c.process.notin_(select(_processes.c.id))))
