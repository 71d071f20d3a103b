"""Where tests keep what both sides store: SQLite files, or databases on a Postgres that processes share, with one of two buses.

A test says which file it would use, and gets the URL of that file, or of a database that stands for it until the test ends. Which
of both is for the fixture ``databases`` to say (``tests/conftest.py``).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.postgres_server import Database, Postgres

SQLITE: Final = "sqlite"
NOTIFY: Final = "postgres-notify"
REDIS: Final = "postgres-redis"
KINDS: Final = (SQLITE, NOTIFY, REDIS)
"""What a test may run on. The two on Postgres have the names of their buses."""


class Databases:
    """SQLite files."""

    kind: str = SQLITE
    bus: str | None = None
    """The URL of the bus; None: the database's own, if it has one."""

    @property
    def shared(self) -> bool:
        """Whether several processes may share a database."""
        return self.kind != SQLITE

    def url(self, file: Path) -> str:
        """Return the URL of the database that this file is, or that stands for it."""
        return f"sqlite:///{file}"

    def desk(self, folder: Path) -> dict[str, Any]:
        """Return where a ``DeskServer`` of this folder stores, and by which bus it hears of others."""
        return {"database": self.url(folder / "desk.db"), "bus": self.bus}

    def relay(self, folder: Path) -> dict[str, Any]:
        """Return the same of a relay, as keys of ``credentials.yml``."""
        return {"store": self.url(folder / "relay.db"), **({"bus": self.bus} if self.bus else {})}


class OnPostgres(Databases):
    """Databases on a Postgres. ``bus``: the URL of a Redis; None: LISTEN/NOTIFY."""

    def __init__(self, server: Postgres, bus: str | None) -> None:
        self.kind, self.bus = REDIS if bus else NOTIFY, bus
        self._server, self._made = server, dict[Path, Database]()

    def url(self, file: Path) -> str:
        if file not in self._made:
            self._made[file] = self._server.fresh()
        return self._made[file].url

    def drop(self) -> None:
        """Drop all databases."""
        self._server.go_on()
        for database in self._made.values():
            self._server.drop(database)
        self._made.clear()


FILES: Final = Databases()
_current: list[Databases] = [FILES]


def current() -> Databases:
    """Return where the test that runs now keeps what it stores."""
    return _current[-1]


@contextlib.contextmanager
def using(databases: Databases) -> Iterator[Databases]:
    """Make these the current ones inside the block."""
    _current.append(databases)
    try:
        yield databases
    finally:
        _current.pop()
