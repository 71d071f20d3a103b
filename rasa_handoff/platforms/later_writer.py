"""Changes to trackers that wait while the tracker store is away.

They are in the channel's database, so they outlive the process: another process of the project, or the next start, makes them
once this one has ended. In one conversation they are made in their order.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.platforms.memory import Memory
from rasa_handoff.platforms.memory_tables import WaitingRow
from rasa_handoff.platforms.tracker_changes import TrackerChange, TrackerChanges
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import as_json
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

AGAIN_SECONDS: Final = 1.0
"""Seconds between two attempts to write what is kept."""
ADOPTED_EVERY: Final = 5.0
"""Seconds between two looks for changes of processes that have ended."""
MOST: Final = 10_000
"""Changes that are kept at most, of all conversations."""


class WaitingChange:
    """A change that waits. ``number``: its row's; None if the database couldn't be used, or the row isn't written yet."""

    def __init__(self, change: TrackerChange, number: int | None = None) -> None:
        self.change, self.number = change, number
        self.stored = asyncio.Event()
        if number is not None:
            self.stored.set()


class LaterWriter:
    """Makes changes to trackers: at once, or when the tracker store is back."""

    def __init__(self, bot: Bot, memory: Memory, changes: TrackerChanges) -> None:
        self._bot, self._memory, self._changes = bot, memory, changes
        self._waiting: dict[str, list[WaitingChange]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._adopting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to make what earlier processes have left."""
        self._adopting = asyncio.create_task(self._adopt())

    async def change(self, conversation_id: str, change: TrackerChange) -> bool | None:
        """Make the change now and return whether the conversation is paused by it; None if it is made later."""
        if conversation_id not in self._waiting:
            try:
                async with self._bot.locked(conversation_id) as tracker:
                    return self._changes.make(tracker, change)
            except Unreachable as problem:
                log.warning("The tracker of %s is written later: %s", short_id(conversation_id), problem)
        await self.keep(conversation_id, change)
        return None

    async def keep(self, conversation_id: str, change: TrackerChange) -> None:
        """Make the change as soon as the tracker store can be written.

        Raises:
            StoreError: too many changes wait.
        """
        if sum(map(len, self._waiting.values())) >= MOST:
            raise StoreError(f"More than {MOST:,} changes wait for the tracker store.")
        waits = WaitingChange(change)
        self._add(conversation_id, [waits])
        try:
            waits.number = await self._memory.keep_change(conversation_id, as_json(change))
        finally:
            waits.stored.set()

    def adopt(self, found: Iterable[WaitingRow]) -> None:
        """Make changes that are in the database too. Another process may make them at the same time, which changes nothing."""
        for row in found:
            known = self._waiting.get(row.conversation_id, ())
            if any(waits.number == row.number for waits in known):
                continue
            try:
                change = msgspec.json.decode(row.body, type=TrackerChange)
            except msgspec.DecodeError as problem:
                log.error("A change to the tracker of %s can't be read: %s", short_id(row.conversation_id), problem)
                continue
            self._add(row.conversation_id, [WaitingChange(change, row.number)])

    def _add(self, conversation_id: str, changes: Iterable[WaitingChange]) -> None:
        self._waiting.setdefault(conversation_id, []).extend(changes)
        if conversation_id not in self._tasks:
            self._tasks[conversation_id] = asyncio.create_task(self._write(conversation_id))

    async def has_kept(self, conversation_id: str) -> bool:
        """Return whether changes of this conversation wait to be written."""
        return conversation_id in self._waiting

    def waiting(self, conversation_id: str) -> list[TrackerChange]:
        """Return the changes of this conversation that wait, oldest first."""
        return [waits.change for waits in self._waiting.get(conversation_id, ())]

    async def written(self, conversation_id: str, seconds: float) -> None:
        """Wait until no change of this conversation waits, for at most this many seconds."""
        task = self._tasks.get(conversation_id)
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)

    async def close(self) -> None:
        """Stop writing. What is in the database is made after the next start; the rest is lost, which is logged."""
        await cancel_all(*self._tasks.values(), *([self._adopting] if self._adopting is not None else ()))
        for conversation_id, changes in self._waiting.items():
            lost = sum(waits.number is None for waits in changes)
            if lost:
                log.error(
                    "%s changes to the tracker of %s are lost: its store stayed away.", lost, short_id(conversation_id)
                )

    async def _adopt(self) -> None:
        while True:
            self.adopt(await self._memory.adopt_changes())
            await asyncio.sleep(ADOPTED_EVERY)

    async def _write(self, conversation_id: str) -> None:
        """Make this conversation's changes, each in a save of its own, so that only one that can't be saved is dropped."""
        waiting = self._waiting[conversation_id]
        try:
            while waiting:
                await waiting[0].stored.wait()
                try:
                    async with self._bot.locked(conversation_id) as tracker:
                        self._changes.make(tracker, waiting[0].change)
                except Unreachable:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                except Exception:
                    log.exception(
                        "A change to the tracker of %s can't be made: it is dropped.", short_id(conversation_id)
                    )
                made = waiting.pop(0)
                if made.number is not None:
                    await self._memory.drop_change(made.number)
            del self._waiting[conversation_id]
        finally:
            del self._tasks[conversation_id]
