"""SQLite: how a file is opened, and the lock that makes one process its owner.

The URL may set the durability of commits: ``sqlite:///handoff.db?synchronous=FULL``.

One process owns a file, because a second writer would work from its own memory and overwrite what the first one knows. Postgres
has an advisory lock for this (``store/postgres.py``); other databases have no check, so one process is up to the administrator.
The lock is the operating system's and ends with the process, however that ends. The command line may add agents beside a running
server: it opens the database without owning it, but changing the schema needs ownership.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store.database_url import read_url
from rasa_handoff.store.statements import Statement

try:
    import fcntl
except ImportError:  # Windows has no such locks, so a second process on the same file isn't noticed there
    fcntl = None  # type: ignore[assignment]

_BEGIN: Final = Statement(text("BEGIN IMMEDIATE"))
OPTION: Final = "synchronous"
"""The option that a SQLite URL may have."""
OLD_MODE: Final = 0o644
"""The mode of database files made by older versions, under the usual umask."""
NORMAL: Final = "NORMAL"
CHOICES: Final = (NORMAL, "FULL")
"""Durability of a commit. It survives a killed process; with ``FULL`` a power cut too, at the cost of a disk sync per commit."""


def sqlite_engine(url: URL, busy_seconds: float) -> Engine:
    """Return the engine; it waits ``busy_seconds`` for a locked file.

    Raises:
        ArgumentError: the URL's ``synchronous`` isn't one of the choices, or it has another option.
    """
    others = sorted(set(url.query) - {OPTION})
    if others and "uri" not in url.query:  # the driver would fail with a traceback
        raise ArgumentError(f"a SQLite file has the option '{OPTION}', but no '{others[0]}'")
    synchronous = str(url.query.get(OPTION, NORMAL)).upper()
    if synchronous not in CHOICES:
        raise ArgumentError(f"{OPTION} is {' or '.join(CHOICES)}, not {synchronous}")
    _keep_private(url)
    # One connection kept open: SQLAlchemy 1.4 would open the file for each transaction, at ten times the cost.
    engine = create_engine(
        url.difference_update_query([OPTION]),
        future=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": busy_seconds},
    )
    event.listen(engine, "connect", lambda connection, _: _tune(connection, synchronous))
    event.listen(engine, "begin", lambda connection: _BEGIN.change(connection, {}))
    return engine


def _keep_private(url: URL) -> None:
    """Create the file readable by its owner alone, because it contains what customers said.

    SQLite creates -wal and -shm with the same mode. A file that an older version left readable by all is restricted too. Any
    other mode was chosen by somebody; only the access of "others" is removed.
    """
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        return
    for path in [Path(url.database + end) for end in ("", "-wal", "-shm", "-owner")]:
        with contextlib.suppress(OSError):  # another user's file: SQLite reports what is wrong with it
            if path.exists():
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o007:
                    path.chmod(0o600 if mode == OLD_MODE else mode & ~0o007)
    with contextlib.suppress(OSError):
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))


def _tune(connection: Any, synchronous: str) -> None:
    connection.isolation_level = None  # pysqlite would begin late and commit early; the listener begins instead
    for pragma in ("journal_mode=WAL", f"{OPTION}={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


class DatabaseInUse(StoreError):
    """Another process owns the database. ``owner``: what is known of it."""

    def __init__(self, shown: object, owner: str) -> None:
        super().__init__(
            f"The database {shown} is in use by another process ({owner}), and serves one: stop the other one, or give this one "
            "a database of its own. On Postgres several processes may share one (docs/operations.md)."
        )
        self.owner = owner


class Ownership:
    """The right to be the one writer of a SQLite file."""

    def __init__(self, url: str) -> None:
        self._path = file_of(url)
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Acquire the lock.

        Raises:
            StoreError: another process has it, or the file can't be made.
        """
        if self._path is None or fcntl is None:
            return
        try:
            path = self._path.with_name(self._path.name + "-owner")
            file = os.fdopen(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600), "a+")
        except OSError as problem:
            raise StoreError(f"The database {self._path} can't be opened: {problem}.") from problem
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise DatabaseInUse(self._path, owner) from problem
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Acquire the lock for the duration of the block; if this process has it already, keep it afterwards.

        Raises:
            StoreError: as :meth:`take`.
        """
        if self._file is not None:
            yield
            return
        self.take()
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite database; None for any other."""
    parsed = read_url(url)
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:"
    return Path(str(parsed.database)) if is_file else None
