"""What customers sent while the bot is active and the bot isn't given, such as pictures: kept until a person may read it.

Rasa's channels drop it, and so does the bot's tracker. It is told with the customer's next message to the bot, in the metadata of
that one's event, so that it changes nothing for the bot: no session begins or goes on because of it.
"""

import time
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Float, String, Table, Text, bindparam, delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Line, plain
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement

log = get_log(__name__)

KEPT_SECONDS: Final = 30 * 86_400.0
"""Seconds until one is deleted of a customer who has written nothing since."""
MOST_KEPT: Final = 50
"""Of one conversation; before another one the oldest is deleted, with a log line."""

unread = Table(
    "unread",
    repository.metadata,
    Column("conversation_id", String(LONGEST_ID), primary_key=True),
    Column("id", String(LONGEST_ID), primary_key=True),
    Column("line", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
_here = unread.c.conversation_id == bindparam("conversation")
_same = _here & (unread.c.id == bindparam("message"))
_OF: Final = Statement(select(unread.c.id, unread.c.line).where(_here).order_by(unread.c.at))
_DELETE: Final = Statement(delete(unread).where(_same))
_DELETE_OLD: Final = Statement(delete(unread).where(unread.c.at < bindparam("before")))
_INSERT: Final = Statement(insert(unread))


class UnreadMessages:
    """The kept messages. Each method is one transaction, and raises ``StoreUnavailable`` while the database can't be used."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, conversation_id: str, id: str, line: Line) -> None:
        """Keep a message. A copy takes the place of the first."""
        await self._store.write(lambda connection: _keep(connection, conversation_id, id, line))

    async def of(self, conversation_id: str) -> dict[str, dict[str, Any]]:
        """Return the kept messages of a conversation, oldest first, as JSON-ready lines of a transcript by their ids."""
        return await self._store.write(lambda connection: _of(connection, conversation_id))

    async def drop(self, conversation_id: str, ids: list[str]) -> None:
        """Delete messages that were told."""
        if ids:
            await self._store.write(lambda connection: _drop(connection, conversation_id, ids))


def _keep(connection: Connection, conversation_id: str, id: str, line: Line) -> None:
    now = time.time()
    _DELETE_OLD.change(connection, {"before": now - KEPT_SECONDS})
    kept = list(_of(connection, conversation_id))
    if len(kept) >= MOST_KEPT and id not in kept:
        log.warning("%s has sent more than %s messages that the bot can't read.", short_id(conversation_id), MOST_KEPT)
    _drop(connection, conversation_id, [id, *kept[: max(len(kept) - MOST_KEPT + 1, 0)]])
    _INSERT.change(connection, {"conversation_id": conversation_id, "id": id, "line": as_json(plain(line)), "at": now})


def _of(connection: Connection, conversation_id: str) -> dict[str, dict[str, Any]]:
    rows = _OF.all(connection, {"conversation": conversation_id})
    return {row[0]: msgspec.json.decode(row[1]) for row in rows}


def _drop(connection: Connection, conversation_id: str, ids: list[str]) -> None:
    for id in ids:
        _DELETE.change(connection, {"conversation": conversation_id, "message": id})
