"""The dispatcher: delivers the entries of the outbox, lane by lane, until they are acknowledged.

Each lane with entries has one task. The dispatcher is notified after each commit, never polls, and starts with whatever the
outbox holds. A target reports the result of a delivery by what it raises (``failures.py`` has the classes):

- nothing: delivered. Its return value goes to ``finish``, which removes the entries in one transaction with what follows.
- *wait*: the receiver will fetch it. The lane rests until it is notified again.
- *retry later*: tried again after a pause that doubles up to ``LONGEST_PAUSE`` seconds, or when notified.
- *reject*, and *unforeseen* after some tries: the entry becomes a dead letter (``set_aside``, which notifies its sender), and the
  lane goes on. The entries of a batch that failed are tried one by one.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import Failure, is_over, log_set_aside, meaning_of, reason_of
from rasa_handoff.store.outbox import Entry, Lease, Outbox
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
CLOSING_SECONDS: Final = 2.0
"""How long an end waits for the deliveries under way: many receivers have no way to tell that they get an entry again."""
LEASE: Final = 15.0
"""Seconds a process may hold entries of a shared database. Used only where :attr:`Store.shared` is true, which it is for no store
yet: the one process that owns a database needs no lease."""

LaneKey = tuple[str, str]
Finish = Callable[[Sequence[Entry], Any], Awaitable[None]]
SetAside = Callable[[Entry, str], Awaitable[None]]
"""Makes a dead letter of an entry and notifies its sender, in one transaction; the second argument is the reason, in one line."""


class Target(Protocol):
    """A receiver of entries. ``batch``: how many entries of one lane it takes at once."""

    batch: int

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Any:
        """Deliver all entries, in order, and return what follows from it, for ``finish``."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A target whose calls are expensive: waits briefly for a batch."""

    def patience(self, entries: Sequence[Entry]) -> float:
        """Return how many seconds to wait for more entries before delivering these; 0: deliver now."""
        ...


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


