"""The writer: one connection with a thread of its own, which does batches of work, each in one commit.

A database that doesn't answer is given up: the connection is cut, and the waiting callers get an error, with nothing done. There
is one exception. If the connection is lost while Postgres commits, the outcome isn't known yet: the callers of that commit wait
until the database can be asked, and later work is refused meanwhile.

SQLAlchemy Core, called directly in a thread, takes about a tenth of the time of its asyncio form (measured).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import TimeoutError

from rasa_handoff.store import changes, postgres, row_waits
from rasa_handoff.store.batch import Batch, Doubt, Progress
from rasa_handoff.store.row_waits import Named
from rasa_handoff.store.statements import PROGRESS
from rasa_handoff.store.troubles import (
    TROUBLES,
    is_contended,
    is_lasting,
    is_locked,
    is_lost,
    no_response,
    waits_for_row,
)

PROCESS: Final = "rasa_handoff_process"
"""Key in ``Connection.info`` of the id of this process, if it shares the database with others."""
MOST_LOCKED: Final = 2
"""Work items of a commit that wait in vain for a lock before the whole database counts as locked."""
BRIEF: Final = "100"
"""Milliseconds to wait for a lock on a connection that others need: longer than most transactions take."""
AGAIN: Final = "20"
"""Milliseconds to wait for a lock once work of the batch was deferred: what is left of it has waited before."""
LONG: Final = "DEFAULT"
"""As long as the connection was opened with: for work that must keep its place, and so can't be deferred."""
LIMITED: Final = "rasa_handoff_limited"
"""Key in ``Connection.info`` of a connection that waits only briefly for locks."""
MOST_DEFERRED: Final = 10
"""Work items of a commit that wait for conversations before it counts as locked for another reason."""
MOST_ATTEMPTS: Final = 4
"""Attempts at a transaction that other processes get in the way of."""


