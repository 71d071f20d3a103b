"""What is checked of every browser that comes to the desk, by its pages or by its socket: origin, cookies, our pages' token."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from rasa_handoff.guard.refusals import Refusals
from rasa_handoff.server import accounts, sessions
from rasa_handoff.server.brake import KnownBrowsers
from rasa_handoff.server.database import Database
from rasa_handoff.server.public_url import PublicUrl
from rasa_handoff.server.sessions import Forms

_LOGGABLE: Final = re.compile(r"[\w.:/\[\]-]{1,200}", re.ASCII)
SECURE_SCHEMES: Final = ("https", "wss")


class Browsers:
    """``public``: the address a proxy gives us, if it was told to us."""

    def __init__(self, store: Database, public: PublicUrl | None, refusals: Refusals) -> None:
        self._store, self._public, self._refusals = store, public, refusals
        self._explained = False
        self._key: str | None = None

    def secure(self, scheme: str) -> bool:
        """Whether the browser came by TLS, as the scheme of the request or the public address says."""
        return scheme in SECURE_SCHEMES or (self._public is not None and self._public.secure)

    def cookie(self, cookies: Mapping[str, str], name: str, scheme: str) -> str | None:
        """One of our cookies."""
        return cookies.get(sessions.cookie_name(name, self.secure(scheme))) or None

    def is_own(self, origin: str | None, host: str | None, address: str) -> bool:
        """Whether a page of ours asks. Browsers leave Origin out only within their own origin. A stranger's is logged, with the
        address it came from."""
        if origin is None or (self._public is not None and origin == self._public.origin):
            return True
        asked = urlsplit(origin).netloc if _LOGGABLE.fullmatch(origin) else ""
        if asked and asked == host and (self._public is None or asked != self._public.host):
            return True
        shown = origin if asked else "another origin"
        sentence = f"a page of {shown}: this server was asked as {host if _LOGGABLE.fullmatch(host or '') else 'another host'}."
        if not self._explained:
            self._explained = True
            sentence += (
                " If that page is this desk behind a proxy, let the proxy pass Host on, or start the server with "
                f"--public-url {shown} (docs/security.md)."
            )
        self._refusals.note(address, "origin", sentence)
        return False

    async def forms(self) -> Forms:
        """What signs and checks the token of our pages."""
        return Forms(await self._secret())

    async def known(self) -> KnownBrowsers:
        """What signs and reads the mark of a browser in which somebody has signed in."""
        return KnownBrowsers(await self._secret())

    async def from_own_page(self, token: object, session: str) -> bool:
        """Whether the token stands in a page of ours that was given within this session."""
        return isinstance(token, str) and (await self.forms()).fits(token, accounts.hashed(session))

    async def _secret(self) -> str:
        if self._key is None:
            self._key = await self._store.write(sessions.secret)
        return self._key
