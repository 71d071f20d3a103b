"""Payloads of buttons that are too long for a channel: they are kept here, and the button carries a key instead.

The same payload has the same key, and the keys outlive a restart: customers press buttons of last week.
"""

import hashlib
import time
from typing import Final

from sqlalchemy import Column, Float, String, Table, Text, bindparam, delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.statements import Statement

PREFIX: Final = "/handoff_button_"
KEY_DIGITS: Final = 24
KEPT_SECONDS: Final = 90 * 86_400.0
"""Seconds until a payload is deleted. One that is shown again after half of that is kept anew."""
MOST_IN_MEMORY: Final = 1_000

payloads = Table(
    "payload",
    repository.metadata,
    Column("key", String(LONGEST_ID), primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
_FIND: Final = Statement(select(payloads.c.text).where(payloads.c.key == bindparam("of")))
_DELETE: Final = Statement(delete(payloads).where(payloads.c.key == bindparam("of")))
_INSERT: Final = Statement(insert(payloads))
_DELETE_OLD: Final = Statement(delete(payloads).where(payloads.c.at < bindparam("before")))


class LongPayloads:
    """The kept payloads. Reading and writing raise ``StoreUnavailable`` while the database can't be used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept_at: dict[str, float] = {}

    async def shortened(self, payload: str) -> str:
        """Keep a payload, and return the text that stands for it."""
        key, now = hashlib.sha256(payload.encode()).hexdigest()[:KEY_DIGITS], time.time()
        if now - self._kept_at.get(key, 0.0) > KEPT_SECONDS / 2:
            await self._store.write(lambda connection: _keep(connection, key, payload, now))
            self._kept_at.pop(key, None)
            self._kept_at[key] = now
            if len(self._kept_at) > MOST_IN_MEMORY:
                del self._kept_at[next(iter(self._kept_at))]
        return PREFIX + key

    async def restored(self, text: str, otherwise: str) -> str:
        """Return the payload that a text stands for; ``otherwise`` if that isn't kept any more.

        A text that stands for no payload is returned as it is.
        """
        if not text.startswith(PREFIX):
            return text
        key = text.removeprefix(PREFIX)[:KEY_DIGITS]
        found: str | None = await self._store.write(lambda connection: _FIND.scalar(connection, {"of": key}))
        return otherwise if found is None else found


def _keep(connection: Connection, key: str, payload: str, now: float) -> None:
    _DELETE_OLD.change(connection, {"before": now - KEPT_SECONDS})
    _DELETE.change(connection, {"of": key})
    _INSERT.change(connection, {"key": key, "text": payload, "at": now})
