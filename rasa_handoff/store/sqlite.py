"""How a SQLite file is opened. Its URL may say how sure a commit is: ``sqlite:///handoff.db?synchronous=FULL``."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

OPTION: Final = "synchronous"
OLD_MODE: Final = 0o644
"""What the usual umask made of a database before."""
NORMAL: Final = "NORMAL"
CHOICES: Final = (NORMAL, "FULL")
"""What a commit outlives: a killed process; with the second a power cut too, for a wait on the disk at each commit."""


def sqlite_engine(url: URL, busy_seconds: float) -> Engine:
    """The engine; a locked file is waited for ``busy_seconds``.

    Raises:
        ArgumentError: the URL's ``synchronous`` isn't one of the choices, or it has another option.
    """
    others = sorted(set(url.query) - {OPTION})
    if others and "uri" not in url.query:  # the driver would end with a traceback
        raise ArgumentError(f"a SQLite file has the option '{OPTION}', but no '{others[0]}'")
    synchronous = str(url.query.get(OPTION, NORMAL)).upper()
    if synchronous not in CHOICES:
        raise ArgumentError(f"{OPTION} is {' or '.join(CHOICES)}, not {synchronous}")
    _keep_private(url)
    # One connection kept open: SQLAlchemy 1.4 opens a SQLite file anew for each transaction, at ten times the cost.
    engine = create_engine(
        url.difference_update_query([OPTION]),
        future=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": busy_seconds},
    )
    event.listen(engine, "connect", lambda connection, _: _tune(connection, synchronous))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _keep_private(url: URL) -> None:
    """Make the file for its owner alone: it holds what customers said. SQLite makes -wal and -shm with the same mode. One
    that an older version left readable to all is closed too; any other mode is somebody's choice, and only all others lose it.
    """
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        return
    for path in [Path(url.database + end) for end in ("", "-wal", "-shm", "-owner")]:
        with contextlib.suppress(OSError):  # somebody else's file: SQLite says what is wrong with it
            if path.exists():
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o007:
                    path.chmod(0o600 if mode == OLD_MODE else mode & ~0o007)
    with contextlib.suppress(OSError):
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))


def _tune(connection: Any, synchronous: str) -> None:
    connection.isolation_level = None  # pysqlite would begin late and commit early; SQLAlchemy begins by the listener
    for pragma in ("journal_mode=WAL", f"{OPTION}={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
