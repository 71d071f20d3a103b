"""Signed-in agents: sessions in the database, the form's token, and the brake on guessing.

The cookie holds a random token, the database its hash. A session holds across restarts for ``LASTS`` seconds.
"""

import hmac
import math
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.server import accounts
from rasa_handoff.server.accounts import Account
from rasa_handoff.server.tables import SECRETS, SESSIONS

SESSION_COOKIE: Final = "handoff_session"
FORM_COOKIE: Final = "handoff_form"
LASTS: Final = 12 * 3600
FORM_LASTS: Final = 12 * 3600

FREE_TRIES: Final = 5
LONGEST_BRAKE: Final = 300.0
MOST_REMEMBERED: Final = 10_000


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


def cookie_of(header: str | None, name: str) -> str | None:
    """One cookie of a Cookie header."""
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return found.value if found else None


def own_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from a page of this server. Browsers leave Origin out only within their own origin."""
    return origin is None or (origin != "null" and urlsplit(origin).netloc == host)


class Forms:
    """Tokens of forms: signed, and bound to a cookie of the browser that was given the page."""

    def __init__(self, key: str) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="rasa-handoff form")

    def sign(self, browser: str) -> str:
        """The token for a page given to this browser."""
        return self._signer.dumps(browser)

    def fits(self, token: str, browser: str | None) -> bool:
        """Whether the form was ours, given to this browser, and not too long ago."""
        try:
            signed = self._signer.loads(token, max_age=FORM_LASTS)
        except BadSignature:
            return False
        return bool(browser) and hmac.compare_digest(str(signed), str(browser))


class Brake:
    """Slows guessing: after ``FREE_TRIES`` failures of an e-mail or an address each further one doubles the wait."""

    def __init__(self) -> None:
        self._tries: dict[str, tuple[int, float]] = {}

    def wait(self, *keys: str) -> int:
        """Seconds until the next try of these is heard; 0 when it may go on."""
        now = time.monotonic()
        return math.ceil(max((self._tries.get(key, (0, now))[1] - now for key in keys), default=0.0))

    def tried(self, *keys: str) -> None:
        """Count a try before it is known how it ends, so that many at once don't slip through."""
        for key in keys:
            count = self._tries.pop(key, (0, 0.0))[0] + 1
            pause = min(2.0 ** (count - FREE_TRIES), LONGEST_BRAKE) if count >= FREE_TRIES else 0.0
            self._tries[key] = (count, time.monotonic() + pause)
        while len(self._tries) > MOST_REMEMBERED:
            del self._tries[next(iter(self._tries))]

    def succeeded(self, email: str, address: str) -> None:
        """A right password clears its e-mail; the address gets only this try back, or one's own account would clear it."""
        self._tries.pop(email, None)
        count, _ = self._tries.get(address, (1, 0.0))
        self._tries[address] = (count - 1, 0.0)
