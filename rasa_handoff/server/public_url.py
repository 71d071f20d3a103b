"""The public address of the desk behind a proxy: the host and the path that only the proxy knows.

The desk's pages use relative addresses, so they work below any path. The public address is needed where nothing can be relative:
to recognize our own pages, to limit cookies to TLS, and to remove a path that the proxy leaves in place.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import URL
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.names import RELAY_TOKEN_PATH
from rasa_handoff.protocol.values import Value

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_PATH: Final = re.compile(r"(?:/[\w.~-]+)*", re.ASCII)
_OURS: Final = frozenset(
    {"static", "login", "logout", "health", "socket.io", ADMIN.strip("/"), RELAY_TOKEN_PATH.strip("/")}
)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

LOOPBACK: Final = ("127.0.0.0/8", "::1")
"""The proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are read unless others are named."""


class PublicUrl(Value, frozen=True, kw_only=True):
    """A public address. ``origin``: scheme and host as browsers write them. ``path``: empty, or such as ``/desk``."""

    origin: str
    path: str = ""

    @property
    def host(self) -> str:
        """The host, with the port if it isn't the usual one."""
        return urlsplit(self.origin).netloc

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.origin.startswith("https://")

    def __str__(self) -> str:
        return f"{self.origin}{self.path}/"


def read_public_url(text: str | None) -> PublicUrl | None:
    """Read the setting ``--public-url``.

    Raises:
        HandoffError: it isn't an address of http or https with a host and at most a path.
    """
    if text is None:
        return None
    unusable = HandoffError(f"'{text}' can't be the public address. Write one such as https://example.org/desk.")
    scheme, separator, rest = text.strip().partition("://")
    host, slash, path = rest.partition("/")
    scheme, host, path = scheme.lower(), host.lower(), f"{slash}{path}".rstrip("/")
    if not separator or scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise unusable
    segments = path.split("/")[1:]
    if {".", ".."} & set(segments):
        raise unusable
    if segments and segments[0] in _OURS:
        raise HandoffError(
            f"The path of the public address can't begin with /{segments[0]}: the server has such a path itself."
        )
    return PublicUrl(origin=f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}", path=path)


def read_proxies(given: Sequence[str]) -> list[str]:
    """Read the setting ``--trusted-proxy``: addresses or networks; those of this machine if none is given.

    Raises:
        HandoffError: one isn't an address or a network.
    """
    for one in given:
        try:
            ipaddress.ip_network(one)
        except ValueError as problem:
            raise HandoffError(
                f"'{one}' can't be a trusted proxy ({problem}). Write an address such as 10.0.0.7, or a network such as "
                "10.0.0.0/24."
            ) from problem
    return list(given or LOOPBACK)


class BelowPath:
    """Removes the public path from requests if the proxy left it in place."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Remove the path, and call the application (ASGI)."""
        if scope["type"] in ("http", "websocket") and self._path:
            path: str = scope["path"]
            if path == self._path and scope["type"] == "http":
                # The pages' addresses are relative, so the last slash counts.
                return await RedirectResponse(URL(f"{self._path}/"), 308)(scope, receive, send)
            if path.startswith(f"{self._path}/"):
                inner = path[len(self._path) :]
                scope = {**scope, "path": inner, "raw_path": inner.encode()}
        await self._app(scope, receive, send)
