"""The pump: takes entries from the outbox and delivers them, lane by lane, until they are acknowledged.

One task per lane that has something to tell. It is rung after each commit, never polls, and starts with whatever the
outbox holds. A target says how it went by what it raises:

- nothing: delivered; what it returns goes to ``finish``, which removes the entries in one transaction with what follows;
- what ``failures.py`` calls *wait*: the receiver will fetch it; the lane rests until it is rung again;
- *retry later*: again after a pause that doubles up to ``LONGEST_PAUSE`` seconds, or when rung;
- *reject*, and *unforeseen* after some tries: the entry becomes a dead letter (``set_aside``, which tells its sender), and the
  lane goes on. Of a batch that failed, the entries are tried one by one.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import Failure, is_over, log_set_aside, meaning_of, told
from rasa_handoff.store.outbox import Entry, Lease, Outbox
from rasa_handoff.store.tasks import ended
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
LEASE: Final = 15.0
"""Seconds a process may hold work of a shared database; a SQLite file has one process, which needs none."""

Road = tuple[str, str]
Finish = Callable[[Sequence[Entry], Any], Awaitable[None]]
SetAside = Callable[[Entry, str], Awaitable[None]]
"""Makes a dead letter of an entry, and tells its sender, in one transaction; with the reason in one line."""


class Target(Protocol):
    """Where entries go. ``batch``: how many of one lane it takes at once."""

    batch: int

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Any:
        """Deliver them all, in order, and return what follows from it (handed to ``finish``)."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A target that is dear to call, and would rather be called with more."""

    def patience(self, entries: Sequence[Entry]) -> float:
        """Seconds to wait for more before delivering these; 0: now."""
        ...


class Tries:
    """How often the head of a lane has failed for something other than that its receiver is away. ``one_by_one``: some entry of
    a batch failed."""

    def __init__(self) -> None:
        self.one_by_one = False
        self._complained = False
        self._key, self._count, self._since = 0, 0, 0.0

    def complain(self, message: str, *about: object) -> None:
        """Say once that the lane can't even be read, with the traceback."""
        if not self._complained:
            log.exception(message, *about)
        self._complained = True

    def enough(self, entry: Entry, problem: Exception) -> bool:
        """Count one more; whether it shall be the last."""
        now = time.monotonic()
        if self._key != entry.key:
            self._key, self._count, self._since = entry.key, 0, now
        self._count += 1
        return is_over(problem, self._count, now - self._since)


class Pump:
    """Delivers the outbox of one store: ``async with Pump(...) as pump``, then ``pump.ring(roads)``."""

    def __init__(
        self, store: Store, outbox: Outbox, targets: Mapping[str, Target], finish: Finish, set_aside: SetAside
    ) -> None:
        self._store, self._outbox, self._targets = store, outbox, targets
        self._finish, self._set_aside = finish, set_aside
        self._holder = uuid.uuid4().hex
        self._looking: asyncio.Task[None] | None = None
        self._lanes: dict[Road, asyncio.Task[None]] = {}
        self._bells: dict[Road, asyncio.Event] = {}
        self._ended = False

    async def __aenter__(self) -> "Pump":
        await self.ring_all()
        if self._store.shared:
            self._looking = asyncio.create_task(self._look_for_left_work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        tasks = [*self._lanes.values(), *([self._looking] if self._looking else [])]
        await ended(*tasks)

    def ring(self, roads: Iterable[Road]) -> None:
        """Something was committed for these lanes, or their receiver is back. After the end nothing is begun any more."""
        if self._ended:
            return
        for road in roads:
            self._bells.setdefault(road, asyncio.Event()).set()
            if road not in self._lanes:
                self._lanes[road] = asyncio.create_task(self._run(road))

    def running(self, road: Road) -> bool:
        """Whether something in this lane is being delivered, or is about to be."""
        return road in self._lanes

    async def ring_all(self, target: str | None = None) -> None:
        """Ring every lane that has something in it; of one target, if given."""
        self.ring(await self._store.write(lambda connection: self._outbox.roads(connection, target)))

    async def flush(self, road: Road) -> None:
        """Ring one lane and wait until it is empty or rests."""
        self.ring([road])
        if road in self._lanes:
            await asyncio.wait({self._lanes[road]})

    async def _run(self, road: Road) -> None:
        bell = self._bells[road]
        try:
            while bell.is_set():
                bell.clear()
                await self._drain(road, bell)
        finally:
            # No await since the last look at the bell: a ring can't fall between.
            del self._lanes[road], self._bells[road]

    async def _drain(self, road: Road, bell: asyncio.Event) -> None:
        pause, tries = FIRST_PAUSE, Tries()
        while True:
            entries: list[Entry] = []
            try:
                entries = await self._gather(road, bell, tries.one_by_one)
                if not entries:
                    return
                await self._finish(entries, await self._targets[road[0]].deliver(road[1], entries))
                pause = FIRST_PAUSE
                continue
            except Exception as problem:
                failure = meaning_of(problem)
                if failure is Failure.WAIT:
                    return
                if failure is Failure.RETRY_LATER:
                    log.debug("%s %s: %s", road[0], short_id(road[1]), problem)
                elif await self._over(road, entries, problem, tries):
                    pause = FIRST_PAUSE
                    continue
            await _rung(bell, pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _over(self, road: Road, entries: Sequence[Entry], problem: Exception, tries: "Tries") -> bool:
        """Whether the lane goes on at once: the failing entry was set aside, or is to be found among several."""
        if len(entries) > 1:
            tries.one_by_one = True
            return True
        if not entries:
            tries.complain(
                "What waits for the %s in %s can't be read; it is tried again, and this is said once.",
                road[0],
                short_id(road[1]),
            )
            return False
        (entry,) = entries
        if not tries.enough(entry, problem):
            return False
        try:
            await self._set_aside(entry, told(problem))
        except Exception as trouble:  # the database: then it is tried once more
            log.debug("%s %s can't be set aside now: %s", road[0], short_id(road[1]), trouble)
            tries.complain(
                "What was tried for the %s in %s can't be taken off its lane; it is tried again, and this is said once.",
                road[0],
                short_id(road[1]),
            )
            return False
        tries.one_by_one = False
        log_set_aside(entry, problem)
        return True

    async def _gather(self, road: Road, bell: asyncio.Event, one_by_one: bool = False) -> list[Entry]:
        """The head of the lane, once a patient target has waited for more."""
        target, deadline = self._targets[road[0]], None
        most = 1 if one_by_one else target.batch
        while entries := await self._head(road, most):
            if not isinstance(target, Patient) or len(entries) >= most:
                return entries
            now, patience = time.monotonic(), target.patience(entries)
            deadline = deadline or now + patience
            if not patience or now >= deadline:
                return entries
            await _rung(bell, deadline - now)
        return []

    async def _head(self, road: Road, most: int) -> list[Entry]:
        if not self._store.shared:
            return await self._store.write(lambda connection: self._outbox.head(connection, *road, most))
        lease = Lease(holder=self._holder, now=time.time(), seconds=LEASE)
        return await self._store.write(lambda connection: self._outbox.claim(connection, *road, most, lease))

    async def _look_for_left_work(self) -> None:
        """Another process that shares the database may have ended with work in hand."""
        while True:
            await asyncio.sleep(LEASE)
            with contextlib.suppress(Exception):
                await self.ring_all()


async def _rung(bell: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, but not longer than that."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(bell.wait(), seconds)
    bell.clear()
