"""uvicorn's HTTP, whose connections the guard counts and ends.

h11 by name: it bounds a request's head to 16 kB, and httptools, which uvicorn prefers, bounds nothing.
"""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rasa_handoff.guard.connections import Connections

PARTS: Final = {h11.IDLE: "head", h11.SEND_BODY: "body"}
"""What is waited for in each state of the client's."""


def guarded_http(connections: Connections) -> type[H11Protocol]:
    """The protocol class for ``uvicorn.Config(http=...)``."""

    class GuardedHttp(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            connections.opened(transport, self._waits_for)

        def _waits_for(self) -> tuple[str | None, Any]:
            transport: Any = self.transport
            if transport.get_protocol() is not self:  # a websocket by now
                return None, None
            begun = bool(self.conn.trailing_data[0])  # of a head
            if self.conn.their_state is h11.IDLE and self.cycle is not None and not begun:
                return "next", self.cycle
            return PARTS.get(self.conn.their_state), self.cycle

    return GuardedHttp
