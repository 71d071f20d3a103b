"""Which Rasa process a customer's page is connected to, where several processes share the relay's database.

A message for the customer is delivered by the process that has their page, whichever process the agent's message came to. Rows of
processes that have ended don't count.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Column, String, Table, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement

page_connections: Final = Table(
    "page_connection",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("process", String(32), primary_key=True),
)

_columns = page_connections.c
_ADD: Final = Statement(insert(page_connections).on_conflict_do_nothing())
_FIND: Final = Statement(
    select(_columns.process)
    .join_from(page_connections, repository.processes.table, repository.processes.table.c.id == _columns.process)
    .where(_columns.conversation_id == bindparam("conversation"))
)
_REMOVE: Final = Statement(
    delete(page_connections).where(
        _columns.conversation_id == bindparam("conversation"), _columns.process == bindparam("of")
    )
)


class PageConnections:
    """The page connections of all processes. On a database with one owner there are no others, and nothing is stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here: set[str] = set()

    async def came(self, conversation_id: str) -> None:
        """Note that this process has a page of the customer."""
        if self._store.shared:
            self._here.add(conversation_id)
            await self._store.write(lambda connection: self._add(connection, [conversation_id]))

    async def went(self, conversation_id: str) -> None:
        """Note that this process has no page of the customer any more."""
        if self._store.shared:
            self._here.discard(conversation_id)
            here = {"conversation": conversation_id, "of": self._store.process}
            await self._store.write(lambda connection: _REMOVE.change(connection, here))

    async def note_all(self) -> None:
        """Note all pages of this process again: it has got a new id."""
        here = list(self._here)
        await self._store.write(lambda connection: self._add(connection, here))

    def _add(self, connection: Connection, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            _ADD.change(connection, {"conversation_id": conversation_id, "process": self._store.process})

    async def elsewhere(self, conversation_id: str) -> str | None:
        """Return another process that has a page of the customer; None if there is none."""
        if not self._store.shared:
            return None
        rows = await self._store.write(lambda connection: _FIND.all(connection, {"conversation": conversation_id}))
        return next((row.process for row in rows if row.process != self._store.process), None)


def remove_of_ended(connection: Connection) -> None:
    """Delete the rows of processes that have ended."""
    processes = repository.processes.table
    connection.execute(delete(page_connections).where(_columns.process.notin_(select(processes.c.id))))
