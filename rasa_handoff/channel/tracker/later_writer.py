"""Changes to trackers that wait in memory while the tracker store is away, for platform channels, which have no database."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.tracker_writer import turn_events
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.outbox_bodies import TurnBody
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

AGAIN_SECONDS: Final = 1.0
"""Seconds between two attempts to write what is kept."""
MOST: Final = 10_000
"""Changes that are kept at most, of all conversations."""

TrackerChange = Callable[[DialogueStateTracker], Any]


class LaterWriter:
    """Changes to trackers, kept in memory and made when the tracker store is back, in order for each conversation.

    Those that still wait when the process ends are lost, which is logged.
    """

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._waiting: dict[str, list[TrackerChange]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def change(self, conversation_id: str, change: TrackerChange) -> Any:
        """Make the change now and return its result, or None if it is made later."""
        if conversation_id not in self._waiting:
            try:
                async with self._bot.locked(conversation_id) as tracker:
                    return change(tracker)
            except Unreachable as problem:
                log.warning("The tracker of %s is written later: %s", short_id(conversation_id), problem)
        self.keep(conversation_id, change)
        return None

    def keep(self, conversation_id: str, change: TrackerChange) -> None:
        """Make the change as soon as the store can be written.

        Raises:
            StoreError: too many changes wait.
        """
        if sum(map(len, self._waiting.values())) >= MOST:
            raise StoreError(f"More than {MOST:,} changes wait for the tracker store.")
        self._waiting.setdefault(conversation_id, []).append(change)
        if conversation_id not in self._tasks:
            self._tasks[conversation_id] = asyncio.create_task(self._write(conversation_id))

    async def keep_turn(self, conversation_id: str, events: Sequence[Event]) -> None:
        """Keep the events of a bot's turn that Rasa couldn't save.

        Raises:
            StoreError: too many changes wait.
        """
        body = TurnBody(events=[event.as_dict() for event in events])
        self.keep(conversation_id, lambda tracker: self._add(tracker, body))

    async def has_kept(self, conversation_id: str) -> bool:
        """Return whether changes of this conversation wait to be written."""
        return conversation_id in self._waiting

    def _add(self, tracker: DialogueStateTracker, body: TurnBody) -> None:
        tracker.update_with_events(turn_events(tracker, body), self._bot.domain)

    async def written(self, conversation_id: str, seconds: float) -> None:
        """Wait until no change of this conversation waits, for at most this many seconds."""
        task = self._tasks.get(conversation_id)
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)

    async def close(self) -> None:
        """Stop writing, and log the changes that are lost."""
        await cancel_all(*self._tasks.values())
        for conversation_id, changes in self._waiting.items():
            log.error(
                "%s changes to the tracker of %s are lost: its store stayed away.",
                len(changes),
                short_id(conversation_id),
            )

    async def _write(self, conversation_id: str) -> None:
        """Make this conversation's changes, each in a save of its own, so that only one that can't be saved is dropped."""
        waiting = self._waiting[conversation_id]
        try:
            while waiting:
                try:
                    async with self._bot.locked(conversation_id) as tracker:
                        waiting[0](tracker)
                except Unreachable:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                except Exception:
                    log.exception(
                        "A change to the tracker of %s can't be made: it is dropped.", short_id(conversation_id)
                    )
                del waiting[0]
            del self._waiting[conversation_id]
        finally:
            del self._tasks[conversation_id]