class Dispatcher:
    """Delivers the outbox of one store: ``async with Dispatcher(...) as dispatcher``, then ``dispatcher.notify(lane_keys)``."""

    def __init__(
        self, store: Store, outbox: Outbox, targets: Mapping[str, Target], finish: Finish, set_aside: SetAside
    ) -> None:
        self._store, self._outbox, self._targets = store, outbox, targets
        self._finish, self._set_aside = finish, set_aside
        self._holder = uuid.uuid4().hex
        self._sweep: asyncio.Task[None] | None = None
        self._lanes: dict[LaneKey, asyncio.Task[None]] = {}
        self._signals: dict[LaneKey, asyncio.Event] = {}
        self._ended = False

    async def __aenter__(self) -> "Dispatcher":
        await self.notify_all()
        if self._store.shared:
            self._sweep = asyncio.create_task(self._sweep_abandoned())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Begin no other delivery, and give those under way ``CLOSING_SECONDS``."""
        self._ended = True
        for signal in self._signals.values():
            signal.set()  # ends the pauses
        lanes = list(self._lanes.values())
        if lanes:
            await asyncio.wait(lanes, timeout=CLOSING_SECONDS)
        await cancel_all(*lanes, *([self._sweep] if self._sweep else []))

    def notify(self, lane_keys: Iterable[LaneKey]) -> None:
        """Deliver these lanes: something was committed for them, or their receiver is back. Ignored after the end."""
        if self._ended:
            return
        for lane_key in lane_keys:
            self._signals.setdefault(lane_key, asyncio.Event()).set()
            if lane_key not in self._lanes:
                self._lanes[lane_key] = asyncio.create_task(self._run(lane_key))

    def running(self, lane_key: LaneKey) -> bool:
        """Return whether something in this lane is being delivered, or is about to be."""
        return lane_key in self._lanes

    async def notify_all(self, target: str | None = None) -> None:
        """Notify every lane that has entries; of one target, if given."""
        self.notify(await self._store.write(lambda connection: self._outbox.lane_keys(connection, target)))

    async def flush(self, lane_key: LaneKey) -> None:
        """Notify one lane and wait until it is empty or rests."""
        self.notify([lane_key])
        if lane_key in self._lanes:
            await asyncio.wait({self._lanes[lane_key]})

    async def _run(self, lane_key: LaneKey) -> None:
        signal = self._signals[lane_key]
        try:
            while signal.is_set():
                signal.clear()
                await self._drain(lane_key, signal)
        finally:
            # There is no await since the last check of the signal, so no notification is lost.
            del self._lanes[lane_key], self._signals[lane_key]

    async def _drain(self, lane_key: LaneKey, signal: asyncio.Event) -> None:
        pause, tries = FIRST_PAUSE, Tries()
        while not self._ended:
            entries: list[Entry] = []
            try:
                entries = await self._gather(lane_key, signal, tries.one_by_one)
                if not entries:
                    return
                await self._finish(entries, await self._targets[lane_key[0]].deliver(lane_key[1], entries))
                pause = FIRST_PAUSE
                continue
            except Exception as problem:
                failure = meaning_of(problem)
                if failure is Failure.WAIT:
                    return
                if failure is Failure.RETRY_LATER:
                    log.debug("%s %s: %s", lane_key[0], short_id(lane_key[1]), problem)
                elif await self._set_aside_failing(lane_key, entries, problem, tries):
                    pause = FIRST_PAUSE
                    continue
            await _wait_for_signal(signal, pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _set_aside_failing(
        self, lane_key: LaneKey, entries: Sequence[Entry], problem: Exception, tries: Tries
    ) -> bool:
        """Set the failing entry aside if it was tried enough. Return whether the lane goes on at once.

        It also goes on after a batch failed, to find the failing entry one by one. ``entries`` is empty if they couldn't be read:
        then nothing is set aside.
        """
        if len(entries) > 1:
            tries.one_by_one = True
            return True
        if not entries:
            tries.complain(
                "The entries for the %s in %s can't be read. That is tried again; this is logged once.",
                lane_key[0],
                short_id(lane_key[1]),
            )
            return False
        (entry,) = entries
        if not tries.enough(entry, problem):
            return False
        try:
            await self._set_aside(entry, reason_of(problem))
        except Exception as trouble:  # the database can't be used now; delivery is tried once more
            log.debug("%s %s can't be set aside now: %s", lane_key[0], short_id(lane_key[1]), trouble)
            tries.complain(
                "An undeliverable entry for the %s in %s can't be set aside. That is tried again; this is logged once.",
                lane_key[0],
                short_id(lane_key[1]),
            )
            return False
        tries.one_by_one = False
        log_set_aside(entry, problem)
        return True

    async def _gather(self, lane_key: LaneKey, signal: asyncio.Event, one_by_one: bool = False) -> list[Entry]:
        """Return the first entries of the lane, after a patient target has waited for more."""
        target, deadline = self._targets[lane_key[0]], None
        most = 1 if one_by_one else target.batch
        while entries := await self._head(lane_key, most):
            if not isinstance(target, Patient) or len(entries) >= most:
                return entries
            now, patience = time.monotonic(), target.patience(entries)
            deadline = deadline or now + patience
            if not patience or now >= deadline:
                return entries
            if self._ended:
                break
            await _wait_for_signal(signal, deadline - now)
        return []

    async def _head(self, lane_key: LaneKey, most: int) -> list[Entry]:
        if not self._store.shared:
            return await self._store.write(lambda connection: self._outbox.head(connection, *lane_key, most))
        lease = Lease(holder=self._holder, now=time.time(), seconds=LEASE)
        return await self._store.write(lambda connection: self._outbox.claim(connection, *lane_key, most, lease))

    async def _sweep_abandoned(self) -> None:
        """Notify all lanes now and then: another process that shares the database may have ended before it delivered."""
        while True:
            await asyncio.sleep(LEASE)
            with contextlib.suppress(Exception):
                await self.notify_all()


async def _wait_for_signal(signal: asyncio.Event, seconds: float) -> None:
    """Wait until the signal is set, ``seconds`` at most, and clear it."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(signal.wait(), seconds)
    signal.clear()
