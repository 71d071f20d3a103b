"""The measured system on Postgres and Redis: one or several Rasa servers, and as many live-agent servers."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg2

from rasa_handoff.testing.ports import free_port
from tests.support.postgres_server import USER, Database, Postgres, children_of
from tests.support.redis import RedisServer
from tools.bench.measure import FigureError, processor_seconds, reaped_seconds
from tools.bench.stack import RasaProcess, ServerProcess, Setup, credentials, prepare, rasa_process

POSTGRES_SETTINGS: Final = {"autovacuum": "on", "max_connections": "200", "shared_buffers": "128MB"}
"""As an installed Postgres has them, unlike the tests'. It doesn't wait for the disk, and neither does SQLite by default."""
LOOK_EVERY: Final = 0.02
"""Seconds between two looks at the transactions."""
LOOK: Final = (
    "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity "
    "WHERE datname = ANY(%s) AND backend_type = 'client backend' AND xact_start IS NOT NULL"
)


class Services:
    """``with Services() as services``: Postgres and Redis for all systems of a figure, each with its own databases."""

    def __init__(self) -> None:
        self.postgres, self.redis = Postgres(**POSTGRES_SETTINGS), RedisServer()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Services":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.postgres)
            stack.enter_context(self.redis)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that Postgres, with all its processes, and Redis have used."""
        main = self.postgres.process.pid
        ended = reaped_seconds(main)
        here = [main, *children_of(main)]
        alive = 0.0
        for pid in here:
            with contextlib.suppress(OSError):  # it has just ended
                alive += processor_seconds(pid)
        return {"Postgres": alive + ended, "Redis": processor_seconds(self.redis.process.pid)}


@dataclass
class LockWaits:
    """Counts transactions, and those that wait for a lock, by looks at Postgres' table of activities at fixed times.

    ``looks``: how often was looked; ``under_way``: transactions that were under way, of all looks; ``waiting``: those of them
    that waited for a lock of the database: of a row, of another transaction's end, of a table, an advisory lock.
    """

    databases: list[Database]
    looks: int = 0
    under_way: int = 0
    waiting: int = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look every ``LOOK_EVERY`` seconds, inside the block."""
        ends = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ends,))
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join()

    def percent(self) -> float:
        """Return how much of the time of transactions was spent waiting for locks.

        Raises:
            FigureError: no transaction was seen.
        """
        if not self.under_way:
            raise FigureError(f"No transaction was under way in {self.looks} looks: give it more SECONDS.")
        return 100 * self.waiting / self.under_way

    def _watch(self, ends: threading.Event) -> None:
        names, server = [database.name for database in self.databases], self.databases[0].server
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=server.port, user=USER, dbname="postgres")
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not ends.wait(LOOK_EVERY):
                    cursor.execute(LOOK, (names,))
                    under_way, waiting = cursor.fetchone()
                    self.looks, self.under_way, self.waiting = (
                        self.looks + 1,
                        self.under_way + under_way,
                        self.waiting + waiting,
                    )


class SharedStack:
    """``async with SharedStack(services, folder, model, processes, agents)``: so many Rasa servers and live-agent servers.

    ``urls``, ``desk_urls``: their addresses. Each Rasa server is connected to another live-agent server. ``forked``: as in
    :class:`~tools.bench.stack.RasaProcess`.
    """

    def __init__(
        self, services: Services, folder: Path, model: Path, processes: int, agents: int, forked: bool = False
    ) -> None:
        self.folder, self._services, self._model, self._processes = folder, services, model, processes
        self._setup, self._forked = Setup(agents), forked
        self._relay, self._desk, self._tracker = (services.postgres.fresh() for _ in range(3))
        self.lock_waits = LockWaits([self._relay, self._desk])
        self._rasas: list[RasaProcess] = []
        self._servers: list[ServerProcess] = []
        self.urls: list[str] = []
        self.desk_urls: list[str] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "SharedStack":
        prepare(self._desk.url, self._setup)
        bus = f"redis://127.0.0.1:{self._services.redis.port}"
        async with contextlib.AsyncExitStack() as stack:
            for number in range(1, self._processes + 1):
                folder = self._new_folder(f"server-{number}")
                server = ServerProcess(folder, self._setup, self._desk.url, ["--bus", bus])
                self._servers.append(await stack.enter_async_context(server))
                self.desk_urls.append(server.url)
            self._rasas = [self._rasa(number, desk_url, bus) for number, desk_url in enumerate(self.desk_urls, 1)]
            await asyncio.gather(*(stack.enter_async_context(rasa) for rasa in self._rasas))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def processor(self) -> dict[str, float]:
        """Return the processor seconds of each process: ``Rasa 1``, ``server 1``, ... and those of the services."""
        own = {f"Rasa {number}": processor_seconds(rasa.pid) for number, rasa in enumerate(self._rasas, 1)}
        theirs = {f"server {number}": processor_seconds(server.pid) for number, server in enumerate(self._servers, 1)}
        return {**own, **theirs, **self._services.processor()}

    def transactions(self) -> int:
        """Return how many transactions were made on the relay's and the desk's database."""
        names = ", ".join(f"'{database.name}'" for database in (self._relay, self._desk))
        query = f"SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname IN ({names})"
        return int(self._services.postgres.execute("postgres", query)[0][0])

    def _rasa(self, number: int, desk_url: str, bus: str) -> RasaProcess:
        folder, port, redis = self._new_folder(f"rasa-{number}"), free_port(), self._services.redis
        self.urls.append(f"http://127.0.0.1:{port}")
        channels = credentials(folder, desk_url, {"store": self._relay.url, "bus": bus})
        endpoints: dict[str, Any] = {
            "tracker_store": self._tracker.tracker_store(),
            "lock_store": {
                "type": "redis",
                "url": "127.0.0.1",
                "port": redis.port,
                "key_prefix": self._relay.name.replace("_", ""),
            },
        }
        return rasa_process(folder, self._model, port, channels, self._forked, endpoints=endpoints)

    def _new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder
