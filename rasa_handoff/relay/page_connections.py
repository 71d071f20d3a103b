"""Which Rasa process a customer's page is connected to, where several processes share the relay's database.

A message for the customer is delivered by the process that has their page, whichever process the agent's message came to. Rows of
processes that have ended don't count. A row without a process says that the customer of a handoff under way has closed their page
and hasn't come back for a while.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from sqlalchemy import Column, String, Table, bindparam, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement

PAGES_LOST: Final = "pages_lost"
"""The topic of a change that says that a process with pages has ended: their customers may come to another one, or not."""
AWAY: Final = ""
"""In place of a process: the customer is away."""

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
_others = page_connections.alias("others")
_somewhere = exists().where(
    _others.c.conversation_id == _columns.conversation_id,
    _others.c.process.in_(select(repository.processes.table.c.id)),
)
_is_away = (_columns.process == AWAY, ~_somewhere)
_ALL_AWAY: Final = Statement(select(_columns.conversation_id).where(*_is_away))
_IS_AWAY: Final = Statement(
    select(_columns.conversation_id).where(_columns.conversation_id == bindparam("conversation"), *_is_away)
)


class PageConnections:
    """The page connections of all processes. On a database with one owner there are no others, and nothing is stored.

    ``on_noted_again`` is called with the conversations whose pages this process has, after it got a new id and noted them again:
    others may have taken their customers for away.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here: set[str] = set()
        self.on_noted_again: Callable[[Sequence[str]], Awaitable[None]] | None = None

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
        if self.on_noted_again is not None:
            await self.on_noted_again(here)

    def _add(self, connection: Connection, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            _ADD.change(connection, {"conversation_id": conversation_id, "process": self._store.process})
            _REMOVE.change(connection, {"conversation": conversation_id, "of": AWAY})

    async def note_away(self, conversation_id: str) -> bool:
        """Note that the customer is away, unless a process has a page of theirs; return whether they are."""

        def note(connection: Connection) -> bool:
            if _FIND.first(connection, {"conversation": conversation_id}) is not None:
                return False
            _ADD.change(connection, {"conversation_id": conversation_id, "process": AWAY})
            return True

        return await self._store.write(note)

    async def is_away(self, conversation_id: str) -> bool:
        """Return whether the customer was noted as away, and no process has a page of theirs."""
        row = {"conversation": conversation_id}
        return await self._store.write(lambda connection: _IS_AWAY.first(connection, row)) is not None

    async def elsewhere(self, conversation_id: str) -> str | None:
        """Return another process that has a page of the customer; None if there is none."""
        if not self._store.shared:
            return None
        rows = await self._store.write(lambda connection: _FIND.all(connection, {"conversation": conversation_id}))
        return next((row.process for row in rows if row.process != self._store.process), None)


def away(connection: Connection) -> set[str]:
    """Return the conversations whose customers are away."""
    return {row.conversation_id for row in _ALL_AWAY.all(connection, {})}


def remove_of_ended(connection: Connection) -> bool:
    """Delete the rows of processes that have ended, and of absences in conversations that are the bot's again.

    Return whether a process with pages has ended; the other processes are told.
    """
    processes, conversations = repository.processes.table, repository.conversations.c
    ended = (_columns.process != AWAY, _columns.process.notin_(select(processes.c.id)))
    under_way = select(conversations.conversation_id).where(conversations.state != Control.BOT.value)
    over = (_columns.process == AWAY, _columns.conversation_id.notin_(under_way))
    connection.execute(delete(page_connections).where(*over))
    if not connection.execute(delete(page_connections).where(*ended)).rowcount:
        return False
    repository.outbox.change_log.note(connection, PAGES_LOST, "")
    return True
