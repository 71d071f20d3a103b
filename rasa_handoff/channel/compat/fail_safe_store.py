"""Rasa's wrapper of its tracker store, replaced so that no turn is lost while the store is away.

Rasa 3.6 wraps every tracker store in ``FailSafeTrackerStore``. If the store can't be read, the wrapper answers None, so that the
bot takes the customer for a new one; if it can't be written, the turn goes to a memory that nobody reads. And Rasa's stores for
SQL, Redis and Mongo block while they wait: for five seconds at a SQLite file that another process has locked, for as long as it
takes at a stopped Postgres.

While :func:`patch` is in force, Rasa's turns use the store by ``tracker_store.py``. An unsaved turn, one that the store doesn't
take now, is given to a :class:`Keeper`, which writes it when the store is back: the relay with its outbox, or a platform channel.
A turn that couldn't read its tracker is never saved over the stored one. A turn that could read its tracker while an earlier turn
still waits is written after the earlier one.

``event_types.py`` is patched together with it.
"""

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from rasa.core.tracker_store import FailSafeTrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import ActionExecuted, Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat import event_types
from rasa_handoff.channel.compat.patches import Patches, instead
from rasa_handoff.channel.compat.tracker_store import LASTING, access, begun_when_back
from rasa_handoff.channel.trackers_in_memory import note_stored, unstored
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

UNREAD: Final = "_handoff_unread"
"""Attribute of a tracker that is blank because the store couldn't be read."""


class Keeper(NamedTuple):
    """Keeps the events of turns that couldn't be saved, and has them written later.

    ``keep`` takes the events of a conversation, or raises StoreError if it can't. ``has_kept`` returns whether events of this
    conversation wait. ``is_handling`` returns whether this keeper's channel is handling the conversation now; such a keeper is
    asked first. ``write`` is called when the store is back.
    """

    keep: Callable[[str, Sequence[Event]], Awaitable[None]]
    has_kept: Callable[[str], Awaitable[bool]]
    is_handling: Callable[[str], bool] = lambda _: False
    write: Callable[[], Coroutine[Any, Any, None]] | None = None


_keeping: list[Keeper] = []


def patch(keeper: Keeper) -> None:
    """Make Rasa's turns use :mod:`tracker_store`, and give ``keeper`` those that can't be saved. Undone by :func:`restore`."""
    PATCHES.apply()
    event_types.PATCHES.apply()
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
        event_types.PATCHES.restore()
        PATCHES.restore()


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
        tracker = await access(self).retrieve_in_time(sender_id)
    except Exception as problem:
        if not isinstance(problem, Unreachable):
            self.on_tracker_store_retrieve_error(problem)
        blank = self.init_tracker(sender_id)
        # As if the bot had listened: a new session would greet a customer in the middle of a conversation.
        blank.update(ActionExecuted(ACTION_LISTEN_NAME))
        setattr(blank, UNREAD, True)
        note_stored(blank)
        return blank
    if tracker is None:
        tracker = await self.create_tracker(sender_id, append_action_listen=append_action_listen)
    else:
        note_stored(tracker)
    access(self).in_memory.note_turn(tracker)
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
            return note_stored(tracker)
    if not await _give_to_keeper(tracker):
        await self.fallback_tracker_store.save(tracker)


async def _earlier_waits(conversation_id: str) -> bool:
    """Return whether earlier events of this conversation are still kept. None is written meanwhile, since Rasa's lock is held."""
    for keeper in _keeping:
        with contextlib.suppress(StoreError):  # a keeper that fails here would also have failed to keep events
            if await keeper.has_kept(conversation_id):
                return True
    return False


async def _give_to_keeper(tracker: DialogueStateTracker) -> bool:
    """Give the events that aren't in the store to a keeper; return False if no keeper can ever store them.

    Raises:
        StoreError: no keeper can store them now. The turn fails then, and its customer gets a notice: Rasa's fallback would
            accept it and lose it with the process.
    """
    new = unstored(tracker)
    trouble: StoreError | None = None
    for keeper in sorted(_keeping, key=lambda keeper: not keeper.is_handling(tracker.sender_id)):
        try:
            if new:
                await keeper.keep(tracker.sender_id, new)
        except StoreError as problem:
            trouble = problem
        except LASTING as problem:
            log.error("%s events of %s can't be kept for later: %s", len(new), short_id(tracker.sender_id), problem)
        else:
            note_stored(tracker)
            return True
    if trouble is not None:
        raise trouble
    return False


PATCHES: Final = Patches(
    FailSafeTrackerStore,
    {
        "retrieve": instead(_retrieve),
        "retrieve_full_tracker": instead(_retrieve_full_tracker),
        "get_or_create_tracker": instead(_get_or_create_tracker),
        "save": instead(_save),
    },
)
