"""Turns of the bot that the tracker store can't save, kept until it can.

Rasa 3.6 wraps every tracker store in ``FailSafeTrackerStore``. If the store can't be read, the wrapper answers None, so that the
bot takes the customer for a new one; if it can't be written, the turn goes to a memory that nobody reads. And Rasa's stores for
SQL, Redis and Mongo block while they wait: for five seconds at a SQLite file that another process has locked, for as long as it
takes at a stopped Postgres.

While :func:`patch` is in force, Rasa's turns use the store by ``tracker_store.py``. A turn that can't be saved is given to a
:class:`Keeper`, which writes it when the store is back: the relay with its outbox, or, for platform channels, which have no
database, a :class:`LaterWriter` with its memory. A turn that couldn't read its tracker is never saved over the stored one. A
turn that could, while an earlier one still waits, is written after that.

Seen with ``rasa.core.tracker_store`` of 3.6.21.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from rasa.core.tracker_store import FailSafeTrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import ActionExecuted, Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.tracker_store import LASTING, access, begun_when_back
from rasa_handoff.channel.tracker.tracker_writer import turn
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

KNOWN: Final = "_handoff_known"
"""Attribute of a tracker: how many of its events are in the store, or kept for it."""
UNREAD: Final = "_handoff_unread"
"""Attribute of a tracker that is blank because the store couldn't be read."""
PAUSE: Final = 1.0
"""Seconds between two attempts to write what is kept."""
MOST: Final = 10_000
"""Changes that are kept at most, of all conversations."""

Change = Callable[[DialogueStateTracker], Any]


class Keeper(NamedTuple):
    """Keeps the events of turns that couldn't be saved, and has them written later.

    ``keep`` takes the events of a conversation, or raises StoreError if it can't. ``keeps`` returns whether events of this
    conversation wait. ``claims`` returns whether the conversation is certainly this keeper's. ``write`` is called when the store
    is back.
    """

    keep: Callable[[str, Sequence[Event]], Awaitable[None]]
    keeps: Callable[[str], Awaitable[bool]]
    claims: Callable[[str], bool] = lambda _: False
    write: Callable[[], Coroutine[Any, Any, None]] | None = None


_originals: dict[str, Any] = {}
_keeping: list[Keeper] = []


def patch(keeper: Keeper) -> None:
    """Make Rasa's turns use :mod:`tracker_store`, and give ``keeper`` those that can't be saved. Undone by :func:`restore`."""
    if not _keeping:
        for name, ours in PATCHES.items():
            _originals[name] = FailSafeTrackerStore.__dict__.get(name)
            setattr(FailSafeTrackerStore, name, ours)
    _keeping.append(keeper)
    if keeper.write is not None:
        begun_when_back.append(keeper.write)


def restore(keeper: Keeper) -> None:
    """Remove this keeper; without any keeper left, Rasa's wrapper is as before."""
    if keeper in _keeping:
        _keeping.remove(keeper)
        if keeper.write is not None:
            begun_when_back.remove(keeper.write)
    if not _keeping:
        for name, original in _originals.items():
            if original is None:
                delattr(FailSafeTrackerStore, name)
            else:
                setattr(FailSafeTrackerStore, name, original)
        _originals.clear()


async def _retrieve(self: FailSafeTrackerStore, sender_id: str) -> DialogueStateTracker | None:
    return await _retrieved(self, sender_id, full=False)


async def _retrieve_full_tracker(self: FailSafeTrackerStore, sender_id: str) -> DialogueStateTracker | None:
    return await _retrieved(self, sender_id, full=True)


async def _retrieved(store: FailSafeTrackerStore, sender_id: str, full: bool) -> DialogueStateTracker | None:
    try:
        return await access(store).retrieve(sender_id, full=full)
    except Unreachable:
        return None  # already logged, once
    except Exception as problem:
        store.on_tracker_store_retrieve_error(problem)
        return None


