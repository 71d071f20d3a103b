"""Faults of a run with several servers of each kind: single workers, Postgres, Redis, and servers ended one after the other."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from tests.chaos.faults import Faults
from tests.chaos.plan import Fault
from tests.chaos.process import Kept
from tests.chaos.proxy import WAYS
from tests.chaos.topology import Many
from tests.chaos.world import World

HELD_SECONDS: Final = 14.0
"""The longest stop: longer than a process's lease, so that others take over."""
ALONE_SECONDS: Final = 4.0
"""How long a killed worker is missed; then its server is ended and started again, since Sanic starts no other worker."""
TABLES: Final = {"relay": "conversation, outbox", "desk": "handoffs, outbox"}
"""What is locked in each database."""


class FaultsOfMany(Faults):
    """They come one after the other: each when all servers have recovered from the one before."""

    def __init__(self, world: World, topology: Many) -> None:
        super().__init__(world)
        self.topology = topology
        self.kinds |= {
            "Rasa: stopped longer than its lease": lambda fault: self.rasa(fault).stop(HELD_SECONDS),
            "Rasa: SIGTERM, restart": lambda fault: self._end(self.rasa(fault)),
            "Rasa worker: kill -9": self._kill_worker,
            "Rasa worker: SIGSTOP, SIGCONT": self._stop_worker,
            "rolling restart: Rasa with another model": self._roll_rasa,
            "rolling restart: desk": lambda fault: self._roll(self.world.desks),
            "desk: stopped longer than its lease": lambda fault: self.desk(fault).stop(HELD_SECONDS),
            "desk: SIGTERM, restart": lambda fault: self._end(self.desk(fault)),
            "Postgres: kill -9": lambda fault: _away(topology.postgres.away),
            "Postgres: SIGSTOP, SIGCONT": lambda fault: self._while(topology.postgres.stopped, _seconds(fault)),
            "Postgres: connections cut": lambda fault: topology.to_postgres.refuse(2 * fault.size),
            "Postgres: half-open": lambda fault: topology.to_postgres.half_open(_seconds(fault), _ways(fault)),
            "Postgres: locked": self._lock,
            "Redis: kill -9": lambda fault: _away(topology.redis.away),
            "Redis: SIGSTOP, SIGCONT": lambda fault: self._while(topology.redis.stopped, _seconds(fault)),
            "Redis: connections cut": lambda fault: topology.to_redis.refuse(2 * fault.size),
            "Redis: half-open": lambda fault: topology.to_redis.half_open(_seconds(fault), _ways(fault)),
            "Redis: subscribers cut, 33 MB published": self._deafen,
        }

    async def begin(self, fault: Fault) -> None:
        await self.do(fault)
        began = time.monotonic()
        try:
            await self.world.wait_until_ready()
        except AssertionError as problem:
            self.world.book.finding("stuck", fault.kind, str(problem))
        self.world.book.note("ready", fault.kind, seconds=round(time.monotonic() - began, 1))

    async def _end(self, server: Kept) -> None:
        starts = server.starts
        server.end()
        await server.wait_until_started_again(starts)

    async def _roll(self, servers: Sequence[Kept]) -> None:
        """End one server after the other, each when the one before serves again."""
        for server in servers:
            await self._end(server)
            await self.world.wait_until_ready()

    async def _roll_rasa(self, fault: Fault) -> None:
        self.world.newer_model()
        await self._roll(self.world.rasas)

    async def _kill_worker(self, fault: Fault) -> None:
        server = self.rasa(fault)
        if workers := server.workers():
            os.kill(workers[int(fault.pick * len(workers))], signal.SIGKILL)
            await asyncio.sleep(ALONE_SECONDS * fault.size)
        await self._end(server)

    async def _stop_worker(self, fault: Fault) -> None:
        workers = self.rasa(fault).workers()
        worker = workers[int(fault.pick * len(workers))]
        os.kill(worker, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.2 + HELD_SECONDS * fault.size**2)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)

    async def _lock(self, fault: Fault) -> None:
        side = "relay" if fault.pick < 0.5 else "desk"
        database = self.topology.relay if side == "relay" else self.topology.desk
        await self._while(lambda: database.locked(*TABLES[side].split(", ")), _seconds(fault))

    async def _while(self, trouble: Callable[[], AbstractContextManager[None]], seconds: float) -> None:
        """Have a service in trouble for a while."""
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, trouble())
            await asyncio.sleep(seconds)
            await asyncio.to_thread(stack.close)

    async def _deafen(self, fault: Fault) -> None:
        """Cut the subscribers, and publish what fills their buffers before they have come again."""
        await asyncio.to_thread(self.topology.redis.cut_subscribers)
        await asyncio.to_thread(self.topology.publish_much)


def _away(trouble: Callable[[], AbstractContextManager[None]]) -> Awaitable[None]:
    """Kill a service, and start it again at once."""

    def kill_and_start() -> None:
        with trouble():
            pass

    return asyncio.to_thread(kill_and_start)


def _seconds(fault: Fault) -> float:
    return 0.3 + 7 * fault.size**2


def _ways(fault: Fault) -> tuple[str, ...]:
    return WAYS[int(fault.pick * len(WAYS))]
