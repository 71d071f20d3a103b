"""Sanic's HTTP connections, which the guard counts and ends. Sanic asks nobody before it takes one, so this is put between.

On the class, since Rasa names no protocol of its own; connections of other applications in the process are left alone.
"""

import asyncio
from typing import Any

from sanic import Sanic
from sanic.http import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from rasa_handoff.guard.connections import Connections

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


def _connection_made(self: Any, transport: asyncio.Transport) -> None:
    _original(self, transport)
    connections = _guarded.get(self.app)
    if connections is not None:
        connections.opened(transport, lambda: _waits_for(self))


def _waits_for(protocol: Any) -> str | None:
    """A head; bodies of other channels than ours are theirs to wait for."""
    http = getattr(protocol, "_http", None)  # set when its task begins
    if http is None or getattr(protocol, "websocket", None) is not None:
        return None
    return "head" if http.stage in (Stage.IDLE, Stage.REQUEST) else None
