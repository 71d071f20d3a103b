"""A request as ASGI and as Sanic have it: its head, its body within the limits, and how it is refused."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rasa_handoff.guard.requests import Head, read_query

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLong(Exception):
    """The body is longer than it may be, came too slowly, or was cut off."""


class AsgiRequest:
    """``arguments``: what the Engine.IO server is called with, once the body has been read."""

    def __init__(self, scope: Any, receive: Receive, send: Any) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        self.head = Head(
            address=str((scope.get("client") or ("unix",))[0]),
            method=scope.get("method", "GET"),
            asked=read_query(scope.get("query_string", b"").decode("utf-8", "replace")),
            headers=headers,
            version=scope.get("http_version", "1.1"),
        )
        self.environ = {"asgi.scope": scope, "asgi.send": send, "asgi.receive": receive, "REQUEST_METHOD": "GET"}
        self.arguments: tuple[Any, ...] = (scope, receive, send)

    async def read(self, longest: int, seconds: float) -> bytes:
        """The body.

        Raises:
            TooLong: it isn't to be had.
        """
        if self._scope["type"] != "http":
            return b""
        try:
            body = await asyncio.wait_for(self._read(longest), seconds)
        except asyncio.TimeoutError:
            raise TooLong(f"the body didn't come within {seconds:g} s") from None

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        self.arguments = (self._scope, again, self._send)
        return body

    async def _read(self, longest: int) -> bytes:
        pieces, length, more = [], 0, True
        while more:
            event = await self._receive()
            if event["type"] != "http.request":
                raise TooLong("the body was cut off")
            pieces.append(event.get("body") or b"")
            length += len(pieces[-1])
            if length > longest:
                raise TooLong(f"the body has more than {longest} bytes")
            more = bool(event.get("more_body"))
        return b"".join(pieces)

    def leave_unread(self) -> None:
        """uvicorn closes a connection whose body wasn't read."""


class SanicRequest:
    """The same for Sanic, whose handlers read the body themselves if they say so (``is_stream``)."""

    def __init__(self, request: Any) -> None:
        self._request = request
        peer = request.transport.get_extra_info("peername")
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        self.head = Head(
            address=str(peer[0]) if isinstance(peer, tuple) and peer else "unix",
            method=request.method,
            asked=read_query(request.query_string or ""),
            headers=headers,
            version=request.version,
        )
        self.environ = {"sanic.request": request, "REQUEST_METHOD": "GET"}
        self.arguments: tuple[Any, ...] = (request,)

    async def read(self, longest: int, seconds: float) -> bytes:
        """The body.

        Raises:
            TooLong: it isn't to be had.
        """
        stream = self._request.stream
        if stream is None or not stream.request_body:
            return b""
        stream.request_max_size = longest
        try:
            await asyncio.wait_for(self._request.receive_body(), seconds)
        except asyncio.TimeoutError:
            raise TooLong(f"the body didn't come within {seconds:g} s") from None
        except Exception as problem:  # Sanic's own, PayloadTooLarge among them
            raise TooLong(f"the body can't be read ({type(problem).__name__})") from problem
        return bytes(self._request.body)

    def leave_unread(self) -> None:
        """Or Sanic reads the rest of the body before it closes."""
        if (stream := self._request.stream) is not None and stream.request_body:
            stream.request_body, stream.keep_alive = None, False


REASONS = {
    400: "400 BAD REQUEST",
    403: "403 FORBIDDEN",
    405: "405 METHOD NOT ALLOWED",
    413: "413 PAYLOAD TOO LARGE",
    429: "429 TOO MANY REQUESTS",
}


def request_of(arguments: tuple[Any, ...]) -> AsgiRequest | SanicRequest:
    """Which it is, by what the Engine.IO server is called with."""
    return AsgiRequest(*arguments) if len(arguments) == 3 else SanicRequest(*arguments)
