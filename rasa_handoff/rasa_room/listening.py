"""Sanic's HTTP connections, which the guard counts and ends. Sanic asks nobody before it takes one, so this is put between.

On the class, since Rasa names no protocol of its own; connections of other applications in the process are left alone.
"""

import asyncio
from typing import Any, Final

from sanic import Sanic
from sanic.exceptions import PayloadTooLarge
from sanic.http import Stage
from sanic.request import Request
from sanic.server.protocols.http_protocol import HttpProtocol

from rasa_handoff.guard.connections import Connections
from rasa_handoff.guard.refusals import Refusals, shown_address
from rasa_handoff.vocabulary.limits import Limits

WEBHOOKS: Final = "/webhooks/"
"""Below this Rasa mounts its channels."""

_original = HttpProtocol.connection_made
_guarded: dict[Sanic, Connections] = {}


def watch(app: Sanic, connections: Connections) -> None:
    """Count the connections of this application from now on."""
    _guarded[app] = connections
    HttpProtocol.connection_made = _connection_made


def leave(app: Sanic) -> None:
    """No longer; with no application left Sanic is as it was."""
    _guarded.pop(app, None)
    if not _guarded:
        HttpProtocol.connection_made = _original


def bound_bodies(app: Sanic, longest: int = Limits().webhook_bytes, refusals: Refusals | None = None) -> None:
    """Requests to channels have bodies of at most so many bytes: Sanic takes 100 MB into memory. Called before the application
    starts, since Sanic asks only those that have registered by then; a second time does nothing."""
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


def _connection_made(self: Any, transport: asyncio.Transport) -> None:
    _original(self, transport)
    connections = _guarded.get(self.app)
    if connections is not None:
        connection = _Connection(self)
        self.loop.call_soon(connection.begin)  # right after Sanic's own task has begun, before anything is read
        connections.opened(transport, connection.waits_for)


class _Connection:
    """A connection of Sanic's, and what it waits for."""

    def __init__(self, protocol: Any) -> None:
        self._protocol, self._began = protocol, None

    def begin(self) -> None:
        """Nothing has come or gone yet."""
        self._began = self._protocol._time

    def waits_for(self) -> tuple[str | None, Any]:
        """A head, or the next request. Bodies of other channels than ours are theirs to wait for."""
        protocol = self._protocol
        http = getattr(protocol, "_http", None)  # set when its task begins
        if http is None or getattr(protocol, "websocket", None) is not None:
            return None, None
        if http.stage is Stage.IDLE:
            return ("head" if protocol._time == self._began else "next"), None
        return ("head" if http.stage is Stage.REQUEST else None), None