async def _get_or_create_tracker(
    self: FailSafeTrackerStore,
    sender_id: str,
    max_event_history: int | None = None,
    append_action_listen: bool = True,
) -> DialogueStateTracker:
    self.max_event_history = max_event_history
    try:
        tracker = await access(self).look(sender_id)
    except Exception as problem:
        if not isinstance(problem, Unreachable):
            self.on_tracker_store_retrieve_error(problem)
        blank = self.init_tracker(sender_id)
        # As if the bot had listened: a new session would greet a customer in the middle of a conversation.
        blank.update(ActionExecuted(ACTION_LISTEN_NAME))
        setattr(blank, UNREAD, True)
        setattr(blank, KNOWN, len(blank.events))
        return blank
    if tracker is None:
        return await self.create_tracker(sender_id, append_action_listen=append_action_listen)
    setattr(tracker, KNOWN, len(tracker.events))
    return tracker


async def _save(self: FailSafeTrackerStore, tracker: DialogueStateTracker) -> None:
    if not getattr(tracker, UNREAD, False) and not await _earlier_waits(tracker.sender_id):
        try:
            await access(self).save_in_time(tracker)
        except Unreachable:
            pass  # already logged, once
        except Exception as problem:
            self.on_tracker_store_error(problem)
        else:
            return setattr(tracker, KNOWN, len(tracker.events))
    if not await _kept(tracker):
        await self.fallback_tracker_store.save(tracker)


async def _earlier_waits(conversation_id: str) -> bool:
    """Return whether earlier events of this conversation are still kept. None is written meanwhile, since Rasa's lock is held."""
    for keeper in _keeping:
        with contextlib.suppress(StoreError):  # a keeper that can't be asked couldn't keep it either
            if await keeper.keeps(conversation_id):
                return True
    return False


async def _kept(tracker: DialogueStateTracker) -> bool:
    """Give the events that aren't in the store to a keeper; return False if no keeper can ever store them.

    Raises:
        StoreError: no keeper can store them now. The turn fails then, and its customer gets a notice: Rasa's fallback would
            accept it and lose it with the process.
    """
    new = list(tracker.events)[getattr(tracker, KNOWN, 0) :]
    trouble: StoreError | None = None
    for keeper in sorted(_keeping, key=lambda keeper: not keeper.claims(tracker.sender_id)):
        try:
            if new:
                await keeper.keep(tracker.sender_id, new)
        except StoreError as problem:
            trouble = problem
        except LASTING as problem:
            log.error("%s events of %s can't be kept for later: %s", len(new), short_id(tracker.sender_id), problem)
        else:
            setattr(tracker, KNOWN, len(tracker.events))
            return True
    if trouble is not None:
        raise trouble
    return False


PATCHES: Final[dict[str, Any]] = {
    "retrieve": _retrieve,
    "retrieve_full_tracker": _retrieve_full_tracker,
    "get_or_create_tracker": _get_or_create_tracker,
    "save": _save,
}


class LaterWriter:
    """Changes to trackers, kept in memory and made when the tracker store is back, in order for each conversation.

    Those that still wait when the process ends are lost, which is logged.
    """

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._waiting: dict[str, list[Change]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def change(self, conversation_id: str, change: Change) -> Any:
        """Make the change now and return its result, or None if it is made later."""
        if conversation_id not in self._waiting:
            try:
                async with self._bot.locked(conversation_id) as tracker:
                    return change(tracker)
            except Unreachable as problem:
                log.warning("The tracker of %s is written later: %s", short_id(conversation_id), problem)
        self.keep(conversation_id, change)
        return None

    def keep(self, conversation_id: str, change: Change) -> None:
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
        body = {"events": [event.as_dict() for event in events]}
        self.keep(conversation_id, lambda tracker: self._add(tracker, body))

    async def keeps(self, conversation_id: str) -> bool:
        """Return whether changes of this conversation wait to be written."""
        return conversation_id in self._waiting

    def _add(self, tracker: DialogueStateTracker, body: dict[str, Any]) -> None:
        tracker.update_with_events(turn(tracker, body, ""), self._bot.domain)

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
        waiting, made = self._waiting[conversation_id], 0
        try:
            while waiting:
                try:
                    async with self._bot.locked(conversation_id) as tracker:
                        made = 0
                        for change in list(waiting):
                            change(tracker)
                            made += 1
                except Unreachable:
                    await asyncio.sleep(PAUSE)
                except Exception:
                    log.exception(
                        "A change to the tracker of %s can't be made: it is dropped.", short_id(conversation_id)
                    )
                    del waiting[made]
                else:
                    del waiting[:made]
            del self._waiting[conversation_id]
        finally:
            del self._tasks[conversation_id]
