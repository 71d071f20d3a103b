"""Whether the answer to an HTTP request was written: only then do words that were put into it count as delivered.

Sanic 21.12 tells of a response before it is sent, so the response's own ``send`` is watched. A client that is gone makes it
raise, or ends the connection's task before anything was sent.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

from sanic import Blueprint
from sanic.request import Request
from sanic.response import BaseHTTPResponse


class Answer:
    """The answer to one request. ``fate``: True when all of it was written, False when it can't be any more."""

    def __init__(self) -> None:
        self.fate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, written: bool) -> None:
        """The first word about it counts."""
        if not self.fate.done():
            self.fate.set_result(written)


_answer: ContextVar[Answer | None] = ContextVar("handoff_answer", default=None)


def answer() -> Answer | None:
    """The answer to the request this task handles, or was begun by; None where there is no such request."""
    return _answer.get()


def watch(blueprint: Blueprint) -> None:
    """Follow the answers to the requests of this blueprint. Watched already, nothing changes."""
    if getattr(blueprint.ctx, "handoff_watched", False):
        return
    blueprint.ctx.handoff_watched = True
    blueprint.middleware("request")(_begin)
    blueprint.middleware("response")(_follow)


async def _begin(request: Request) -> None:
    fresh = Answer()
    request.ctx.handoff_answer = fresh
    _answer.set(fresh)
    connection = asyncio.current_task()
    assert connection is not None

    def over(_: Any) -> None:
        fresh.settle(False)

    connection.add_done_callback(over)
    fresh.fate.add_done_callback(lambda _: connection.remove_done_callback(over))


async def _follow(request: Request, response: Any) -> None:
    following: Answer | None = getattr(request.ctx, "handoff_answer", None)
    if following is None or not isinstance(response, BaseHTTPResponse):
        return  # a stream comes here once as itself and once as the response it is written to
    original = response.send

    async def send(data: Any = None, end_stream: bool | None = None) -> None:
        try:
            await original(data, end_stream)
        except BaseException:
            following.settle(False)
            raise
        if end_stream or (data is None and end_stream is None):
            following.settle(True)

    response.send = send
