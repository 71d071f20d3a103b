"""The relays that are connected, as rows: which database each has, which server has its socket, and when it was last seen.

A server writes rows for its own sockets, and reads those of others, whose sockets it can't ask. Times are the database's, since
each server's machine has a clock of its own.
"""

import time
from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import and_, delete, insert, or_, select, text, update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.values import Value
from rasa_handoff.server.storage.tables import RELAY_CONNECTIONS
from rasa_handoff.store.writer import PROCESS

THERE_SECONDS: Final = 12.0
"""Seconds after which a relay that wasn't seen counts as gone: the server that had its socket has ended, or can't write."""
FORGOTTEN_SECONDS: Final = 60.0
"""Seconds for which a row is kept then: until a relay with another database may take its place."""

_CLOCK: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")


class ConnectedRelay(Value, frozen=True, kw_only=True):
    """A row. ``epoch``: of its database; None if it doesn't name it. ``server``: the process that has, or had, its socket.
    ``process``: the id of that one among those that share the database, once the relay can take something.
    """

    id: str
    bot_id: str
    epoch: str | None
    server: str
    seen: float
    gone: bool = False
    process: str | None = None

    def is_there(self, now: float) -> bool:
        """Return whether the relay is connected, as far as the database knows."""
        return not self.gone and now - self.seen < THERE_SECONDS


def clock(connection: Connection) -> float:
    """Return the database's time, in seconds since 1970. A SQLite file is used on one machine, and has its time."""
    return float(connection.execute(_CLOCK).scalar_one()) if connection.dialect.name == "postgresql" else time.time()


def of_bot(connection: Connection, bot_id: str) -> list[ConnectedRelay]:
    """Return the rows of a bot."""
    query = select(RELAY_CONNECTIONS).where(RELAY_CONNECTIONS.c.bot_id == bot_id)
    return [ConnectedRelay(**row) for row in connection.execute(query).mappings()]


def take_place(connection: Connection, bot_id: str, epoch: str | None, server: str, now: float) -> bool:
    """Remove the rows of a bot's relays with other databases that aren't there any more; return whether there is no other.

    Those of ``server``, which asks, have left. Other servers find out, should they come to life again (:func:`see`); one that
    has just done so makes this fail.
    """
    columns = RELAY_CONNECTIONS.c
    other = columns.epoch.isnot(None) if epoch is None else or_(columns.epoch.is_(None), columns.epoch != epoch)
    others = and_(columns.bot_id == bot_id, other)
    ended = or_(columns.gone, columns.seen <= now - THERE_SECONDS, columns.server == server)
    connection.execute(delete(RELAY_CONNECTIONS).where(others, ended))
    return connection.execute(select(columns.id).where(others).limit(1)).first() is None


def add(connection: Connection, relay: ConnectedRelay) -> None:
    """Add a relay that was let in."""
    connection.execute(insert(RELAY_CONNECTIONS).values(**msgspec.to_builtins(relay)))


def see(connection: Connection, ids: Collection[str], now: float) -> set[str]:
    """Note that these relays are there; return those that aren't any more, since another one took their place."""
    if not ids:
        return set()
    columns = RELAY_CONNECTIONS.c
    those = and_(columns.id.in_(ids), columns.gone.is_(False))
    if connection.execute(update(RELAY_CONNECTIONS).where(those).values(seen=now)).rowcount == len(ids):
        return set()
    return set(ids) - set(connection.execute(select(columns.id).where(those)).scalars())


def note_ready(connection: Connection, ids: Collection[str]) -> None:
    """Note that these relays can take something from this process."""
    process = connection.info.get(PROCESS)
    if ids and process is not None:
        connection.execute(update(RELAY_CONNECTIONS).where(RELAY_CONNECTIONS.c.id.in_(ids)).values(process=process))


def note_gone(connection: Connection, ids: Collection[str], now: float) -> None:
    """Note that these relays have left now."""
    if ids:
        those = RELAY_CONNECTIONS.c.id.in_(ids)
        connection.execute(update(RELAY_CONNECTIONS).where(those).values(seen=now, gone=True))


def forget_all(connection: Connection) -> None:
    """Remove all rows: the one server of this database has just started."""
    connection.execute(delete(RELAY_CONNECTIONS))


def forget_old(connection: Connection, now: float) -> None:
    """Remove rows of relays that were last seen long ago."""
    connection.execute(delete(RELAY_CONNECTIONS).where(RELAY_CONNECTIONS.c.seen < now - FORGOTTEN_SECONDS))
