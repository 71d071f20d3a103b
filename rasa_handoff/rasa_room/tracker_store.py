"""Rasa's own turns, with the tracker store as it is: what can't be saved is kept.

Rasa 3.6 wraps every tracker store in ``FailSafeTrackerStore``: one that can't be read answers None, so that the bot takes the
customer for a new one, and what can't be saved goes to a memory that nobody reads. And its stores for SQL, Redis and Mongo
block while they wait: a SQLite file that another process holds for five seconds each time, a stopped Postgres until it goes on.

As long as :func:`mend` holds, Rasa's turns use the store as we do (``store_access.py``): a turn that can't be saved is given to
the relay, which writes it when the store is back. A turn that couldn't read its tracker is never saved over the one that is
there, and one that could, while an earlier one still waits, is written behind it.

Seen with ``rasa.core.tracker_store`` of 3.6.21.
"""

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from rasa.core.tracker_store import FailSafeTrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import ActionExecuted, Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.store_access import LASTING, access, begun_when_back
from rasa_handoff.vocabulary.errors import StoreError, Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)


class Keeper(NamedTuple):
    """Keeps the events of a turn that couldn't be saved, by conversation, and sees that they are written later. ``keep`` raises
    StoreError if it can't; ``keeps``: whether it has such of this conversation, which waits; ``claims``: whether the conversation
    is certainly this keeper's; ``write``: the store is back."""

    keep: Callable[[str, Sequence[Event]], Awaitable[None]]
    keeps: Callable[[str], Awaitable[bool]]
    claims: Callable[[str], bool] = lambda _: False
    write: Callable[[], Coroutine[Any, Any, None]] | None = None


_originals: dict[str, Any] = {}
_keeping: list[Keeper] = []

KNOWN: Final = "_handoff_known"
"""Attribute of a tracker: how many of its events are in the store, or kept for it."""
UNREAD: Final = "_handoff_unread"
"""Attribute of a tracker that is blank because the store couldn't be read."""


def mend(keeper: Keeper) -> None:
    """From now on Rasa's turns use the store as we do, and ``keeper`` has what can't be saved. Undone by :func:`restore`."""
    if not _keeping:
        for name, ours in MENDED.items():
            _originals[name] = FailSafeTrackerStore.__dict__.get(name)
            setattr(FailSafeTrackerStore, name, ours)
    _keeping.append(keeper)
    if keeper.write is not None:
        begun_when_back.append(keeper.write)


def restore(keeper: Keeper) -> None:
    """No longer; with nobody left who wants it, Rasa is as it was."""
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
        return None  # logged, once
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
        # As if it had listened: a new session would greet somebody in the middle of a conversation.
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
            pass  # logged, once
        except Exception as problem:
            self.on_tracker_store_error(problem)
        else:
            return setattr(tracker, KNOWN, len(tracker.events))
    if not await _kept(tracker):
        await self.fallback_tracker_store.save(tracker)


async def _earlier_waits(conversation_id: str) -> bool:
    """Whether events are kept that belong before what is saved now. Rasa's lock is held: none of them is written meanwhile."""
    for keeper in _keeping:
        with contextlib.suppress(StoreError):  # a keeper that can't tell couldn't keep it either
            if await keeper.keeps(conversation_id):
                return True
    return False


async def _kept(tracker: DialogueStateTracker) -> bool:
    """Give what isn't in the store to somebody who writes it later; False if nobody is there, or nobody ever can.

    Raises:
        StoreError: none of them can write it down now. The turn has failed then, and its customer is told: in Rasa's fallback it
            would be gone with the process, and was accepted.
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


MENDED: Final[dict[str, Any]] = {
    "retrieve": _retrieve,
    "retrieve_full_tracker": _retrieve_full_tracker,
    "get_or_create_tracker": _get_or_create_tracker,
    "save": _save,
}
