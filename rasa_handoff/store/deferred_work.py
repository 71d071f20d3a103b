"""Work that was deferred because another process has locked its conversation (``row_waits.py``).

It is done on a few connections of its own, which are made when they are first needed. Work on one conversation is done in the
order in which it was deferred.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from rasa_handoff.store.batch import Batch, Work
from rasa_handoff.store.row_waits import DeferredNames, conflict
from rasa_handoff.store.writer import BRIEF, Writer

MOST_CONNECTIONS: Final = 3
"""Connections on which work waits, at most: so many conversations may be locked at once without others having to queue."""
LATE_SECONDS: Final = 1.5
"""Seconds after which work that still hasn't begun doesn't wait for its lock any longer: its caller has waited long enough."""


@dataclass(eq=False)
class DeferredWork:
    """Deferred work, the caller's future, and the conversations that it is about."""

    work: Work[Any]
    future: "asyncio.Future[Any]"
    names: frozenset[str]
    since: float = field(default_factory=time.monotonic)


class Deferral:
    """Does the deferred work.

    ``make_writer`` makes a further connection. ``do``: has a writer do a batch, and answers the callers; it returns when its
    outcome is known.
    """

    def __init__(
        self,
        make_writer: Callable[[], Writer],
        do: Callable[[Writer, "asyncio.Future[Any]", Batch], Awaitable[None]],
    ) -> None:
        self.names = DeferredNames()
        self._make_writer, self._do = make_writer, do
        self._waiting: list[DeferredWork] = []
        self._under_way: dict[DeferredWork, asyncio.Task[None]] = {}
        self._free: list[Writer] = []
        self._made = 0

    def add(self, work: DeferredWork) -> None:
        """Take deferred work."""
        self.names.add(work.names)
        self._waiting.append(work)
        self._begin_what_may()

    async def close(self) -> None:
        """Wait for the work that is left, and close the connections."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())
        for writer in self._free:
            await writer.close()
        self._free, self._made = [], 0

    def _begin_what_may(self) -> None:
        """Begin what has to wait for nothing that came before it, as far as there are connections."""
        earlier = [one.names for one in self._under_way]
        for one in list(self._waiting):
            if not any(conflict(one.names, names) for names in earlier):
                writer = self._free_writer()
                if writer is None:
                    return
                self._waiting.remove(one)
                self._under_way[one] = asyncio.create_task(self._run(one, writer))
            earlier.append(one.names)

    def _free_writer(self) -> Writer | None:
        if not self._free and self._made < MOST_CONNECTIONS:
            self._made += 1
            self._free.append(self._make_writer())
        return self._free.pop() if self._free else None

    async def _run(self, one: DeferredWork, writer: Writer) -> None:
        is_late = time.monotonic() - one.since > LATE_SECONDS
        try:
            await self._do(writer, one.future, Batch([one.work], BRIEF if is_late else None))
        finally:
            del self._under_way[one]
            self.names.remove(one.names)
            self._free.append(writer)
            self._begin_what_may()
