"""A request of ASGI or Sanic: its head, its body within the limits, and its refusal."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

from rasa_handoff.guard.socketio_requests import Head, read_query

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

REASONS = {
    400: "400 BAD REQUEST",
    403: "403 FORBIDDEN",
    405: "405 METHOD NOT ALLOWED",
    413: "413 PAYLOAD TOO LARGE",
    429: "429 TOO MANY REQUESTS",
}


class UnreadableBody(Exception):
    """The body is too long, came too slowly, or was cut off."""


class AsgiRequest:
    """A request of ASGI.

    ``arguments``: with which the Engine.IO server is called afterwards; once :meth:`read` was called, they give it that body.
    """

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
            query=read_query(scope.get("query_string", b"").decode("utf-8", "replace")),
            headers=headers,
            version=scope.get("http_version", "1.1"),
        )
        # For the answer to a refused request: as to a GET, whatever its method. Only an accepted OPTIONS gets more headers.
        self.environ = {"asgi.scope": scope, "asgi.send": send, "asgi.receive": receive, "REQUEST_METHOD": "GET"}
        self.arguments: tuple[Any, ...] = (scope, receive, send)

    async def read(self, longest: int, seconds: float) -> bytes:
        """Read the body.

        Raises:
            UnreadableBody: the body is too long, too slow, or can't be read.
        """
        if self._scope["type"] != "http":
            return b""
        try:
            body = await asyncio.wait_for(self._read(longest), seconds)
        except asyncio.TimeoutError:
            raise UnreadableBody(f"the body didn't come within {seconds:g} s") from None

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        self.arguments = (self._scope, again, self._send)
        return body

    async def _read(self, longest: int) -> bytes:
        pieces, length, more = [], 0, True
        while more:
            event = await self._receive()
            if event["type"] != "http.request":
                raise UnreadableBody("the body was cut off")
            pieces.append(event.get("body") or b"")
            length += len(pieces[-1])
            if length > longest:
                raise UnreadableBody(f"the body has more than {longest} bytes")
            more = bool(event.get("more_body"))
        return b"".join(pieces)

    def leave_unread(self) -> None:
        """Leave the body unread: uvicorn then closes the connection by itself."""


class SanicRequest:
    """A request of Sanic, whose handlers read the body themselves if they have ``is_stream``."""

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
            query=read_query(request.query_string or ""),
            headers=headers,
            version=request.version,
        )
        self.environ = {"sanic.request": request, "REQUEST_METHOD": "GET"}
        self.arguments: tuple[Any, ...] = (request,)

    async def read(self, longest: int, seconds: float) -> bytes:
        """Read the body.

        Raises:
            UnreadableBody: the body is too long, too slow, or can't be read.
        """
        stream = self._request.stream
        if stream is None or not stream.request_body:
            return b""
        stream.request_max_size = longest
        try:
            await asyncio.wait_for(self._request.receive_body(), seconds)
        except asyncio.TimeoutError:
            raise UnreadableBody(f"the body didn't come within {seconds:g} s") from None
        except Exception as problem:  # Sanic's own, PayloadTooLarge among them
            raise UnreadableBody(f"the body can't be read ({type(problem).__name__})") from problem
        return bytes(self._request.body)

    async def pieces(self, longest: int, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes. ``longest``: its bytes at most. ``seconds``: how long each piece may take.

        Raises:
            UnreadableBody: the body is too long, too slow, or was cut off.
        """
        stream = self._request.stream
        if stream is None or not stream.request_body:
            return
        stream.request_max_size = longest
        while True:
            try:
                piece = await asyncio.wait_for(stream.read(), seconds)
            except asyncio.TimeoutError:
                raise UnreadableBody(f"nothing of the body came for {seconds:g} s") from None
            except Exception as problem:
                raise UnreadableBody(f"the body can't be read ({type(problem).__name__})") from problem
            if not piece:
                return
            yield piece

    def leave_unread(self) -> None:
        """Close the connection without the rest of the body, which Sanic would otherwise read first."""
        if (stream := self._request.stream) is not None and stream.request_body:
            stream.request_body, stream.keep_alive = None, False


def request_of(arguments: tuple[Any, ...]) -> AsgiRequest | SanicRequest:
    """Return the request for the arguments with which the Engine.IO server is called."""
    return AsgiRequest(*arguments) if len(arguments) == 3 else SanicRequest(*arguments)
