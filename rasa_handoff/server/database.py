"""The server's database when it can't be used: locked, full, away. Then nothing is accepted, and it goes on by itself.

A transaction that couldn't be committed has left nothing behind. Whoever asked for it is told ``unavailable`` and asks again.
"""

import uuid
from typing import Final, TypeVar

from sqlalchemy import Column, MetaData, String, Table, Text, delete, insert
from sqlalchemy.engine import Connection

from rasa_handoff.store.engine import TROUBLES, Store, Work
from rasa_handoff.store.migrations import Steps
from rasa_handoff.vocabulary.errors import Refused, Unreachable
from rasa_handoff.vocabulary.log_values import get_log

T = TypeVar("T")

log = get_log(__name__)

SENTENCE: Final = "The live-agent server can't write anything down just now. Please try again in a moment."
PROBE: Final = "x" * 200_000
"""As much as a long conversation's offer: a full database may have room for less."""


class Unavailable(Refused, Unreachable):
    """The database can't be used now; nothing was done, and it may be tried again."""

    def __init__(self) -> None:
        super().__init__("unavailable", SENTENCE)


class Database(Store):
    """A store that knows whether it is well. ``trouble``: why it couldn't be used when it was last tried."""

    def __init__(self, url: str, metadata: MetaData, side: str, schema: int, steps: Steps) -> None:
        self.trouble: str | None = None
        self._probes = metadata.tables.get("probe", None)
        if self._probes is None:
            self._probes = Table(
                "probe", metadata, Column("id", String(32), primary_key=True), Column("text", Text, nullable=False)
            )
        super().__init__(url, metadata, side, schema, steps)

    async def write(self, work: Work[T]) -> T:
        """As the store does.

        Raises:
            Unavailable: the database is locked, full or away; nothing was done.
        """
        try:
            return await super().write(work)
        except TROUBLES as problem:
            if self.trouble is None:
                log.error("The database can't be used, so messages are refused until it can: %s", _reason(problem))
            self.trouble = _reason(problem)
            raise Unavailable from problem

    async def look(self) -> str | None:
        """Why it can't be used now; None if all is well. After a trouble it is tried with as much as an offer has."""
        was = self.trouble
        try:
            await self.write(self._nothing if was is None else self._probe)
        except Unavailable:
            return self.trouble
        if was is not None:
            log.warning("The database can be used again.")
        self.trouble = None
        return None

    def _nothing(self, connection: Connection) -> None:
        """A transaction of its own is all that is tried."""

    def _probe(self, connection: Connection) -> None:
        probes, id = self._probes, uuid.uuid4().hex
        assert probes is not None
        connection.execute(insert(probes).values(id=id, text=PROBE))
        connection.execute(delete(probes).where(probes.c.id == id))


def _reason(problem: Exception) -> str:
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")
