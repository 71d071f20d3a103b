"""A load balancer: it asks each process for its health, and passes connections on to those that say 200."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from types import TracebackType

import aiohttp

from rasa_handoff.store.tasks import cancel_all
from tests.chaos.proxy import Proxy

ASKED_EVERY = 0.25
"""Seconds between two questions."""
ANSWERS_WITHIN = 2.0


class Balancer:
    """``async with Balancer(urls, paths)`` listens at ``url``.

    ``paths``: the addresses to ask for the health, the first that a process knows: earlier versions don't know all.
    """

    def __init__(self, urls: Sequence[str], paths: Sequence[str]) -> None:
        self._proxy = Proxy()
        self.url = f"http://127.0.0.1:{self._proxy.port}"
        self.up: list[str] = []
        self._urls, self._paths = urls, paths

    async def __aenter__(self) -> "Balancer":
        self._asking = asyncio.create_task(self._ask())
        await self._proxy.__aenter__()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await cancel_all(self._asking)
        await self._proxy.__aexit__(kind, problem, trace)

    async def _ask(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWERS_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                answers = await asyncio.gather(*(self._is_up(http, url) for url in self._urls))
                up = [url for url, is_up in zip(self._urls, answers, strict=True) if is_up]
                if up != self.up:
                    self.up = up
                    self._proxy.upstreams = deque(int(url.rpartition(":")[2]) for url in up)
                await asyncio.sleep(ASKED_EVERY)

    async def _is_up(self, http: aiohttp.ClientSession, url: str) -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError, asyncio.TimeoutError):
            for path in self._paths:
                async with http.get(url + path) as answer:
                    if answer.status != 404:
                        return answer.status == 200
        return False
