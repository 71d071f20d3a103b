"""One process to a SQLite file: a second writer would work from a memory of its own and lose what the first one knows.

Postgres has an advisory lock for the same (``store/postgres.py``); of other databases it is asked, and nothing here sees a second
process there. The lock is the operating system's, so that it is gone with the process however that ends. The command line adds
agents beside a running server: it opens the database without owning it, but who changes its schema must own it.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rasa_handoff.vocabulary.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows has no such locks; two processes on one file aren't noticed there
    fcntl = None  # type: ignore[assignment]


class DatabaseInUse(StoreError):
    """Another process owns the database."""

    def __init__(self, shown: object, owner: str) -> None:
        super().__init__(
            f"The database {shown} is in use by another process ({owner}). A database serves one "
            f"process: stop the other one, or give this one a database of its own."
        )


class Ownership:
    """The right to be the one writer of a SQLite file."""

    def __init__(self, url: str) -> None:
        self._path = _file_of(url)
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            StoreError: if another process has it, or the file can't be made.
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
        """Own it meanwhile; whoever owned it before goes on owning it.

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
        """Give it back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _file_of(url: str) -> Path | None:
    with contextlib.suppress(ArgumentError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            return Path(parsed.database)
    return None
