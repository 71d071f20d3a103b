"""The changes that a transaction makes in the outbox, for the dispatcher, which keeps a part of it in memory.

The outbox notes each entry that it puts or removes. After the commit the store passes the changes to its listeners, in the order
of the commits and before the callers get their answers. What a transaction or a savepoint rolls back isn't among them. So is what
other processes have to know (``change_log.py``), which is written by one statement at the end of the transaction.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine

from rasa_handoff.protocol.values import Value
from rasa_handoff.store.statements import Statement

KEY: Final = "rasa_handoff_changes"
_SAVEPOINT: Final = Statement(text("SAVEPOINT handoff"))
_RELEASE: Final = Statement(text("RELEASE SAVEPOINT handoff"))
_ROLL_BACK: Final = Statement(text("ROLLBACK TO SAVEPOINT handoff"))


class Put(Value, frozen=True):
    """An entry that was put, with its key. ``previous``: the key of the one before it, where several processes put."""

    entry: Any
    previous: int | None = None


class Removed(Value, frozen=True):
    """An entry that has left the outbox."""

    lane_key: tuple[str, str]

    key: int


class LoggedRow(NamedTuple):
    """A row for the change log: topic, subject and body."""

    topic: str
    subject: str
    body: str


WriteLogged = Callable[[Connection, Sequence[LoggedRow]], None]
"""Writes rows of the change log."""
Change = Put | Removed
ChangesListener = Callable[[Sequence[Change] | None], None]
"""Is called with the changes of a commit; None if they aren't known, so that the database has to be read anew."""


class Changes:
    """The changes of the transaction under way on one connection.

    ``logged``: rows for the change log, which are written together at the end of the transaction.
    """

    def __init__(self) -> None:
        self.made: list[Change] = []
        self.logged: list[LoggedRow] = []
        self._write: WriteLogged | None = None
        self._savepoints: list[tuple[int, int]] = []

    def begin(self) -> None:
        """Forget the changes of the transaction before this one."""
        self.made, self.logged, self._savepoints = [], [], []

    def log_at_end(self, row: LoggedRow, write: WriteLogged) -> None:
        """Have a row of the change log written by :meth:`end`."""
        self.logged.append(row)
        self._write = write

    def end(self, connection: Connection) -> None:
        """Write what is for the change log; nothing else follows in this transaction."""
        if self.logged and self._write is not None:
            self._write(connection, self.logged)

    def begin_savepoint(self) -> None:
        """Note where a savepoint begins."""
        self._savepoints.append((len(self.made), len(self.logged)))

    def release_savepoint(self) -> None:
        """Keep what was changed since the last savepoint."""
        self._savepoints.pop()

    def roll_back_savepoint(self) -> None:
        """Forget what was changed since the last savepoint."""
        made, logged = self._savepoints.pop()
        del self.made[made:], self.logged[logged:]


def begin(connection: Connection) -> Changes:
    """Begin to note the changes of a transaction on this connection."""
    changes: Changes = connection.info.setdefault(KEY, Changes())
    changes.begin()
    return changes


def note(connection: Connection, change: Change) -> None:
    """Note a change, if the transaction has listeners; those of the command line have none."""
    changes = connection.info.get(KEY)
    if changes is not None:
        changes.made.append(change)


@contextlib.contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Roll back what is written within, and only that, if it fails.

    In place of SQLAlchemy's ``begin_nested``, which would build its three statements anew each time.
    """
    changes = connection.info.get(KEY)
    _SAVEPOINT.change(connection, {})
    if changes is not None:
        changes.begin_savepoint()
    try:
        yield
    except BaseException:
        if not connection.invalidated:
            _ROLL_BACK.change(connection, {})
        if changes is not None:
            changes.roll_back_savepoint()
        raise
    _RELEASE.change(connection, {})
    if changes is not None:
        changes.release_savepoint()


def follow_savepoints(engine: Engine) -> None:
    """Have the changes follow SQLAlchemy's own savepoints (``begin_nested``) on this engine's connections, too."""

    def calling(method: Callable[[Changes], None]) -> Callable[..., None]:
        def call(connection: Connection, *_: object) -> None:
            if (changes := connection.info.get(KEY)) is not None:
                method(changes)

        return call

    event.listen(engine, "savepoint", calling(Changes.begin_savepoint))
    event.listen(engine, "release_savepoint", calling(Changes.release_savepoint))
    event.listen(engine, "rollback_savepoint", calling(Changes.roll_back_savepoint))
