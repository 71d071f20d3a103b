"""Rasa's tracker store as it is: its errors are told, what can't be saved is kept, and the event loop doesn't wait for it.

Rasa 3.6 wraps every tracker store in ``FailSafeTrackerStore``: one that can't be read answers None, so that the bot takes the
customer for a new one, and what can't be saved goes to a memory that nobody reads. And its stores for SQL, Redis and Mongo
block while they wait: a SQLite file that another process holds for five seconds each time, a stopped Postgres until it goes on.

1. We read and write the wrapped store; an error is :class:`Unreachable`.
2. Rasa's own turns do too, as long as :func:`mend` holds: a turn that can't be saved is given to the relay, which writes it when
   the store is back. A turn that couldn't read its tracker is never saved over the one that is there.
3. The stores known to block are called in a thread, one access after the other, as Rasa itself does in its event loop.
   What a project brings of its own stays in the event loop, where Rasa calls it.

Seen with ``rasa.core.tracker_store`` of 3.6.21.
"""

import asyncio
import contextlib
import copy
import queue
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar

from rasa.core.tracker_store import (
    FailSafeTrackerStore,
    MongoTrackerStore,
    RedisTrackerStore,
    SQLTrackerStore,
    TrackerStore,
)
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import ActionExecuted, Event
from rasa.shared.core.trackers import DialogueStateTracker, TrackerEventDiffEngine

from rasa_handoff.store.tasks import begin
from rasa_handoff.vocabulary.errors import StoreError, Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

T = TypeVar("T")

ANSWER_SECONDS = 3.0
"""How long the store is waited for where somebody waits for an answer: in a turn of the bot's, at a handoff."""
AWAY_SECONDS: Final = 5.0
"""How long after a failure nobody who waits for an answer tries again; the outbox does."""

BLOCKING: Final = (SQLTrackerStore, RedisTrackerStore, MongoTrackerStore)
"""Stores that block and may be called from a thread. (boto3's tables, in ``DynamoTrackerStore``, may not.)"""
CALLED: Final = ("retrieve", "retrieve_full_tracker", "save")
LASTING: Final = (AttributeError, LookupError, TypeError, ValueError)
"""Errors that say nothing about whether the store is there: they come again each time."""


class Keeper(NamedTuple):
    """Keeps the events of a turn that couldn't be saved, by conversation, and sees that they are written later. ``keep`` raises
    StoreError if it can't; ``claims``: whether the conversation is certainly this keeper's; ``write``: the store is back."""

    keep: Callable[[str, Sequence[Event]], Awaitable[None]]
    claims: Callable[[str], bool] = lambda _: False
    write: Callable[[], Coroutine[Any, Any, None]] | None = None


class StoreAccess:
    """One tracker store, unwrapped. Get it by :func:`access`."""

    def __init__(self, store: TrackerStore) -> None:
        self._store = weakref.ref(store)  # the access is kept beside its store, and goes with it
        self._thread = _Thread() if _blocks(store) else None
        self._failed_at: float | None = None

    @property
    def failing(self) -> bool:
        """Whether its last use failed."""
        return self._failed_at is not None

    @property
    def away(self) -> bool:
        """Whether it failed just now."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < AWAY_SECONDS

    async def retrieve(self, conversation_id: str, *, full: bool = False) -> DialogueStateTracker | None:
        """The tracker, of its latest session or with ``full`` of all; None if there is none.

        Raises:
            Unreachable: it can't be read now.
        """
        store = self._known()
        call = store.retrieve_full_tracker if full else store.retrieve
        tracker: DialogueStateTracker | None = await self._told(call, conversation_id)
        return tracker

    async def look(self, conversation_id: str, seconds: float | None = None) -> DialogueStateTracker | None:
        """The same where somebody waits for an answer: not longer than this, and not at all while the store is known to be away.

        Raises:
            Unreachable: it can't be read now.
        """
        return await self._in_time(self.retrieve(conversation_id), ANSWER_SECONDS if seconds is None else seconds)

    async def save_in_time(self, tracker: DialogueStateTracker) -> None:
        """The same as :meth:`save` where somebody waits. One that is under way in the thread then is finished there, before
        anything else is read or written; a project's own store is waited for.

        Raises:
            Unreachable: it can't be written now.
        """
        await self._in_time(self.save(tracker), ANSWER_SECONDS if self._thread is not None else None)

    async def _in_time(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        if self.away:
            work.close()
            raise Unreachable("The tracker store couldn't be reached a moment ago.")
        try:
            return await asyncio.wait_for(work, seconds)
        except asyncio.TimeoutError as problem:
            self._fail(f"no answer within {seconds:g} s")
            raise Unreachable(f"The tracker store didn't answer within {seconds:g} s.") from problem

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the tracker; its new events go to the event broker first, as Rasa does it.

        Raises:
            Unreachable: it can't be written now. Events may have gone to the broker, and will again.
        """
        store = self._known()
        if self._thread is not None and store.event_broker is not None:
            known = await self.retrieve(tracker.sender_id)
            new = TrackerEventDiffEngine.event_difference(known, tracker)
            with self._telling():
                await store._stream_new_events(store.event_broker, new, tracker.sender_id)
            # A copy has the same engine or client; the broker belongs to the event loop.
            store = copy.copy(store)
            store.event_broker = None
        await self._told(store.save, tracker)

    async def _told(self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any) -> Any:
        with self._telling():
            try:
                found = await self._run(call, about)
            except Exception as problem:
                if not getattr(problem, "connection_invalidated", False):
                    raise
                # SQLAlchemy's pool had kept a connection that was cut, and has made itself anew; both calls may be made twice.
                found = await self._run(call, about)
        if self._failed_at is not None:
            self._failed_at = None
            log.info("The tracker store is back.")
            for keeper in _keeping:
                if keeper.write is not None:
                    begin(keeper.write())
        return found

    async def _run(self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any) -> Any:
        if self._thread is None:
            return await call(about)
        return await asyncio.wrap_future(self._thread.run(lambda: _finish(call(about))))

    @contextlib.contextmanager
    def _telling(self) -> Any:
        try:
            yield
        except LASTING:
            raise
        except Exception as problem:
            sentence = str(getattr(problem, "orig", None) or problem) or repr(problem)
            self._fail(sentence.splitlines()[0])
            raise Unreachable(f"The tracker store can't be reached: {sentence.splitlines()[0]}") from problem

    def _fail(self, sentence: str) -> None:
        if self._failed_at is None:  # once, not once per attempt
            log.error("The tracker store can't be reached: %s. What is to be written waits.", sentence.rstrip("."))
        self._failed_at = time.monotonic()

    def _known(self) -> TrackerStore:
        store = self._store()
        assert store is not None, "an access is used only through its store"
        return store


