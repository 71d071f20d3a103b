"""Counts the transactions of a process from outside: ``python -m tools.bench.counting FILE DATABASE MODULE ARGUMENTS``.

It runs the module as ``python -m`` does. The number of transactions that were begun on the database with this file name stands in
FILE, which both processes have in memory; counting takes less than a microsecond.
"""

import contextlib
import mmap
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import event

SIZE: Final = 8
"""Bytes of the number."""


class Transactions:
    """The number of transactions in a file, which is made if it isn't there."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)

    def add(self) -> None:
        """Count one more; only one thread of one process does this."""
        self._memory[:] = (self.count() + 1).to_bytes(SIZE, sys.byteorder)

    def count(self) -> int:
        """Return how many were counted."""
        return int.from_bytes(self._memory[:], sys.byteorder)


@contextlib.contextmanager
def counted(path: Path, database: str) -> Iterator[Transactions]:
    """Count this process's transactions on the database with this file name."""
    transactions = Transactions(path)

    def count(connection: Any) -> None:
        if str(connection.engine.url.database).endswith(database):
            transactions.add()

    event.listen(sqlalchemy.engine.Engine, "begin", count)
    try:
        yield transactions
    finally:
        event.remove(sqlalchemy.engine.Engine, "begin", count)


def main() -> None:
    """Run a module, and count its transactions."""
    file, database, module, *arguments = sys.argv[1:]
    if module == "rasa":
        import skops.io  # type: ignore[import-untyped]  # noqa: F401 - before Rasa: tools/rasa_command.py says why
    sys.argv = [module, *arguments]
    with counted(Path(file), database):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
