"""Letting go of HTTP connections when the server stops.

Sanic 21.12 closes the connections that are idle at one moment and waits up to 15 s for the others. With Rasa's keep-alive of
120 s a reverse proxy's busy connection stays open all that time, and Docker kills after 10 s. So every answer given from the
stop on is its connection's last.
"""

from typing import Any

from sanic import Sanic
from sanic.request import Request


class Connections:
    """The connections of one application."""

    def __init__(self, app: Sanic) -> None:
        self._leaving = False
        app.register_middleware(self._let_go, "response")

    def leave(self) -> None:
        """From now on each answer closes its connection."""
        self._leaving = True

    async def _let_go(self, request: Request, _: Any) -> None:
        if self._leaving and request.stream is not None:
            request.stream.keep_alive = False
