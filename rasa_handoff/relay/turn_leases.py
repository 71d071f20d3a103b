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

from rasa_handoff.protocol.errors import StoreError, StoreUnavailable
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

END_SECONDS: Final = 1.0
"""How long a turn waits for its end to be noted: its response needn't wait for a database that is away."""
END_AGAIN_SECONDS: Final = 0.5
"""Seconds until another attempt to note the end of a turn."""

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
        # The leases of turns that are over, whose ends aren't in the database yet.
        self._ending: dict[str, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Wait until no other process has a turn of this conversation, and keep others waiting meanwhile.

        Raises:
            StoreUnavailable: the database can't be used now.
        """
        if not self._store.shared:
            yield
            return
        if (ending := self._ending.get(conversation_id)) is not None:
            await asyncio.wait({ending})
        process = self._store.process
        try:
            await self._wait(conversation_id, process)
        except asyncio.CancelledError:  # it may have been taken nevertheless
            await self._end(conversation_id, process)
            raise
        try:
            yield
        finally:
            await self._end(conversation_id, process)

    async def _end(self, conversation_id: str, process: str) -> None:
        """Note the end of a turn; as soon as that is possible, if the database can't be used now.

        Until then others wait for it, in this process too.
        """
        ending = self._ending[conversation_id] = asyncio.create_task(self._end_surely(conversation_id, process))
        ending.add_done_callback(lambda _: self._ending.pop(conversation_id, None))
        await asyncio.wait({ending}, timeout=END_SECONDS)

    async def _end_surely(self, conversation_id: str, process: str) -> None:
        while True:
            try:
                return await self._store.write(lambda connection: _end(connection, conversation_id, process))
            except StoreUnavailable as problem:
                log.debug("The end of a turn of %s can't be noted now: %s", short_id(conversation_id), problem)
                await asyncio.sleep(END_AGAIN_SECONDS)
            except StoreError as problem:  # closed: it ends with this process
                log.debug("The end of a turn of %s isn't noted: %s", short_id(conversation_id), problem)
                return

    async def _wait(self, conversation_id: str, process: str) -> None:
        row = {"conversation_id": conversation_id, "process": process}
        ended = self._ended.setdefault(conversation_id, asyncio.Event())
        try:
            while not await self._store.write(lambda connection: _TAKE.change(connection, row)):
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), LOOK_SECONDS)
                ended.clear()  # before the next look: an end that is noted meanwhile wakes this again
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