_accesses: "weakref.WeakKeyDictionary[TrackerStore, StoreAccess]" = weakref.WeakKeyDictionary()


def access(store: TrackerStore) -> StoreAccess:
    """How to reach this store, which may be Rasa's wrapper."""
    while isinstance(store, FailSafeTrackerStore):
        store = store._tracker_store
    if store not in _accesses:
        _accesses[store] = StoreAccess(store)
    return _accesses[store]


def _blocks(store: TrackerStore) -> bool:
    """Whether it blocks, may be called from a thread, and is called as Rasa wrote it."""
    kind = next((kind for kind in BLOCKING if isinstance(store, kind)), None)
    if kind is None or any(getattr(type(store), name) is not getattr(kind, name) for name in CALLED):
        return False
    url = getattr(getattr(store, "engine", None), "url", None)
    in_memory = url is not None and url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    return not in_memory  # each thread would have a database of its own


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits for the event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("A tracker store of Rasa's waited for the event loop: it can't be called in a thread.")


class _Thread:
    """Runs what it is given, in order. It doesn't hold up the end of the process, as an executor's would."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=_run_all, args=(self._work,), name="tracker-store", daemon=True).start()
        weakref.finalize(self, self._work.put, None)

    def run(self, work: Callable[[], Any]) -> "Future[Any]":
        """Run this after what was given before; cancelled in time, it isn't run."""
        future: Future[Any] = Future()
        self._work.put((future, work))
        return future


def _run_all(given: "queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]") -> None:
    while (next_one := given.get()) is not None:
        future, work = next_one
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as problem:  # whoever asked has it
                future.set_exception(problem)
        del next_one, future, work  # or the last tracker stays until the next comes


# Rasa's own turns

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


def restore(keeper: Keeper) -> None:
    """No longer; with nobody left who wants it, Rasa is as it was."""
    if keeper in _keeping:
        _keeping.remove(keeper)
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
    if not getattr(tracker, UNREAD, False):
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


async def _kept(tracker: DialogueStateTracker) -> bool:
    """Give what isn't in the store to somebody who writes it later; False if nobody can."""
    new = list(tracker.events)[getattr(tracker, KNOWN, 0) :]
    for keeper in sorted(_keeping, key=lambda keeper: not keeper.claims(tracker.sender_id)):
        try:
            if new:
                await keeper.keep(tracker.sender_id, new)
        except (StoreError, *LASTING) as problem:
            log.error("%s events of %s can't be kept for later: %s", len(new), short_id(tracker.sender_id), problem)
        else:
            setattr(tracker, KNOWN, len(tracker.events))
            return True
    return False


MENDED: Final[dict[str, Any]] = {
    "retrieve": _retrieve,
    "retrieve_full_tracker": _retrieve_full_tracker,
    "get_or_create_tracker": _get_or_create_tracker,
    "save": _save,
}
