"""Lanes in memory: the first entries of a lane, and how often the first of them has failed."""

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.failures import is_over
from rasa_handoff.store.outbox import Entry

log = get_log(__name__)

MOST_IN_MEMORY: Final = 100
"""Entries of one lane that are kept in memory; the database has the others."""

LaneKey = tuple[str, str]
"""Target and lane."""


class Lane:
    """The first entries of one lane, in memory and in order (``known``).

    ``more``: the database may have others behind them. While that is so, an entry that is put stays in the database until the
    lane is read. If one is put during that read, which may have been too early to find it, ``more`` stays true.
    """

    def __init__(self, more: bool) -> None:
        self.signal = asyncio.Event()
        self.known: deque[Entry] = deque()
        self.more = more
        self.flushes = False
        """Somebody waits until it is empty: a patient target gets what there is."""
        self._put_while_reading = False
        self._removed_while_reading: set[int] | None = None

    @property
    def last_key(self) -> int | None:
        """The key of the last entry that is known."""
        return self.known[-1].key if self.known else None

    def add(self, entry: Entry, knows_previous: bool) -> None:
        """Note an entry that was put. ``knows_previous``: whether the one before it is known, or was delivered."""
        if self.more or not knows_previous or len(self.known) >= MOST_IN_MEMORY:
            self.more = self._put_while_reading = True
        else:
            self.known.append(entry)

    def remove(self, keys: Collection[int]) -> None:
        """Forget entries that have left the outbox."""
        if self._removed_while_reading is not None:
            self._removed_while_reading |= set(keys)
        self.known = deque(entry for entry in self.known if entry.key not in keys)

    def expect_more(self) -> None:
        """Have the database read for more entries; again, if that is being done."""
        self.more = self._put_while_reading = True

    def doubt(self) -> None:
        """Have the lane read anew: the database may have others."""
        self.expect_more()
        self.known.clear()

    def begin_reading(self) -> None:
        """Begin to note whether entries are put or removed while the database is read."""
        self._put_while_reading, self._removed_while_reading = False, set()

    def read(self, entries: Iterable[Entry], more: bool) -> None:
        """Replace the known entries by the first ones of the database. ``more``: whether it may have others behind them."""
        removed, self._removed_while_reading = self._removed_while_reading or (), None
        self.known = deque(entry for entry in entries if entry.key not in removed)
        self.more = self._put_while_reading or more

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits in it, as far as is known."""
        return not self.known and not self.more


class Tries:
    """Counts the failures of a lane's first entry, except those of an unreachable receiver.

    ``one_by_one``: an entry of a batch failed, so entries are tried singly to find it.
    """

    def __init__(self) -> None:
        self.one_by_one = False
        self._complained = False
        self._key, self._count, self._since = 0, 0, 0.0

    def complain(self, message: str, *about: object) -> None:
        """Log a problem of the lane with its traceback, once."""
        if not self._complained:
            log.exception(message, *about)
        self._complained = True

    def enough(self, entry: Entry, problem: Exception) -> bool:
        """Count one more failure, and return whether the entry has been tried enough."""
        now = time.monotonic()
        if self._key != entry.key:
            self._key, self._count, self._since = entry.key, 0, now
        self._count += 1
        return is_over(problem, self._count, now - self._since)
