"""The whole application behind its guard.

Whoever asks it under a foreign name reaches neither pages nor sockets, and an address that asks for too many pages and files is
asked to wait. What goes to ``/socket.io/`` is counted where Socket.IO is guarded: a relay that polls isn't one address there.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.refusals import escaped, shown_address
from rasa_handoff.guard.requests import HEADERS

TOO_MANY: Final = "Too many requests came from your network. Please try again in a moment."
SOCKETS: Final = "/socket.io/"
FOREIGN_HOST: Final = "This server isn't to be found under this name. Its log says what whoever runs it can do."


class GuardedApp:
    """The application with its ``guard``, which whoever runs it tells of connections and of the address it listens on."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self.guard = app, guard
        self._explained = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if not self.guard.hosts.fits(headers.get("host")):
                return await self._refuse(scope, headers, receive, send)
        if scope["type"] == "http" and SOCKETS not in scope["path"] and not self.guard.may_ask(_address(scope)):
            again = {**dict(HEADERS), "Retry-After": "1"}
            return await PlainTextResponse(TOO_MANY, 429, again)(scope, receive, send)
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        host, origin = escaped(headers["host"], 100), headers.get("origin")
        sentence = f"a request for the host {host}: this server is {self.guard.hosts}."
        if origin is not None:
            sentence += f" Its page is of {escaped(origin, 100)}."
        if not self._explained:
            self._explained = True
            sentence += (
                f" If {host} leads here by right, start the server with --allowed-host {host}, or with --public-url if it is "
                "the address of a proxy (docs/security.md)."
            )
        self.guard.refusals.note(_address(scope), "host", sentence)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # not accepted yet: answered with 403
        else:
            await PlainTextResponse(FOREIGN_HOST, 403, dict(HEADERS))(scope, receive, send)


def _address(scope: Scope) -> str:
    """Whom it counts for: the real peer, or whom a trusted proxy names."""
    client = scope.get("client")
    return shown_address(client[0] if client else None)