class Writer:
    """Does batches on its own connection and in its own thread.

    ``own``: takes the right to write, on a connection that may be new. ``process``: returns the id of this process if it shares
    the database with others, else None. ``doubts``: the commits whose outcome isn't known yet.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        answer_seconds: float,
        own: Callable[[Connection], None],
        process: Callable[[], str | None],
        named: Named | None = None,
    ) -> None:
        """``name``: of the thread. ``answer_seconds``: after how long without an answer the database is given up. ``named``: the
        conversations that work names; with it no work waits here for those that others have locked.
        """
        self.engine, self.name, self.doubts = engine, name, list[Doubt]()
        self.is_on_postgres = engine.dialect.name == "postgresql"
        self._own, self._process, self._answer_seconds = own, process, answer_seconds
        self._duplicate = postgres.SocketDuplicate(engine) if self.is_on_postgres else None
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._progress = Progress(answer_seconds)
        self._stuck: asyncio.Future[None] | None = None
        self._named, self._index = named, 0
        for step in ("before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
            event.listen(engine, step, lambda *_, **__: self._progress.step())
        changes.follow_savepoints(engine)

    async def run(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self.run(self._dispose)
        self._thread.shutdown()

    async def do(self, batch: Batch) -> None:
        """Wait until the thread has done the batch, but give up on a database that doesn't respond."""
        if self._stuck is not None and not await self._wait_for_end(self._stuck):
            batch.give_up(no_response(self._answer_seconds))
            return
        self._stuck = None
        doing = asyncio.get_running_loop().run_in_executor(self._thread, self.commit, batch)
        while not await self._wait_for_end(doing):
            # On Postgres the connection is cut first: the thread then gets an error, so the next wait sees it end.
            if not (self._duplicate is not None and self._duplicate.cut()) and batch.give_up(
                no_response(self._answer_seconds)
            ):
                self._stuck = doing
                return
        if (problem := doing.exception()) is not None:  # a bug of ours; its callers must not wait for ever
            batch.give_up(problem)

    async def _wait_for_end(self, doing: "asyncio.Future[None]") -> bool:
        """Wait until the thread is done, and return True; or False once it has made no progress for too long."""
        while not (await asyncio.wait({doing}, timeout=Progress.EVERY))[0]:
            if self._progress.has_stalled():
                return False
        return True

    def commit(self, batch: Batch) -> None:
        """Do all work in one transaction; if that fails, each item in its own. Runs in the thread."""
        indexes = list(range(len(batch.works)))
        if self._named is not None:
            self._named.begin()
        begun, problem = self._attempt_again(batch, indexes)
        while problem is not None and self._defers(batch, problem):
            indexes.remove(self._index)
            if not indexes:
                return
            begun, problem = self._attempt_again(batch, indexes)
        if problem is None:
            return
        if len(indexes) == 1 or not begun:  # locked or unreachable: each alone would wait as long again
            batch.answer(dict.fromkeys(indexes, problem))
            return
        self._commit_each(batch, indexes)

    def _commit_each(self, batch: Batch, indexes: Sequence[int]) -> None:
        trouble, locked = None, 0
        for index in indexes:
            problem = trouble or self._attempt_again(batch, [index])[1]
            if problem is None or (trouble is None and self._defers(batch, problem)):
                continue
            batch.answer({index: problem})
            locked += is_locked(problem)
            is_alone = self._process() is None
            if isinstance(problem, TROUBLES) and (is_lasting(problem) or is_alone or locked >= MOST_LOCKED):
                trouble = problem  # the database is unreachable: don't wait for it once per item

    def _defers(self, batch: Batch, problem: Exception) -> bool:
        """Defer the work that failed because it has to wait for a conversation; return False if that isn't so."""
        if self._named is None or not self._named.names or not waits_for_row(problem):
            return False
        if is_locked(problem) and len(batch.deferred) >= MOST_DEFERRED:  # it isn't about some conversations
            return False
        batch.defer(self._index, self._named.names)
        self._named.others |= self._named.names
        return True

    def _attempt_again(self, batch: Batch, indexes: Sequence[int]) -> tuple[bool, Exception | None]:
        """Try one transaction with the work at these indexes, again if another process gets in the way of a single one.

        Return whether it began, and the problem if it failed.
        """
        lock_timeout = AGAIN if batch.deferred else batch.lock_timeout
        for _ in range(MOST_ATTEMPTS):
            begun, problem = self.attempt(batch, indexes, lock_timeout)
            if problem is None or len(indexes) > 1:
                break
            if self._named is not None and not self._named.names and is_locked(problem) and lock_timeout != LONG:
                lock_timeout = LONG  # it can't be deferred
            elif not is_contended(problem):
                break
        return begun, problem

    def attempt(
        self, batch: Batch, indexes: Sequence[int], lock_timeout: str | None = None, again: bool = False
    ) -> tuple[bool, Exception | None]:
        """Try one transaction with the work at these indexes. Return whether it began, and the problem if it failed.

        One whose connection was lost, or that nobody waits for, counts as not begun: its work isn't tried item by item.
        ``lock_timeout``: how long each lock is waited for, if not as long as usual on this connection.
        """
        begun = False
        try:
            with self._kept_connection() as connection:
                self.own_and_settle(connection)
                connection.info.update({PROGRESS: self._progress.step, PROCESS: self._process()})
                transaction = connection.begin()
                begun, noted = True, changes.begin(connection)
                answers = self._answers(connection, batch, indexes, lock_timeout)
                noted.end(connection)
                number = postgres.number_of(connection) if self.is_on_postgres else None
                if not batch.begin_commit():
                    return False, no_response(self._answer_seconds)
                try:
                    transaction.commit()
                except BaseException as problem:
                    batch.answer({})  # the commit has ended; what the callers get follows
                    if number is None or not is_lost(problem):
                        raise
                    self.doubts.append(Doubt(number, answers, no_response(self._answer_seconds)))
                    return False, self.doubts[-1]
                batch.answer(answers, noted.made, bool(noted.logged))
                return True, None
        except Exception as problem:
            if is_lost(problem) and not again and not (self._duplicate is not None and self._duplicate.is_cut):
                return self.attempt(batch, indexes, lock_timeout, again=True)  # the connection had ended while idle
            return begun and not is_lost(problem), problem

    def _answers(
        self, connection: Connection, batch: Batch, indexes: Sequence[int], lock_timeout: str | None
    ) -> dict[int, Any]:
        """Do the work at these indexes, and return its answers."""
        if lock_timeout is not None:
            connection.execute(text(f"SET LOCAL lock_timeout TO {lock_timeout}"))
        if self._named is None:
            return {index: batch.works[index](connection) for index in indexes}
        answers, connection.info[row_waits.KEY] = {}, self._named
        for index in indexes:
            self._index = index
            self._named.names.clear()
            answers[index] = batch.works[index](connection)
        self._named.names.clear()  # what fails from now on isn't about the last one
        return answers

    @contextlib.contextmanager
    def _kept_connection(self) -> Iterator[Connection]:
        """Give the connection, which stays open for the next transaction unless this one isn't committed.

        Taking it from SQLAlchemy's pool each time costs more than a message's statements.
        """
        connection, self._connection = self._connection or self.engine.connect(), None
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.in_transaction() or connection.invalidated:
            connection.close()
        else:
            self._connection = connection

    def _dispose(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.engine.dispose()

    def own_and_settle(self, connection: Connection) -> None:
        """Take the right to write, and learn the outcome of every commit in doubt."""
        self._own(connection)
        if self._named is not None and LIMITED not in connection.info:
            connection.execute(text(f"SET lock_timeout TO {BRIEF}"))
            connection.commit()
            connection.info[LIMITED] = True
        for doubt in self.doubts:
            if doubt.committed is None:
                doubt.committed = postgres.was_committed(connection, doubt.number)
            if doubt.committed is None:
                raise TimeoutError("what became of the last commit isn't known yet")
