"""What is known of the pictures and files that a side keeps: a table that both sides have.

A row is written before its file is stored, as ``coming``, and becomes ``kept`` afterwards. What is to be deleted becomes ``gone``
in the transaction that deletes its conversation; the file and then the row follow (``media_sweeper.py``). So no file is left in
the media store, whenever a process ends.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    MetaData,
    String,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from rasa_handoff.media.media_store import new_id
from rasa_handoff.protocol.limits import LONGEST_FIELD, LONGEST_ID
from rasa_handoff.protocol.message_parts import Media
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.insertions import insert_if_new

COMING: Final = "coming"
KEPT: Final = "kept"
GONE: Final = "gone"
NOBODYS: Final = {"state": GONE, "bot_id": "", "conversation_id": "", "name": None}
"""What is left of a row until its file is deleted, which may take until the side runs again: nothing of whose it was."""
MOST_AT_ONCE: Final = 100
"""Rows that one step of the sweep changes."""
LONGEST_TYPE: Final = 100


class MediaOwner(Value, frozen=True, kw_only=True):
    """The conversation that a file belongs to. ``bot_id``: empty on the relay's side, which has one bot."""

    conversation_id: str
    bot_id: str = ""


def id_by_key(owner: MediaOwner, key: str | None) -> str:
    """Return the opaque name of a file that its page calls ``key``: the same for what it sends again after a lost answer.

    Without a key it is a new one. The key is the page's own, so it names a file of its own conversation only.
    """
    if not key:
        return new_id()
    named = f"{owner.bot_id}\0{owner.conversation_id}\0{key}"
    return hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()


class KeptMedia(Value, frozen=True, kw_only=True):
    """A picture or file that is kept. ``owner``: the conversation it belongs to. ``at``: when it came."""

    id: str
    owner: MediaOwner
    name: str | None
    type: str
    size: int
    at: float

    @property
    def media(self) -> Media:
        """What a message says of it."""
        return Media(id=self.id, name=self.name, type=self.type, size=self.size)


class MediaUse(Value, frozen=True, kw_only=True):
    """Bytes that are kept: of a conversation, of what has come since a time, and of all."""

    conversation: int
    since: int
    total: int


