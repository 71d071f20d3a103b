"""Signed-in agents: sessions in the database, their cookies, and the token of our own pages.

The cookie holds a random token, the database its hash. A session holds across restarts for ``LASTS`` seconds.
"""

import hmac
import secrets
import time
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.server import accounts
from rasa_handoff.server.accounts import Account
from rasa_handoff.server.tables import SECRETS, SESSIONS

SESSION_COOKIE: Final = "handoff_session"
FORM_COOKIE: Final = "handoff_form"
KNOWN_COOKIE: Final = "handoff_known"
LASTS: Final = 12 * 3600
FORM_LASTS: Final = 12 * 3600

HOST_ONLY: Final = "__Host-"
"""Before a cookie's name: browsers take it only by TLS and from this very host, so that no neighbour can plant one."""


def begin(connection: Connection, agent: str) -> str:
    """A new session of the agent; returns what goes into the cookie. Sessions that ran out are forgotten."""
    now, token = time.time(), secrets.token_urlsafe(32)
    connection.execute(delete(SESSIONS).where(SESSIONS.c.until < now))
    connection.execute(insert(SESSIONS).values(hash=accounts.hashed(token), agent=agent, until=now + LASTS))
    return token


def end(connection: Connection, token: str) -> None:
    """Sign out."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.hash == accounts.hashed(token)))


def account_of(connection: Connection, token: str | None) -> Account | None:
    """Whose session it is, if it holds."""
    if not token:
        return None
    query = select(SESSIONS.c.agent).where(SESSIONS.c.hash == accounts.hashed(token), SESSIONS.c.until > time.time())
    row = connection.execute(query).first()
    return accounts.by_id(connection, row.agent) if row else None


def holding(connection: Connection) -> frozenset[str]:
    """Hashes of all sessions that hold."""
    rows = connection.execute(select(SESSIONS.c.hash).where(SESSIONS.c.until > time.time()))
    return frozenset(row.hash for row in rows)


def secret(connection: Connection) -> str:
    """The key that signs forms; made once per database, so that a form outlives a restart."""
    known = connection.execute(select(SECRETS.c.value).where(SECRETS.c.name == "forms")).scalar()
    if known is None:
        known = secrets.token_hex(32)
        connection.execute(insert(SECRETS).values(name="forms", value=known))
    return str(known)


def cookie_name(name: str, secure: bool) -> str:
    """How the cookie is called where browsers come by TLS, and where they don't."""
    return f"{HOST_ONLY}{name}" if secure else name


class Forms:
    """Tokens of our pages: signed, and bound to a cookie of the browser that was given the page, or to its session."""

    def __init__(self, key: str) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="rasa-handoff form")

    def sign(self, browser: str) -> str:
        """The token for a page given to this browser."""
        return str(self._signer.dumps(browser))

    def fits(self, token: str, browser: str | None) -> bool:
        """Whether the form was ours, given to this browser, and not too long ago."""
        try:
            signed = self._signer.loads(token, max_age=FORM_LASTS)
        except BadSignature:
            return False
        return bool(browser) and hmac.compare_digest(str(signed).encode(), str(browser).encode())
