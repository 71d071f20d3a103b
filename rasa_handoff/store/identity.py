"""The identity of a database: its format, side, schema and epoch, in the table ``meta``.

It is checked before anything else is read. An older schema is brought to this version's (``migrations.py``).

During a rolling update the processes of an older version go on beside the first ones of a newer one. So a step to a new schema
only adds (it expands), and versions that know the schema before go on with it. What has become superfluous goes with a later step
(it contracts), which raises ``oldest``: versions that know only an older schema are refused from then on, and while a process of
theirs is connected, the step isn't taken.
"""

import contextlib
import uuid
from collections.abc import Callable

from sqlalchemy import Column, MetaData, String, Table, delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.handshake import FORMAT
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.migrations import Steps, migrate

log = get_log(__name__)

Alone = Callable[[Connection], contextlib.AbstractContextManager[object]]
"""Keeps out, as long as the context lasts, the processes that can't work with the new schema."""


class TooOld(StoreError):
    """The database has a newer schema, with which this version can't work."""


def meta_table(metadata: MetaData) -> Table:
    """Return the table that identifies the database, with the keys ``format``, ``side``, ``schema``, ``oldest`` and ``epoch``."""
    return Table(
        "meta", metadata, Column("key", String(40), primary_key=True), Column("value", String(200), nullable=False)
    )


class DatabaseIdentity:
    """Checks that a database belongs to this side and has this schema, and brings an older one to it.

    ``shown``: the database's URL without its password. ``oldest``: the oldest schema whose version of this package can work with
    a database of ``schema``.
    """

    def __init__(self, metadata: MetaData, shown: str, side: str, schema: int, steps: Steps, oldest: int) -> None:
        found = metadata.tables.get("meta", None)
        self._meta = meta_table(metadata) if found is None else found
        self._shown, self._side, self._schema, self._steps = shown, side, schema, steps
        self._oldest = oldest

    def check(self, connection: Connection, alone: Alone) -> str:
        """Check the side and schema of the database, migrate an older schema, and return its epoch.

        Raises:
            StoreError: it belongs to the other side, its schema is too new, or it has an older one and a process that is too old
                works with it.
        """
        self._meta.create(connection, checkfirst=True)
        known = {row.key: row.value for row in connection.execute(select(self._meta))} or self._begin(connection)
        if known.get("format") != FORMAT:
            raise StoreError(
                f"The database {self._shown} was written by a version of rasa-handoff from before its first "
                "release, which this one can't read: name another database, or move this one away."
            )
        if known["side"] != self._side:
            raise StoreError(
                f"The database {self._shown} belongs to the {known['side']}, not to the {self._side}: "
                f"give the {self._side} a database of its own."
            )
        found = int(known["schema"])
        self._check_age(found, int(known.get("oldest", found)))
        if found < self._schema:
            with alone(connection):
                self._migrate(connection, found)
        return str(known["epoch"])

    def _begin(self, connection: Connection) -> dict[str, str]:
        """Identify a new database."""
        known = {
            "format": FORMAT,
            "side": self._side,
            "schema": str(self._schema),
            "oldest": str(self._oldest),
            "epoch": uuid.uuid4().hex,
        }
        connection.execute(insert(self._meta), [{"key": key, "value": value} for key, value in known.items()])
        return known

    def check_is_not_too_old(self, connection: Connection) -> None:
        """Check that this version can still work with the database, whose schema may have changed while it was away.

        Raises:
            TooOld: it can't.
        """
        query = select(self._meta).where(self._meta.c.key.in_(("schema", "oldest")))
        known = {row.key: int(row.value) for row in connection.execute(query)}
        connection.rollback()
        if known:
            self._check_age(known["schema"], known.get("oldest", known["schema"]))

    def _check_age(self, found: int, oldest: int) -> None:
        """Accept a newer schema if this version can work with it."""
        if found > self._schema and oldest > self._schema:
            raise TooOld(
                f"The database {self._shown} has schema {found}, this version of rasa-handoff knows up to "
                f"{self._schema}: install the newer version that wrote it."
            )

    def _migrate(self, connection: Connection, found: int) -> None:
        migrate(connection, self._steps, found, self._schema)
        for key, value in (("schema", self._schema), ("oldest", self._oldest)):
            connection.execute(delete(self._meta).where(self._meta.c.key == key))
            connection.execute(insert(self._meta).values(key=key, value=str(value)))
        log.info("The database %s was brought from schema %s to %s.", self._shown, found, self._schema)
