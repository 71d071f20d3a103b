"""Sanic's HTTP connections: counted and limited by the guard, and closed when the server stops.

Sanic has no hook before it accepts a connection, so ``connection_made`` is wrapped. It is wrapped on Sanic's protocol class,
which Rasa's server uses as it is. Connections of other applications in the process are left alone.

On a stop, Sanic 21.12 closes the connections that are idle at one moment and waits up to 15 s for the others. With Rasa's
keep-alive of 120 s, a reverse proxy's busy connection stays open all that time, and Docker kills the process after 10 s. So each
answer given after the stop began is its connection's last, and Sanic waits ``GRACE`` seconds.
"""

import asyncio
from functools import wraps
from typing import Any, Final

from sanic import Sanic
from sanic.exceptions import PayloadTooLarge
from sanic.http import Stage
from sanic.request import Request
from sanic.server.protocols.http_protocol import HttpProtocol

from rasa_handoff.channel.compat.patches import Patches
from rasa_handoff.guard.connections import Connections
from rasa_handoff.guard.refusals import Refusals, shown_address
from rasa_handoff.protocol.limits import Limits

WEBHOOKS: Final = "/webhooks/"
"""The path below which Rasa mounts its channels."""

GRACE: Final = 2.0
"""Seconds that Sanic waits for connections in use, once what was under way at the stop is finished."""

_guarded: dict[Sanic, Connections] = {}


class ClosingConnections:
    """Closes the connections of one application with their next answer, once the server stops."""

    def __init__(self, app: Sanic) -> None:
        self._app, self._closing = app, False
        app.register_middleware(self._close_after, "response")

    def close_from_now_on(self) -> None:
        """Make each answer from now on close its connection, and Sanic wait for those that are given now only briefly."""
        self._closing = True
        config = self._app.config
        config.GRACEFUL_SHUTDOWN_TIMEOUT = min(config.GRACEFUL_SHUTDOWN_TIMEOUT, GRACE)

    async def _close_after(self, request: Request, _: Any) -> None:
        if self._closing and request.stream is not None:
            request.stream.keep_alive = False


def watch(app: Sanic, connections: Connections) -> None:
    """Count the connections of this application from now on. Undone by :func:`unwatch`."""
    _guarded[app] = connections
    PATCHES.apply()


def unwatch(app: Sanic) -> None:
    """Stop counting; without any application left, Sanic is as before."""
    _guarded.pop(app, None)
    if not _guarded:
        PATCHES.restore()


def bound_bodies(app: Sanic, longest: int = Limits().webhook_bytes, refusals: Refusals | None = None) -> None:
    """Limit the bodies of requests to channels, since Sanic reads up to 100 MB into memory.

    Must be called before the application starts: Sanic ignores signal handlers registered later. A second call changes nothing.
    """
    if getattr(app.ctx, "handoff_bounds_bodies", False):
        return
    app.ctx.handoff_bounds_bodies = True
    noted = refusals or Refusals()

    async def bound(request: Request, **_: Any) -> None:
        if request.path.startswith(WEBHOOKS) and request.stream is not None:
            request.stream.request_max_size = longest

    async def note(request: Request, exception: Exception, **_: Any) -> None:
        if isinstance(exception, PayloadTooLarge) and request is not None and request.path.startswith(WEBHOOKS):
            noted.note(shown_address(request.ip), "http 413", f"a webhook's body has more than {longest} bytes.")

    app.signal("http.routing.after")(bound)
    app.signal("http.lifecycle.exception")(note)


def _reporting(original: Any) -> Any:
    @wraps(original)
    def connection_made(self: HttpProtocol, transport: asyncio.Transport) -> None:
        original(self, transport)
        connections = _guarded.get(self.app)
        if connections is not None:
            connection = _OpenConnection(self)
            self.loop.call_soon(connection.begin)  # right after Sanic's own task has begun, before anything is read
            connections.opened(transport, connection.waits_for)

    return connection_made


class _OpenConnection:
    """A connection, and what it waits for."""

    def __init__(self, protocol: Any) -> None:
        self._protocol, self._began = protocol, None

    def begin(self) -> None:
        """Note the connection's time of last activity, before anything is read or written."""
        self._began = self._protocol._time

    def waits_for(self) -> tuple[str | None, Any]:
        """Return what the connection waits for (``Waiting`` in guard/connections.py), without an object for the request.

        That is None while a body is awaited, whose time is up to the channel.
        """
        protocol = self._protocol
        http = getattr(protocol, "_http", None)  # set when the connection's task begins
        if http is None or getattr(protocol, "websocket", None) is not None:
            return None, None
        if http.stage is Stage.IDLE:
            return ("head" if protocol._time == self._began else "next"), None
        return ("head" if http.stage is Stage.REQUEST else None), None


PATCHES: Final = Patches(HttpProtocol, {"connection_made": _reporting})