class MediaTable:
    """The table ``media`` of a side, and its statements. Made once for the side's metadata."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "media",
            metadata,
            Column("id", String(64), primary_key=True),
            # Empty on the relay's side, which has one bot.
            Column("bot_id", String(LONGEST_ID), nullable=False),
            Column("conversation_id", String(LONGEST_ID), nullable=False),
            Column("state", String(10), nullable=False),
            Column("name", String(LONGEST_FIELD)),
            Column("type", String(LONGEST_TYPE), nullable=False),
            Column("size", BigInteger, nullable=False),
            Column("at", Float, nullable=False, index=True),
            Index("media_conversation", "bot_id", "conversation_id"),
        )
        # Finds what is to be deleted among any number.
        columns = self.table.c
        Index(
            "media_not_kept",
            columns.state,
            sqlite_where=columns.state != KEPT,
            postgresql_where=columns.state != KEPT,
        )

    def use(self, connection: Connection, owner: MediaOwner, since: float) -> MediaUse:
        """Return how much is kept."""
        columns = self.table.c
        size = func.coalesce(func.sum(columns.size), 0)
        of_conversation = select(size).where(self._of(owner)).scalar_subquery()
        of_time = select(size).where(columns.at >= since).scalar_subquery()
        total = select(size).scalar_subquery()
        row = connection.execute(
            select(of_conversation.label("conversation"), of_time.label("since"), total.label("total"))
        ).one()
        return MediaUse(conversation=int(row.conversation), since=int(row.since), total=int(row.total))

    def begin(self, connection: Connection, kept: KeptMedia) -> None:
        """Write the row of a file that is about to be stored; one of an attempt before is this one's from now on."""
        values = {name: getattr(kept, name) for name in ("id", "name", "type", "size", "at")}
        owner = {"bot_id": kept.owner.bot_id, "conversation_id": kept.owner.conversation_id}
        insert_if_new(connection, self.table, **values, **owner, state=COMING)
        coming = and_(self.table.c.id == kept.id, self.table.c.state == COMING, self._of(kept.owner))
        connection.execute(update(self.table).where(coming).values(**values))

    def finish(self, connection: Connection, id: str) -> bool:
        """Note that the file is stored; return False if its conversation was deleted meanwhile."""
        columns = self.table.c
        here = and_(columns.id == id, columns.state != GONE)
        return bool(connection.execute(update(self.table).where(here).values(state=KEPT)).rowcount)

    def find(self, connection: Connection, id: str, state: str = KEPT) -> KeptMedia | None:
        """Return what is known of a file; None if there is none that is kept."""
        columns = self.table.c
        row = connection.execute(select(self.table).where(columns.id == id, columns.state == state)).first()
        return None if row is None else _kept(row)

    def find_all(self, connection: Connection, owner: MediaOwner, ids: Collection[str]) -> dict[str, KeptMedia]:
        """Return those of these files that are kept for this conversation, by their ids."""
        columns = self.table.c
        here = and_(columns.id.in_(list(ids)), columns.state == KEPT, self._of(owner))
        return {row.id: _kept(row) for row in connection.execute(select(self.table).where(here))} if ids else {}

    def drop(self, connection: Connection, conversation_id: str, bot_id: str | None = None) -> int:
        """Mark the files of a conversation as gone, and return how many. ``bot_id``: only this bot's; None: any bot's."""
        columns = self.table.c
        here = and_(columns.conversation_id == conversation_id, columns.state != GONE)
        wanted = here if bot_id is None else and_(here, columns.bot_id == bot_id)
        return int(connection.execute(update(self.table).where(wanted).values(**NOBODYS)).rowcount)

    def fail(self, connection: Connection, id: str) -> None:
        """Note that a file couldn't be stored. It may be tried again, now or by somebody else; if not, its row is swept later."""
        columns = self.table.c
        connection.execute(update(self.table).where(columns.id == id, columns.state == COMING).values(size=0))

    def drop_unused(self, connection: Connection, before: float, in_use: Any) -> int:
        """Mark some of the files as gone that came before this time and that nothing uses; return how many.

        ``in_use``: SQLAlchemy's condition on a row of the table, true while something uses it.
        """
        columns = self.table.c
        unused = and_(columns.state == KEPT, columns.at < before, ~in_use)
        ids = connection.execute(select(columns.id).where(unused).limit(MOST_AT_ONCE)).scalars().all()
        if ids:
            connection.execute(update(self.table).where(columns.id.in_(ids)).values(**NOBODYS))
        return len(ids)

    def gone(self, connection: Connection, begun_before: float) -> list[str]:
        """Return the ids of some files to be deleted: those marked as gone, and those that have been coming for too long."""
        columns = self.table.c
        left = and_(columns.state == COMING, columns.at < begun_before)
        query = select(columns.id).where(columns.state != KEPT, or_(columns.state == GONE, left)).limit(MOST_AT_ONCE)
        return list(connection.execute(query).scalars())

    def remove(self, connection: Connection, ids: Sequence[str]) -> None:
        """Delete the rows of files that aren't stored any more."""
        columns = self.table.c
        connection.execute(delete(self.table).where(columns.id.in_(ids), columns.state != KEPT))

    def _of(self, owner: MediaOwner) -> Any:
        columns = self.table.c
        return and_(columns.bot_id == owner.bot_id, columns.conversation_id == owner.conversation_id)


def _kept(row: Any) -> KeptMedia:
    owner = MediaOwner(conversation_id=row.conversation_id, bot_id=row.bot_id)
    return KeptMedia(id=row.id, owner=owner, name=row.name, type=row.type, size=int(row.size), at=row.at)
