"""Sanic's responses: whether the answer to an HTTP request was written.

The messages in an answer count as delivered only once it was written. Sanic 21.12 signals a response before it is sent, so the
response's own ``send`` is wrapped. If the client has disconnected, ``send`` raises, or the connection's task ends before anything
was sent.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

from sanic import Blueprint
from sanic.request import Request
from sanic.response import BaseHTTPResponse


class HttpAnswer:
    """The answer to one request. ``written``: True once all of it was written, False once that is no longer possible."""

    def __init__(self) -> None:
        self.written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, written: bool) -> None:
        """Set whether the answer was written; the first call counts."""
        if not self.written.done():
            self.written.set_result(written)


_answer: ContextVar[HttpAnswer | None] = ContextVar("handoff_answer", default=None)


def answer() -> HttpAnswer | None:
    """Return the answer to the request that this task handles or was begun by; None without such a request."""
    return _answer.get()


def watch(blueprint: Blueprint) -> None:
    """Follow the answers to the requests of this blueprint. A second call changes nothing."""
    if getattr(blueprint.ctx, "handoff_watched", False):
        return
    blueprint.ctx.handoff_watched = True
    blueprint.middleware("request")(_begin)
    blueprint.middleware("response")(_follow)


async def _begin(request: Request) -> None:
    fresh = HttpAnswer()
    request.ctx.handoff_answer = fresh
    _answer.set(fresh)
    connection = asyncio.current_task()
    assert connection is not None

    def connection_ended(_: Any) -> None:
        fresh.settle(False)

    connection.add_done_callback(connection_ended)
    fresh.written.add_done_callback(lambda _: connection.remove_done_callback(connection_ended))


async def _follow(request: Request, response: Any) -> None:
    following: HttpAnswer | None = getattr(request.ctx, "handoff_answer", None)
    if following is None or not isinstance(response, BaseHTTPResponse):
        return  # a ResponseStream of Sanic's: the response that it makes for its parts comes here too, and is followed
    original = response.send

    async def send(data: Any = None, end_stream: bool | None = None) -> None:
        try:
            await original(data, end_stream)
        except BaseException:
            following.settle(False)
            raise
        without_arguments = data is None and end_stream is None  # such a call ends the stream in Sanic
        if end_stream or without_arguments:
            following.settle(True)

    response.send = send
