"""What shares one commit, seen from the thread that does it and from the loop that waits for it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

Work = Callable[[Connection], Any]

OPEN: Final = object()
"""The answer of work that isn't done yet."""


class Batch:
    """Work that shares a commit, with an answer for each, and how far it has come.

    Whoever waits may give up until the commit begins; from then on only the database knows what became of it.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = list(works)
        self.answers: list[Any] = [OPEN] * len(works)
        self._lock = threading.Lock()
        self._committing = self._given_up = False

    def begin_commit(self) -> bool:
        """Called before the commit is sent; False if nobody waits for it any more."""
        with self._lock:
            self._committing = not self._given_up
            return self._committing

    def answer(self, answers: dict[int, Any]) -> None:
        """The transaction has ended, with these answers by the work's place; they are kept, once given up, as they are."""
        with self._lock:
            self._committing = False
            if not self._given_up:
                for place, answer in answers.items():
                    self.answers[place] = answer

    def give_up(self, problem: BaseException) -> bool:
        """Answer what isn't done with the problem, and see that it is never done; False while a commit is under way."""
        with self._lock:
            if self._committing:
                return False
            self._given_up = True
            self.answers = [problem if answer is OPEN else answer for answer in self.answers]
            return True


class Doubt(Exception):
    """A commit whose answer was lost: ``committed`` becomes known when the database can be asked for its ``number``."""

    def __init__(self, number: int, answers: dict[int, Any], problem: Exception) -> None:
        super().__init__(f"what became of transaction {number} isn't known yet")
        self.number, self.answers, self.problem = number, answers, problem
        self.committed: bool | None = None
        self.waiting: list[tuple[asyncio.Future[Any], Any]] = []

    def resolve(self) -> None:
        """Tell those who wait."""
        for future, answer in self.waiting:
            resolve(future, answer if self.committed else self.problem)


def resolve(future: "asyncio.Future[Any]", answer: Any) -> None:
    """Give the answer, or raise it, there where it is awaited."""
    if future.done():  # whoever asked has been cancelled; the commit stands
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class Progress:
    """Whether the thread gets on: it says ``step`` at each sign of life, the loop looks now and then.

    Looks are counted rather than seconds: a process that was stopped itself has seen nothing meanwhile.
    """

    EVERY: Final = 0.25

    def __init__(self, seconds: float) -> None:
        self._most = max(1, round(seconds / self.EVERY))
        self._steps = self._seen = self._idle = 0

    def step(self) -> None:
        """A statement begins or has its answer."""
        self._steps += 1

    def is_still(self) -> bool:
        """Asked every ``EVERY`` seconds: whether nothing has happened for too long. It then begins to count anew."""
        if self._steps != self._seen:
            self._seen, self._idle = self._steps, 0
            return False
        self._idle += 1
        if self._idle < self._most:
            return False
        self._idle = 0
        return True
