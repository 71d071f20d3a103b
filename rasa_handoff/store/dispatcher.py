"""The dispatcher: delivers the entries of the outbox, lane by lane, until they are acknowledged.

Each lane with entries has one task. What a commit puts into a lane is kept in memory until it is delivered, so the database is
read only at the start, after a failure, and when a receiver is back. The dispatcher never polls. What was delivered leaves the
outbox with a later transaction, unless something follows from it or the receiver couldn't recognise it when it came again. A
target reports the result of a delivery by what it raises (``failures.py`` has the classes):

- nothing: delivered. Its return value goes to ``finish``, which removes the entries in one transaction with what follows.
- *wait*: the receiver will fetch it. The lane rests until it is notified again.
- *retry later*: tried again after a pause that doubles up to ``LONGEST_PAUSE`` seconds, or when notified.
- *reject*, and *unforeseen* after some tries: the entry becomes a dead letter (``set_aside``, which notifies its sender), and the
  lane goes on. The entries of a batch that failed are tried one by one.

Where several processes share the database, a lane is leased to one of them, which delivers it as if it were alone. It gives the
lane to the process that reaches the receiver, if that is another one (:class:`Located`), and ends its lease when the lane rests.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec

from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.changes import Change, Put
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import Failure, log_set_aside, meaning_of, reason_of
from rasa_handoff.store.lane_leases import ENDED, FLUSH, LANE, REMOVED, LaneChange
from rasa_handoff.store.lanes import MOST_IN_MEMORY, Lane, LaneKey, Tries
from rasa_handoff.store.outbox import Entry, Outbox
from rasa_handoff.store.targets import Finish, Located, Patient, SetAside, Target
from rasa_handoff.store.tasks import begin, cancel_all

log = get_log(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
CLOSING_SECONDS: Final = 2.0
"""How long an end waits for the deliveries under way: many receivers have no way to tell that they get an entry again."""
REMOVED_AGAIN: Final = 1.0
"""Seconds until another attempt to remove what was delivered."""
LISTED_AGAIN: Final = 0.5
"""Seconds until another attempt to list the lanes that rest."""
FLUSHED_AGAIN: Final = 0.1
"""Seconds between two looks whether another process has emptied a lane."""
VALID_AGAIN: Final = 0.25
"""Seconds between two looks whether this process may begin deliveries again."""


class Dispatcher:
    """Delivers the outbox of one store: ``async with Dispatcher(...) as dispatcher``, then ``dispatcher.notify(lane_keys)``."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        targets: Mapping[str, Target],
        finish: Finish,
        set_aside: SetAside,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """``may_begin``: whether this process still has what it has leased (``Membership.is_valid``)."""
        self._store, self._outbox, self._targets = store, outbox, targets
        self._finish, self._set_aside, self._may_begin = finish, set_aside, may_begin
        # Found once: `isinstance` with a protocol costs more than a delivery.
        self._patient = {name: target for name, target in targets.items() if isinstance(target, Patient)}
        self._located = {name: target for name, target in targets.items() if isinstance(target, Located)}
        self._tasks: dict[LaneKey, asyncio.Task[None]] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        # Lanes without a task in which entries wait: only the database has them.
        self._resting: set[LaneKey] = set()
        # Entries that were delivered and are still in the database.
        self._delivered: set[int] = set()
        # Whether the lanes that have entries in the database were listed, at the start; and whether the dispatcher has ended.
        self._listed = self._ended = False

    async def __aenter__(self) -> "Dispatcher":
        self._store.on_changes.append(self._take)
        await self.notify_all()
        self._listed = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Begin no other delivery, and give those under way ``CLOSING_SECONDS``."""
        self._ended = True
        for lane in self._lanes.values():
            lane.signal.set()  # ends the pauses
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)
        await cancel_all(*tasks)
        self._store.on_changes.remove(self._take)

    def notify(self, lane_keys: Iterable[LaneKey]) -> None:
        """Deliver what waits in these lanes: their receiver is back. Ignored after the end."""
        for lane_key in lane_keys:
            if lane_key in self._resting or not self._listed:
                self._read_and_deliver(lane_key)
            elif lane_key in self._lanes:
                self._wake(lane_key)
            elif self._store.shared:  # it may rest since another process had it
                self._read_and_deliver(lane_key)

    def _read_and_deliver(self, lane_key: LaneKey) -> None:
        if not self._ended:
            self._lane(lane_key, more=True).expect_more()
            self._wake(lane_key)

    def _take(self, changes: Sequence[Change] | None) -> None:
        """Deliver what a commit has put, and forget what it has removed; None if that isn't known."""
        if self._ended:
            return
        if changes is None:
            return self.doubt()
        for change in changes:
            if isinstance(change, Put):
                lane_key = change.entry.lane_key
                lane = self._lane(lane_key, more=not self._listed or lane_key in self._resting)
                lane.add(change.entry, self._knows(lane, change.previous))
                self._wake(lane_key)
            elif (changed := self._lanes.get(change.lane_key)) is not None:
                changed.remove({change.key})

    def _knows(self, lane: Lane, previous: int | None) -> bool:
        """Return whether the entry before a new one is known: if not, another process has put it, or it rested."""
        return previous is None or previous in self._delivered or previous == lane.last_key

    def look_for_resting(self) -> None:
        """Deliver the lanes that rest, since the process that had them has ended."""
        begin(self._notify_all_surely())

    def doubt(self) -> None:
        """Read all lanes anew: what this process knows of them may be wrong."""
        for uncertain in self._lanes.values():
            uncertain.doubt()
        begin(self._notify_all_surely())

    async def _notify_all_surely(self) -> None:
        """Deliver every lane, as soon as the database can be read: nothing else would ask for those that rest."""
        while not self._ended:
            try:
                return await self.notify_all()
            except Exception as problem:
                log.debug("The lanes that rest can't be listed now: %s", problem)
                await asyncio.sleep(LISTED_AGAIN)

    async def follow(self, logged: Sequence[LoggedChange]) -> None:
        """Follow what other processes have changed in lanes."""
        if any(change.topic == ENDED for change in logged):
            await self.notify_all()
        for change in logged:
            body = msgspec.json.decode(change.body, type=LaneChange)
            lane_key = body.target, change.subject
            if change.topic == REMOVED and (lane := self._lanes.get(lane_key)) is not None:
                lane.remove({body.key})
            elif change.topic == FLUSH and body.holder == self._store.process and lane_key in self._lanes:
                self._lanes[lane_key].flushes = True
                self._wake(lane_key)
            elif change.topic == LANE and body.holder == self._store.process:
                self._read_and_deliver(lane_key)

    def _lane(self, lane_key: LaneKey, more: bool) -> Lane:
        return self._lanes.get(lane_key) or self._lanes.setdefault(lane_key, Lane(more))

    def _wake(self, lane_key: LaneKey) -> None:
        self._lanes[lane_key].signal.set()
        if lane_key not in self._tasks:
            self._resting.discard(lane_key)
            self._tasks[lane_key] = asyncio.create_task(self._run(lane_key))

    def running(self, lane_key: LaneKey) -> bool:
        """Return whether something in this lane is being delivered, or is about to be."""
        return lane_key in self._tasks

    async def notify_all(self, target: str | None = None) -> None:
        """Deliver every lane that has entries in the database; of one target, if given; not those of other processes."""
        for lane_key in await self._store.write(lambda connection: self._outbox.lane_keys(connection, target)):
            self._read_and_deliver(lane_key)

    async def flush(self, lane_key: LaneKey) -> None:
        """Notify one lane and wait until it is empty or rests. A patient target doesn't wait for more."""
        self.notify([lane_key])
        if lane_key in self._tasks:
            self._lanes[lane_key].flushes = True
            await asyncio.wait({self._tasks[lane_key]})
        if self._store.shared:
            await self._flush_elsewhere(lane_key)

    async def _flush_elsewhere(self, lane_key: LaneKey) -> None:
        """Wait until the process that has this lane has emptied it, or it rests."""
        if await self._store.write(lambda connection: self._outbox.leases.ask_to_flush(connection, *lane_key)):
            is_empty = partial(self._outbox.is_empty, target=lane_key[0], lane=lane_key[1])
            while not await self._store.write(is_empty):  # noqa: ASYNC110 (another process empties it)
                await asyncio.sleep(FLUSHED_AGAIN)

    async def _run(self, lane_key: LaneKey) -> None:
        lane = self._lanes[lane_key]
        try:
            while lane.signal.is_set():
                lane.signal.clear()
                await self._drain(lane_key, lane)
        finally:
            # There is no await since the last check of the signal, so no notification is lost.
            del self._tasks[lane_key], self._lanes[lane_key]
            if not lane.is_empty and not self._store.shared:  # what rests, another process may have delivered
                self._resting.add(lane_key)

    async def _drain(self, lane_key: LaneKey, lane: Lane) -> None:
        pause, tries = FIRST_PAUSE, Tries()
        while not self._ended:
            entries: list[Entry] = []
            process = self._store.process
            try:
                entries = await self._gather(lane_key, lane, tries.one_by_one)
                if not entries:
                    return
                # The callers that waited for the commit of these entries continue first: the target then finds memory up to date.
                await asyncio.sleep(0)
                if self._store.shared:
                    if not await self._is_ours(lane_key):
                        lane.doubt()
                        return
                    if await self._had_to_wait() or self._store.process != process:
                        lane.doubt()  # others may have delivered what was gathered
                        continue
                outcome = await self._targets[lane_key[0]].deliver(lane_key[1], entries)
                await self._finish_delivery(lane_key, lane, entries, outcome)
                pause = FIRST_PAUSE
                continue
            except Exception as problem:
                failure = meaning_of(problem)
                if failure is Failure.WAIT:
                    if not self._store.shared or self._keeps(lane_key, lane) or await self._release(lane_key, lane):
                        return
                elif failure is Failure.RETRY_LATER:
                    log.debug("%s %s: %s", lane_key[0], short_id(lane_key[1]), problem)
                elif await self._set_aside_failing(lane_key, entries, problem, tries):
                    pause = FIRST_PAUSE
                    continue
            await _wait_for_signal(lane.signal, pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _is_ours(self, lane_key: LaneKey) -> bool:
        """Return whether this process delivers the lane; give it to another one if that reaches the receiver."""
        process = await self._process_of(lane_key)
        if process is None:
            return True
        await self._store.write(lambda connection: self._outbox.leases.give(connection, *lane_key, process))
        return False

    async def _had_to_wait(self) -> bool:
        """Wait until this process surely has what it has leased; return whether that wasn't so at first."""
        if self._may_begin():
            return False
        while not self._may_begin() and not self._ended:  # noqa: ASYNC110 (until the next heartbeat)
            await asyncio.sleep(VALID_AGAIN)
        return True

    async def _process_of(self, lane_key: LaneKey) -> str | None:
        located = self._located.get(lane_key[0])
        return None if located is None else await located.process_of(lane_key[1])

    def _keeps(self, lane_key: LaneKey, lane: Lane) -> bool:
        """Return whether a lane that rests stays with this process.

        Its receiver has just come back, or what waits is about to be delivered in another way.
        """
        located = self._located.get(lane_key[0])
        return lane.signal.is_set() or (located is not None and located.keeps(lane_key[1]))

    async def _release(self, lane_key: LaneKey, lane: Lane) -> bool:
        """End the lease of a lane that rests; return whether that worked.

        Its receiver may have come to another process just before, which couldn't take the lane: so that is looked up after it.
        """
        try:
            await self._store.write(lambda connection: self._outbox.leases.give(connection, *lane_key, ""))
            process = await self._process_of(lane_key)
            if process is not None:
                await self._store.write(lambda connection: self._outbox.leases.give(connection, *lane_key, process))
        except Exception as problem:  # the database can't be used now
            log.debug("%s %s can't be released now: %s", lane_key[0], short_id(lane_key[1]), problem)
            return False
        lane.doubt()
        return True

    async def _finish_delivery(self, lane_key: LaneKey, lane: Lane, entries: Sequence[Entry], outcome: Any) -> None:
        """Remove delivered entries, and write what follows: at once, or with a later transaction where that is harmless."""
        if outcome or not self._targets[lane_key[0]].recognises:
            await self._finish(entries, outcome)
        else:
            self._remove_later(entries)
        lane.remove({entry.key for entry in entries})

    def _remove_later(self, entries: Sequence[Entry]) -> None:
        keys = {entry.key for entry in entries}
        self._delivered |= keys
        removal = self._store.write_soon(lambda connection: self._outbox.remove(connection, entries))

        def after_removal(removal: "asyncio.Future[None]") -> None:
            if removal.cancelled():
                return
            if removal.exception() is None:
                self._delivered -= keys
            elif not self._ended:  # the database can't be used now
                asyncio.get_running_loop().call_later(REMOVED_AGAIN, self._remove_later, entries)

        removal.add_done_callback(after_removal)

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

    async def _gather(self, lane_key: LaneKey, lane: Lane, one_by_one: bool = False) -> list[Entry]:
        """Return the first entries of the lane, after a patient target has waited for more."""
        patient, deadline = self._patient.get(lane_key[0]), None
        most = 1 if one_by_one else self._targets[lane_key[0]].batch
        while entries := await self._head(lane_key, lane, most):
            if patient is None or len(entries) >= most or lane.flushes:
                return entries
            now, patience = time.monotonic(), patient.patience(entries)
            deadline = deadline or now + patience
            if not patience or now >= deadline:
                return entries
            if self._ended:
                break
            await _wait_for_signal(lane.signal, deadline - now)
        return []

    async def _head(self, lane_key: LaneKey, lane: Lane, most: int) -> list[Entry]:
        """Return the first entries of a lane, ``most`` at most; read them unless they are known."""
        if lane.more and len(lane.known) < most:
            lane.begin_reading()
            head, more = await self._store.write(
                lambda connection: self._outbox.leased(connection, *lane_key, MOST_IN_MEMORY)
            )
            lane.read((entry for entry in head if entry.key not in self._delivered), more)
        return list(islice(lane.known, most))


async def _wait_for_signal(signal: asyncio.Event, seconds: float) -> None:
    """Wait until the signal is set, ``seconds`` at most, and clear it."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(signal.wait(), seconds)
    signal.clear()
