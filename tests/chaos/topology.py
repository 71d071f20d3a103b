"""What the servers of a run stand on: one of each with files in SQLite, or two of each with Postgres and Redis."""

import abc
import asyncio
import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

from redis import Redis

from rasa_handoff.store.membership import LEASE
from tests.chaos.proxy import Proxy
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer

Tracker = Literal["sqlite", "postgres"]

DISK = 256 << 20
"""Bytes of the small disk: more than a run of a thousand faults writes, so that only a fault fills it."""
MEDIA_DISK = 128 << 20
"""Bytes of the disk of each side's media store."""
MUCH = 33 << 20
"""Bytes of one message that Redis cuts a subscriber off for."""


class Topology(abc.ABC):
    """How many servers of each kind there are, and their databases: ``async with``.

    ``databases``: the SQLAlchemy URL of each side's database, as the servers reach it. ``direct``: the same past the proxies, for
    the harness. ``lock_store``: Rasa's, in ``endpoints.yml``; None for the one in memory.
    """

    name: str
    servers: int
    """Rasa servers, and live-agent servers as many."""
    workers: int
    """Processes of a Rasa server."""
    databases: dict[str, str]
    direct: dict[str, str]
    lock_store: dict[str, Any] | None = None
    bus: str | None = None

    def __init__(self, folder: Path, disk: bool = True) -> None:
        self.folder = folder
        self.media_disks = {side: folder / f"media-of-{side}" for side in ("relay", "desk")}
        """The disks of the sides' media stores: the relay's is a folder, the desk's is in S3, which keeps it there."""
        for one in self.media_disks.values():
            one.mkdir()
        mounted = [_mount(one, MEDIA_DISK) for one in self.media_disks.values()] if disk else [False]
        self.media_mounted = all(mounted)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Topology":
        if self.media_mounted:
            for one in self.media_disks.values():
                self._stack.callback(_unmount, one)
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *problem: Any) -> None:
        await self._stack.aclose()

    @abc.abstractmethod
    async def _open(self) -> None:
        """Start what the servers need, and set the addresses."""

    @abc.abstractmethod
    def tracker_store(self) -> dict[str, Any]:
        """Return the tracker store's entry in ``endpoints.yml``."""

    async def is_ready(self) -> bool:
        """Return whether all processes of both sides are at work, as far as the databases say."""
        return True


class One(Topology):
    """One of each, on SQLite files. ``disk``: whether they get a small disk, which can be filled."""

    name = "one"
    servers = workers = 1

    def __init__(self, folder: Path, disk: bool = True, tracker: Tracker = "sqlite") -> None:
        super().__init__(folder, disk)
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.mounted = disk and _mount(self.disk, DISK)
        self.files = {side: self.disk / f"{side}.db" for side in ("relay", "desk", "tracker")}
        self.databases = self.direct = {side: f"sqlite:///{self.files[side]}" for side in ("relay", "desk")}
        self.to_tracker: Proxy | None = None
        self._tracker, self._trackers = tracker, {}

    async def _open(self) -> None:
        self._stack.callback(self._leave_disk)
        self._trackers = {"type": "SQL", "dialect": "sqlite", "db": str(self.files["tracker"])}
        if self._tracker == "postgres":
            server = self._stack.enter_context(Postgres())
            self.to_tracker = await self._stack.enter_async_context(Proxy(server.port))
            self._trackers = server.fresh().tracker_store(self.to_tracker.port)

    def tracker_store(self) -> dict[str, Any]:
        return self._trackers

    def _leave_disk(self) -> None:
        if self.mounted:
            shutil.copytree(self.disk, self.folder / "databases", ignore=shutil.ignore_patterns(".ballast*"))
            _unmount(self.disk)


class Many(Topology):
    """Two Rasa servers with two workers each and two live-agent servers, on one Postgres and one Redis, behind proxies."""

    name = "many"
    servers = workers = 2

    async def _open(self) -> None:
        # A commit must outlive a kill of the server.
        self.postgres = self._stack.enter_context(Postgres(synchronous_commit="on", max_connections="120"))
        self.redis = self._stack.enter_context(RedisServer())
        self.to_postgres = await self._stack.enter_async_context(Proxy(self.postgres.port))
        self.to_redis = await self._stack.enter_async_context(Proxy(self.redis.port))
        self.relay, self.desk, self._trackers = (self.postgres.fresh() for _ in range(3))
        sides: dict[str, Database] = {"relay": self.relay, "desk": self.desk}
        self.databases = {side: database.url_at(self.to_postgres.port) for side, database in sides.items()}
        self.direct = {side: database.url for side, database in sides.items()}
        self.lock_store = {"type": "redis", "url": "127.0.0.1", "port": self.to_redis.port}
        self.bus = self.redis.url_at(self.to_redis.port)

    def tracker_store(self) -> dict[str, Any]:
        return self._trackers.tracker_store(self.to_postgres.port)

    async def is_ready(self) -> bool:
        there = await asyncio.gather(*(asyncio.to_thread(self.processes, side) for side in ("relay", "desk")))
        return there == [self.servers * self.workers, self.servers]

    def processes(self, side: str) -> int:
        """Return how many processes of a side are at work; 0 if its database can't say. Ended ones aren't counted twice: as
        long as one that was killed still has its lease, there are as many as there should be only without its successor."""
        database = self.relay if side == "relay" else self.desk
        at_work = f"seen_at > extract(epoch from clock_timestamp()) - {LEASE}"
        connected = "and connected" if side == "relay" else ""
        with contextlib.suppress(Exception):
            ((count,),) = database.execute(f"select count(*) from process where {at_work} {connected}")
            return int(count)
        return 0

    def answers(self) -> bool:
        """Return whether Postgres answers a statement."""
        return self.postgres.execute("postgres", "select 1") == [(1,)]

    def publish_much(self) -> None:
        """Publish more than Redis keeps for a subscriber (32 MB), on every channel that has subscribers, and on one without."""
        with Redis(port=self.redis.port) as client:
            for channel in [*client.pubsub_channels(), b"elsewhere"]:
                client.publish(channel, bytes(MUCH))

    def bus_answers(self) -> bool:
        """Return whether Redis answers."""
        with Redis(port=self.redis.port, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())


def _mount(folder: Path, size: int) -> bool:
    """Mount a small disk, which can be filled without harm, and return whether that worked; only root can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        return False
    if shutil.disk_usage(folder).total <= size:
        return True
    _unmount(folder)  # not every kernel minds the size
    return False


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=False)
