"""Waiting for conversations that another process has locked, without holding up the others.

The work of a process shares commits, on one connection and in the order of its submission. So whoever waits there for a row
holds everybody up. Work says which conversation it is about before it locks or reads its row. If the lock isn't to be had at
once, that work is deferred: it waits on a connection of its own, and the others go on. What comes later and is about the same
conversation is deferred behind it, so that the work on each conversation keeps its order.

Work that names no conversation is never deferred: nobody could say what has to wait behind it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import TimeoutError

KEY: Final = "rasa_handoff_row_waits"
ALL: Final = "*"
"""Stands for every conversation."""


class MustWait(TimeoutError):
    """Other work waits for the same conversation, so this has to wait behind it. Nothing was done."""


class DeferredNames:
    """The conversations of deferred work, for the thread that asks whether it has to wait behind it.

    Changed in the event loop only, between two batches of that thread, or when work is done.
    """

    def __init__(self) -> None:
        self._names: Counter[str] = Counter()

    def add(self, names: Iterable[str]) -> None:
        """Note that work on these conversations was deferred."""
        self._names.update(names)

    def remove(self, names: Iterable[str]) -> None:
        """Note that it is done."""
        for name in names:
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]

    def concerns(self, name: str) -> bool:
        """Return whether work on this conversation waits."""
        return name in self._names or ALL in self._names or (name == ALL and bool(self._names))


class Named:
    """The conversations that the work under way on a connection has named. ``deferred``: the work of earlier batches."""

    def __init__(self, deferred: DeferredNames) -> None:
        self.names: set[str] = set()
        self.others: set[str] = set()
        """The conversations of deferred work of the same batch."""
        self._deferred = deferred

    def begin(self) -> None:
        """Forget those of the batch before."""
        self.names.clear()
        self.others.clear()

    def add(self, name: str) -> None:
        """Note a conversation.

        Raises:
            MustWait: other work waits for it.
        """
        self.names.add(name)
        if self._deferred.concerns(name) or conflict({name}, self.others):
            raise MustWait("other work waits for the same conversation")


def about(connection: Connection, *names: str) -> None:
    """Say which conversations the work is about, before it locks or reads their rows.

    Raises:
        MustWait: other work waits for one of them.
    """
    named: Named | None = connection.info.get(KEY)
    if named is not None:
        for name in names:
            named.add(name)


def conflict(some: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether work on these conversations has to keep its order."""
    some, others = set(some), set(others)
    return bool(some and others) and (bool(some & others) or ALL in some or ALL in others)
