"""Payloads of buttons that are too long for a channel: they are kept here, and the button carries a key instead.

In one conversation the same button has the same key, and the keys outlive a restart: customers press buttons of last week, and
the press may come to another process. A key means nothing in another conversation. What is kept goes with the conversation, or
when the button wasn't shown for ``KEPT_SECONDS``.
"""

import hashlib
import time
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, Float, String, Table, Text, bindparam, delete, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store
from rasa_handoff.store.insertions import insert_or_update
from rasa_handoff.store.statements import Statement

PREFIX: Final = "/handoff_button_"
KEY_DIGITS: Final = 24
KEPT_SECONDS: Final = 90 * 86_400.0
"""Seconds after which a payload that wasn't shown again is deleted."""

payloads = Table(
    "payload",
    repository.metadata,
    # Of versions that kept payloads without their conversation: only read, until they are old.
    Column("key", String(LONGEST_ID), primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
buttons = Table(
    "kept_button",
    repository.metadata,
    Column("key", String(LONGEST_ID), primary_key=True),
    Column("conversation_id", String(LONGEST_ID), nullable=False, index=True),
    Column("payload", Text, nullable=False),
    Column("title", Text, nullable=False),
    # When it was shown last.
    Column("at", Float, nullable=False, index=True),
)
_same = (buttons.c.key == bindparam("of")) & (buttons.c.conversation_id == bindparam("conversation"))
_FIND: Final = Statement(select(buttons.c.payload, buttons.c.title).where(_same))
_FIND_OLDER: Final = Statement(select(payloads.c.text).where(payloads.c.key == bindparam("of")))
_DELETE_OLD: Final = Statement(delete(buttons).where(buttons.c.at < bindparam("before")))
_DELETE_OLDER: Final = Statement(delete(payloads).where(payloads.c.at < bindparam("before")))


class Pressed(NamedTuple):
    """The button that was pressed. ``title``: None if it isn't known."""

    payload: str
    title: str | None


class LongPayloads:
    """The kept payloads. Reading and writing raise ``StoreUnavailable`` while the database can't be used."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def shortened(self, conversation_id: str, title: str, payload: str) -> str:
        """Keep a button's payload and title, and return the text that stands for them."""
        digest = hashlib.sha256("\0".join((conversation_id, title, payload)).encode()).hexdigest()
        key = digest[:KEY_DIGITS]
        row = {"conversation_id": conversation_id, "payload": payload, "title": title, "at": time.time()}
        await self._store.write(lambda connection: _keep(connection, key, row))
        return PREFIX + key

    async def restored(self, conversation_id: str, text: str, otherwise: str) -> Pressed:
        """Return the button that a text stands for; one with ``otherwise`` if that isn't kept any more.

        A text that stands for none is returned as it is.
        """
        if not text.startswith(PREFIX):
            return Pressed(text, None)
        here = {"of": text.removeprefix(PREFIX)[:KEY_DIGITS], "conversation": conversation_id}
        found: Pressed | None = await self._store.write(lambda connection: _find(connection, here))
        return Pressed(otherwise, None) if found is None else found


def _keep(connection: Connection, key: str, row: dict[str, Any]) -> None:
    before = {"before": time.time() - KEPT_SECONDS}
    _DELETE_OLD.change(connection, before)
    _DELETE_OLDER.change(connection, before)
    insert_or_update(connection, buttons, key=key, **row)


def _find(connection: Connection, here: dict[str, str]) -> Pressed | None:
    row = _FIND.first(connection, here)
    if row is not None:
        return Pressed(*row)
    text = _FIND_OLDER.scalar(connection, {"of": here["of"]})
    return None if text is None else Pressed(text, None)
