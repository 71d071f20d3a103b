"""What a database says of itself: its format, its side, its schema and its epoch, in the table ``meta``.

It is checked before anything else is read. An older schema is brought to this version's (``migrations.py``).
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
"""Makes sure that no other process has the database open, as long as the context lasts."""


def meta_table(metadata: MetaData) -> Table:
    """Return the table that identifies the database, with the keys ``format``, ``side``, ``schema``, ``oldest`` and ``epoch``."""
    return Table(
        "meta", metadata, Column("key", String(40), primary_key=True), Column("value", String(200), nullable=False)
    )


class DatabaseIdentity:
    """What a database of this side and schema must say of itself, and how an older one is brought to it.

    ``shown``: the database's URL without its password. ``oldest``: the oldest schema whose version of this package can work with
    a database of ``schema``.
    """

    def __init__(
        self, metadata: MetaData, shown: str, side: str, schema: int, steps: Steps, oldest: int, shared: bool
    ) -> None:
        found = metadata.tables.get("meta", None)
        self._meta = meta_table(metadata) if found is None else found
        self._shown, self._side, self._schema, self._steps = shown, side, schema, steps
        self._oldest, self._shared = oldest, shared

    def check(self, connection: Connection, alone: Alone) -> str:
        """Check the side and schema of the database, migrate an older schema, and return its epoch.

        Raises:
            StoreError: it belongs to the other side, has a newer schema, or has an older one and is in use.
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
        self._migrate(connection, int(known["schema"]), int(known.get("oldest", known["schema"])), alone)
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

    def _migrate(self, connection: Connection, found: int, oldest: int, alone: Alone) -> None:
        """Bring the database to this version's schema; leave a newer one as it is if this version can work with it.

        During a rolling update the processes of an older version go on beside the first of a newer one. So a step adds, and what
        it makes superfluous goes with a later one, for which the older version must have ended (``oldest``).
        """
        if found > self._schema and oldest > self._schema:
            raise StoreError(
                f"The database {self._shown} has schema {found}, this version of rasa-handoff knows up to "
                f"{self._schema}: install the newer version that wrote it."
            )
        if found < self._schema:
            with alone(connection) if self._oldest > found or not self._shared else contextlib.nullcontext():
                migrate(connection, self._steps, found, self._schema)
                for key, value in (("schema", self._schema), ("oldest", self._oldest)):
                    connection.execute(delete(self._meta).where(self._meta.c.key == key))
                    connection.execute(insert(self._meta).values(key=key, value=str(value)))
            log.info("The database %s was brought from schema %s to %s.", self._shown, found, self._schema)
