"""Work that shares one commit: shared between the thread that does it and the event loop that waits for it."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

T = TypeVar("T")
Work = Callable[[Connection], T]

OPEN: Final = object()
"""The answer of work that isn't done yet."""


class Batch:
    """Work items that share a commit, with an answer for each.

    Before the commit begins, the waiting side may give up (:meth:`give_up`). Afterwards only the database knows the outcome.
    """

    def __init__(self, works: Sequence[Work[Any]], lock_timeout: str | None = None) -> None:
        """``lock_timeout``: how long to wait for a lock, in Postgres' words; None: as the writer does."""
        self.works, self.lock_timeout = list(works), lock_timeout
        self.answers: list[Any] = [OPEN] * len(works)
        self.changes: list[Any] = []
        """The changes of its committed transactions, for the store's listeners."""
        self.rings = False
        """Whether other processes have to know of one of its committed transactions."""
        self.deferred: dict[int, frozenset[str]] = {}
        """The work that has to wait for conversations, by its index, with their names: it is done elsewhere."""
        self._lock = threading.Lock()
        self._committing = self._given_up = False

    def begin_commit(self) -> bool:
        """Mark the commit as begun; return False if nobody waits for it any more."""
        with self._lock:
            self._committing = not self._given_up
            return self._committing

    def answer(self, answers: dict[int, Any], changes: Sequence[Any] = (), rings: bool = False) -> None:
        """Store the answers of an ended transaction by the work's index, and its changes. Ignored after :meth:`give_up`.

        ``rings``: whether other processes have to know of it.
        """
        with self._lock:
            self._committing = False
            if not self._given_up:
                self.changes.extend(changes)
                self.rings = self.rings or rings
                for index, answer in answers.items():
                    self.answers[index] = answer

    def defer(self, index: int, names: Iterable[str]) -> None:
        """Note that work has to wait for these conversations. Ignored after :meth:`give_up`."""
        with self._lock:
            if not self._given_up:
                self.deferred[index] = frozenset(names)

    def give_up(self, problem: BaseException) -> bool:
        """Answer all open work with the problem and prevent its commit; return False while a commit is under way."""
        with self._lock:
            if self._committing:
                return False
            self._given_up, self.deferred = True, {}
            self.answers = [problem if answer is OPEN else answer for answer in self.answers]
            return True


class Doubt(Exception):
    """A commit whose answer was lost. ``committed`` is set once the database can be asked about transaction ``number``.

    ``answers``: what the work returned, by its index. ``problem``: what the callers get if it wasn't committed. ``waiting``:
    their futures, each with its answer.
    """

    def __init__(self, number: int, answers: dict[int, Any], problem: Exception) -> None:
        super().__init__(f"what became of transaction {number} isn't known yet")
        self.number, self.answers, self.problem = number, answers, problem
        self.committed: bool | None = None
        self.waiting: list[tuple[asyncio.Future[Any], Any]] = []

    def resolve(self) -> None:
        """Answer the waiting callers."""
        for future, answer in self.waiting:
            resolve(future, answer if self.committed else self.problem)


def resolve(future: "asyncio.Future[Any]", answer: Any) -> None:
    """Set the future's result, or its exception if the answer is one."""
    if future.done():  # the caller was cancelled; the commit stands
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class Progress:
    """Detects a thread that makes no progress: the thread calls :meth:`step`, the event loop calls :meth:`has_stalled`.

    Calls are counted rather than seconds, so that a time in which this process itself was stopped doesn't count.
    """

    EVERY: Final = 0.25
    """Seconds between two calls of :meth:`has_stalled`."""

    def __init__(self, seconds: float) -> None:
        self._most = max(1, round(seconds / self.EVERY))
        self._steps = self._seen = self._idle = 0

    def step(self) -> None:
        """Record progress: a statement begins or has its answer."""
        self._steps += 1

    def has_stalled(self) -> bool:
        """Count one more call, and return whether there was no progress for too long; counting then begins again."""
        if self._steps != self._seen:
            self._seen, self._idle = self._steps, 0
            return False
        self._idle += 1
        if self._idle < self._most:
            return False
        self._idle = 0
        return True
