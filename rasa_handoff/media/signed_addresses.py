"""Addresses of files that are valid for a time, for whoever was given them: ``…/media/ID?expires=…&signature=…``.

The signature is an HMAC of the id and the time, with a key of the side's own that its database keeps. So an address needs no row,
holds at each process of the side and after a restart, and can't be changed to another file's.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.store.engine import Store
from rasa_handoff.store.identity import meta_table
from rasa_handoff.store.insertions import insert_if_new

KEY: Final = "media_key"
ROUNDED: Final = 300.0
"""Seconds to which the end of an address is rounded up, so that a picture that is shown again is in the browser's cache."""
_TIME: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class SignedAddresses:
    """Makes and checks the part of an address behind the question mark. ``seconds``: how long one is valid."""

    def __init__(self, key: bytes, seconds: float, now: Callable[[], float] = time.time) -> None:
        self._key, self._seconds, self._now = key, seconds, now

    def query(self, id: str, seconds: float | None = None) -> str:
        """Return what makes the address of this file valid, for so many seconds."""
        until = self._now() + (self._seconds if seconds is None else seconds)
        expires = str(int(-(-until // ROUNDED) * ROUNDED))
        return f"expires={expires}&signature={self._signature(id, expires)}"

    def fits(self, id: str, expires: Any, signature: Any) -> bool:
        """Return whether this is an address that was made here for this file, and is still valid."""
        if not isinstance(expires, str) or not isinstance(signature, str) or not _TIME.fullmatch(expires):
            return False
        right = self._signature(id, expires)
        return hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")) and int(expires) > self._now()

    def _signature(self, id: str, expires: str) -> str:
        signed = f"handoff-media\n{id}\n{expires}".encode("utf-8", "replace")
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def signing_key_of(store: Store) -> Callable[[Connection], bytes]:
    """Return the work that reads the key from the store's database, and makes it once."""
    found = store.metadata.tables.get("meta", None)
    table = meta_table(store.metadata) if found is None else found

    def work(connection: Connection) -> bytes:
        query = select(table.c.value).where(table.c.key == KEY)
        known = connection.execute(query).scalar()
        if known is None:  # another process may make one at this moment
            insert_if_new(connection, table, key=KEY, value=secrets.token_hex(32))
            known = connection.execute(query).scalar_one()
        return bytes.fromhex(str(known))

    return work
