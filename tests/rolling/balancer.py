"""A load balancer: it asks each process for its health, and passes connections on to those that say 200."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from types import TracebackType

import aiohttp

from rasa_handoff.testing.ports import free_port

ASKED_EVERY = 0.25
"""Seconds between two questions."""
ANSWERS_WITHIN = 2.0
CHUNK = 65536


class Balancer:
    """``async with Balancer(urls, paths)`` listens at ``url``.

    ``paths``: the addresses to ask for the health, the first that a process knows: earlier versions don't know all.
    """

    def __init__(self, urls: Sequence[str], paths: Sequence[str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.up: list[str] = []
        self._urls, self._paths = urls, paths
        self._turn = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Balancer":
        self._asking = asyncio.create_task(self._ask())
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        tasks = [self._asking, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWERS_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                answers = await asyncio.gather(*(self._is_up(http, url) for url in self._urls))
                self.up = [url for url, is_up in zip(self._urls, answers, strict=True) if is_up]
                await asyncio.sleep(ASKED_EVERY)

    async def _is_up(self, http: aiohttp.ClientSession, url: str) -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError, asyncio.TimeoutError):
            for path in self._paths:
                async with http.get(url + path) as answer:
                    if answer.status != 404:
                        return answer.status == 200
        return False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = next(self._turn)
        for step in range(len(self.up)):
            port = int(self.up[(turn + step) % len(self.up)].rpartition(":")[2])
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:  # it ended since it was asked
                continue
            ways = [asyncio.create_task(_pass(reader, far_writer)), asyncio.create_task(_pass(far_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                with contextlib.suppress(OSError):
                    await writer.drain()
                    writer.close()  # what was written still arrives
                    await asyncio.wait_for(writer.wait_closed(), 1)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                far_writer.close()
            return


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()
