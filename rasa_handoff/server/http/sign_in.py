"""Signed-in agents: sessions in the database, their cookies, and the checks of a browser that comes to the desk.

The cookie holds a random token, the database its hash. A session outlives restarts, for ``SESSION_LASTS`` seconds. Pages and
sockets check the same of a browser: its origin, its cookies, and the token of our own pages.
"""

import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.guard.refusals import Refusals
from rasa_handoff.server import accounts
from rasa_handoff.server.accounts import Account
from rasa_handoff.server.brake import KnownBrowsers
from rasa_handoff.server.public_url import PublicUrl
from rasa_handoff.server.storage.tables import SECRETS, SESSIONS, Database
from rasa_handoff.store.insertions import insert_if_new

SESSION_COOKIE: Final = "handoff_session"
FORM_COOKIE: Final = "handoff_form"
KNOWN_COOKIE: Final = "handoff_known"
SESSION_LASTS: Final = 12 * 3600
"""Seconds that a session lasts."""
FORM_LASTS: Final = 12 * 3600
"""Seconds for which the form of a page can be sent."""

HOST_ONLY: Final = "__Host-"
"""Prefix of a cookie's name: browsers take such a cookie only by TLS and from this very host, not from another subdomain."""
SECURE_SCHEMES: Final = ("https", "wss")

_LOGGABLE: Final = re.compile(r"[\w.:/\[\]-]{1,200}", re.ASCII)


def begin(connection: Connection, agent: str) -> str:
    """Begin a session of the agent, and return the token for its cookie. Expired sessions are deleted."""
    now, token = time.time(), secrets.token_urlsafe(32)
    connection.execute(delete(SESSIONS).where(SESSIONS.c.until < now))
    connection.execute(insert(SESSIONS).values(hash=accounts.hashed(token), agent=agent, until=now + SESSION_LASTS))
    return token


def end(connection: Connection, token: str) -> None:
    """End a session. Other servers of this database notice it as they notice a command's change, and close its desks."""
    ended = connection.execute(delete(SESSIONS).where(SESSIONS.c.hash == accounts.hashed(token)))
    if ended.rowcount:
        accounts.note_change(connection)


def account_of(connection: Connection, token: str | None) -> Account | None:
    """Return the account of a session that hasn't expired; None for any other token."""
    if not token:
        return None
    query = select(SESSIONS.c.agent).where(SESSIONS.c.hash == accounts.hashed(token), SESSIONS.c.until > time.time())
    row = connection.execute(query).first()
    return accounts.by_id(connection, row.agent) if row else None


def ends_at(connection: Connection, token: str | None) -> float:
    """Return when the session of this token ends, in seconds since 1970; 0 if there is none."""
    query = select(SESSIONS.c.until).where(SESSIONS.c.hash == accounts.hashed(token or ""))
    return float(connection.execute(query).scalar() or 0.0)


def session_hashes(connection: Connection) -> frozenset[str]:
    """Return the hashes of all sessions that haven't expired."""
    rows = connection.execute(select(SESSIONS.c.hash).where(SESSIONS.c.until > time.time()))
    return frozenset(row.hash for row in rows)


def signing_key(connection: Connection) -> str:
    """Return the key that signs forms and known browsers' cookies.

    It is made once per database, so both outlive a restart, and hold at each of its servers.
    """
    query = select(SECRETS.c.value).where(SECRETS.c.name == "forms")
    known = connection.execute(query).scalar()
    if known is None:  # another server may make one at this moment
        insert_if_new(connection, SECRETS, name="forms", value=secrets.token_hex(32))
        known = connection.execute(query).scalar_one()
    return str(known)


def cookie_name(name: str, secure: bool) -> str:
    """Return the cookie's name: with the prefix where browsers come by TLS."""
    return f"{HOST_ONLY}{name}" if secure else name


class Forms:
    """Tokens of our pages: signed, and bound to an owner: a cookie of the browser that got the page, or its session's hash."""

    def __init__(self, key: str) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="rasa-handoff form")

    def sign(self, owner: str) -> str:
        """Return the token for a page that this owner gets."""
        return str(self._signer.dumps(owner))

    def fits(self, token: str, owner: str | None) -> bool:
        """Return whether this is the token of a page that this owner got from us, not too long ago."""
        try:
            signed = self._signer.loads(token, max_age=FORM_LASTS)
        except BadSignature:
            return False
        return bool(owner) and hmac.compare_digest(str(signed).encode(), str(owner).encode())


class Browsers:
    """Checks browsers that come to the desk. ``public``: the address of a proxy before us, if one is configured."""

    def __init__(self, store: Database, public: PublicUrl | None, refusals: Refusals) -> None:
        self._store, self._public, self._refusals = store, public, refusals
        self._explained = False
        self._key: str | None = None

    def secure(self, scheme: str) -> bool:
        """Return whether the browser came by TLS, according to the request's scheme or the public address."""
        return scheme in SECURE_SCHEMES or (self._public is not None and self._public.secure)

    def cookie(self, cookies: Mapping[str, str], name: str, scheme: str) -> str | None:
        """Return one of our cookies; None if it is missing or empty."""
        return cookies.get(cookie_name(name, self.secure(scheme))) or None

    def has_own_origin(self, origin: str | None, host: str | None, address: str) -> bool:
        """Return whether the request comes from our own page; if not, log it with its address.

        Browsers leave Origin out only within the same origin.
        """
        if origin is None or (self._public is not None and origin == self._public.origin):
            return True
        # With a public address, its host counts only with its scheme too (checked above): its http page isn't ours.
        page_host = urlsplit(origin).netloc if _LOGGABLE.fullmatch(origin) else ""
        if page_host and page_host == host and (self._public is None or page_host != self._public.host):
            return True
        shown = origin if page_host else "another origin"
        sentence = f"a page of {shown}: this server was asked as {host if _LOGGABLE.fullmatch(host or '') else 'another host'}."
        if not self._explained:
            self._explained = True
            sentence += (
                " If that page is this desk behind a proxy, let the proxy pass Host on, or start the server with "
                f"--public-url {shown} (docs/behind-a-proxy.md)."
            )
        self._refusals.note(address, "origin", sentence)
        return False

    async def forms(self) -> Forms:
        """Return what signs and checks the token of our pages."""
        return Forms(await self._signing_key())

    async def known(self) -> KnownBrowsers:
        """Return what signs and reads the cookie of a browser in which an agent has signed in before."""
        return KnownBrowsers(await self._signing_key())

    async def from_own_page(self, token: object, session: str) -> bool:
        """Return whether the token is of a page of ours that was loaded within this session."""
        return isinstance(token, str) and (await self.forms()).fits(token, accounts.hashed(session))

    async def _signing_key(self) -> str:
        if self._key is None:
            self._key = await self._store.write(signing_key)
        return self._key
