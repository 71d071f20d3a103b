"""Access to one of Rasa's tracker stores that raises its errors and doesn't block the event loop.

1. It reads and writes the store inside Rasa's wrapper, which hides errors; here an error is :class:`Unreachable`.
2. Slow is not unreachable: a caller whose wait was too long goes on without the store, and nothing is logged. A store is
   unreachable if it raises, or has answered nobody for long; the log has one line when that begins and one when it is over.
3. Stores known to block are called in a thread, one call after the other, as Rasa does in its event loop. A project's own
   store is called in the event loop, as Rasa calls it.
"""

import asyncio
import contextlib
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar, cast

from rasa.core.tracker_store import (
    FailSafeTrackerStore,
    MongoTrackerStore,
    RedisTrackerStore,
    SQLTrackerStore,
    TrackerStore,
)
from rasa.shared.core.trackers import DialogueStateTracker, TrackerEventDiffEngine

from rasa_handoff.channel.compat import tracker_append
from rasa_handoff.channel.trackers_in_memory import TrackersInMemory
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.tasks import begin

log = get_log(__name__)

T = TypeVar("T")

ANSWER_SECONDS = 1.5
"""How long a store may answer nobody before a caller in a bot's turn or at a handoff gives up. Counted in ticks of the event
loop, so that a busy machine isn't taken for a silent store."""
TICK_SECONDS: Final = 0.1
HOLDS_UP_SECONDS: Final = 1.0
"""How long a call may wait for an answer before the store counts as holding callers up."""
LONG_SECONDS = 10.0
"""How long a caller waits for a store that answers others, and after how long without any answer it counts as unreachable."""
AWAY_SECONDS: Final = 5.0
"""For so long after a failure or a silence, callers who wait for an answer give up at once. The outbox goes on trying."""

BLOCKING: Final = (SQLTrackerStore, RedisTrackerStore, MongoTrackerStore)
"""Stores that block and may be called from a thread. (boto3's tables, in ``DynamoTrackerStore``, may not.)"""
CALLED: Final = ("retrieve", "retrieve_full_tracker", "save")
"""The methods that are called; a store whose subclass overrides one is a project's own."""
LASTING: Final = (AttributeError, LookupError, TypeError, ValueError)
"""Errors that don't mean that the store is unreachable: they repeat at each attempt."""

begun_when_back: Final[list[Callable[[], Coroutine[Any, Any, None]]]] = []
"""Coroutine functions, each begun when a store that was unreachable is back."""


class _Call:
    """One call of the store. ``asked``: when it was requested; ``began``: when it began; ``writes``: whether it writes."""

    def __init__(self, writes: bool = False) -> None:
        self.asked = self.began = time.monotonic()
        self.writes = writes


class StoreAccess:
    """Access to one tracker store, without Rasa's wrapper. Made by :func:`access`."""

    def __init__(self, store: TrackerStore) -> None:
        self._store = weakref.ref(store)  # weak: the access is kept for as long as its store
        self._thread = _Thread() if _blocks(store) else None
        self._failed_at: float | None = None
        """When the store failed last; None once a call has shown that it is back."""
        self._failed_writing = False
        """Whether a write was among the failures since the store was last reachable."""
        self._back_at = self._answered_at = self._late_at = -math.inf
        """When the store came back, when it answered last (an error is an answer), and when a caller last gave up waiting."""
        self._asked_in_vain: float | None = None
        """When the first of the callers who gave up had begun to wait."""
        self._open: set[_Call] = set()
        """The calls under way."""
        self.in_memory = TrackersInMemory()

    @property
    def failing(self) -> bool:
        """Whether the store's last use failed, or it answers nobody at the moment."""
        return self._failed_at is not None or self._silent_since is not None

    @property
    def away(self) -> bool:
        """Whether the store failed, or a caller waited in vain, within the last ``AWAY_SECONDS``."""
        failed = -math.inf if self._failed_at is None else self._failed_at
        late = -math.inf if self._silent_since is None else self._late_at
        return time.monotonic() - max(failed, late) < AWAY_SECONDS

    @property
    def holds_up(self) -> bool:
        """Whether the store fails, or has left a call without an answer for ``HOLDS_UP_SECONDS``."""
        asked = min((one.asked for one in self._open), default=math.inf)
        return self.failing or time.monotonic() - max(asked, self._answered_at) > HOLDS_UP_SECONDS

    @property
    def _silent_since(self) -> float | None:
        """Since when the store has answered nobody, by callers who waited in vain. An error is an answer too."""
        asked = self._asked_in_vain
        return None if asked is None or self._answered_at > asked else asked

    async def retrieve(self, conversation_id: str, *, full: bool = False) -> DialogueStateTracker | None:
        """Return the tracker with its latest session, or with ``full`` all sessions; None if there is none.

        Raises:
            Unreachable: the store can't be read now.
        """
        store = self._living_store()
        method = store.retrieve_full_tracker if full else store.retrieve
        tracker: DialogueStateTracker | None = await self._call(method, conversation_id)
        return tracker

    async def retrieve_in_time(self, conversation_id: str, seconds: float | None = None) -> DialogueStateTracker | None:
        """Return the tracker's latest session for a caller who waits for an answer.

        Waits at most ``seconds`` (None: for as long as the store answers others), and not at all while the store is :attr:`away`.

        Raises:
            Unreachable: the store can't be read now.
        """
        return await self._in_time(self.retrieve(conversation_id), seconds)

    async def ask_in_time(self, question: Callable[[SQLTrackerStore, str], T], conversation_id: str) -> T | None:
        """Ask Rasa's SQL store about a conversation without loading its tracker; None if it is another store.

        Waits as :meth:`retrieve_in_time` does.

        Raises:
            Unreachable: the store can't be read now.
        """
        store = self._living_store()
        if self._thread is None or not isinstance(store, SQLTrackerStore):
            return None

        async def answer(conversation_id: str) -> T:
            return question(store, conversation_id)

        return cast("T", await self._in_time(self._call(answer, conversation_id), None))

    async def save_in_time(self, tracker: DialogueStateTracker) -> None:
        """Write the tracker for a caller who waits; see :meth:`save`.

        A write that the thread has begun is finished there, before anything else is read or written. A project's own store is
        waited for to the end.

        Raises:
            Unreachable: the store can't be written now.
        """
        if self._thread is None and not self.away:
            return await self.save(tracker)
        await self._in_time(self.save(tracker), None)

    async def _in_time(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        if self.away:
            work.close()
            raise Unreachable("The tracker store couldn't be reached a moment ago.")
        asked, task = time.monotonic(), asyncio.ensure_future(work)
        try:
            return await self._patiently(task, asked, seconds)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=TICK_SECONDS)

    async def _patiently(self, task: "asyncio.Future[T]", asked: float, seconds: float | None) -> T:
        """Wait for the task, for at most ``seconds``, and return its result.

        With None, for at most ``LONG_SECONDS``, and only until the store has answered nobody for ``ANSWER_SECONDS``.
        """
        waited, silent, answered = 0.0, 0.0, self._answered_at
        while waited < (LONG_SECONDS if seconds is None else seconds):
            if (await asyncio.wait({task}, timeout=TICK_SECONDS))[0]:
                return task.result()
            waited += TICK_SECONDS
            silent = silent + TICK_SECONDS if self._answered_at == answered else 0.0
            answered = self._answered_at
            if seconds is None and silent >= ANSWER_SECONDS:
                break
        if seconds is None and self._answered_at < asked:
            self._note_silence(asked)
        raise Unreachable(f"The tracker store didn't answer within {waited:.1f} s.")

    def _note_silence(self, asked: float) -> None:
        """Note that a caller has waited in vain since ``asked``, and that nobody else was answered."""
        now, since = time.monotonic(), self._silent_since
        if since is None or now - self._late_at > 2 * AWAY_SECONDS:  # nobody has asked in between
            since = asked
        self._asked_in_vain, self._late_at = since, now
        self._check_silence(since)

    def _check_silence(self, asked: float) -> None:
        """Treat the store as unreachable if it has answered nobody since ``asked``, for long."""
        silent = time.monotonic() - asked
        if self._answered_at < asked and silent > LONG_SECONDS * 0.99:  # the event loop's timers may be a little early
            self._fail(f"no answer for {silent:.0f} s", asked)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the tracker; its new events go to the event broker first, as in Rasa.

        Raises:
            Unreachable: the store can't be written now. Events may have gone to the broker, and will be repeated there.
        """
        store = self._living_store()
        if self._thread is not None and store.event_broker is not None:
            known = await self.retrieve(tracker.sender_id)
            new = TrackerEventDiffEngine.event_difference(known, tracker)
            with self._translating(_Call()):
                await store._stream_new_events(store.event_broker, new, tracker.sender_id)
            store = tracker_append.without_broker(store)
        try:
            await self._call(store.save, tracker, writes=True)
        except BaseException:
            self.in_memory.forget(tracker.sender_id)
            raise
        self.in_memory.note_saved(tracker)

    async def append(self, new: DialogueStateTracker, mark: str, first: str) -> bool:
        """Add all events of this tracker to those of its conversation, without reading that; return False if it must be read.

        It must be read if the store isn't Rasa's SQL store, if no event of the conversation contains ``mark``, and if one of the
        latest that do contains ``first``: these events were perhaps added before. ``mark`` and ``first`` are parts of an event's
        JSON. Hold Rasa's lock of the conversation.

        Raises:
            Unreachable: the store can't be written now. Events may have gone to the broker, and will be repeated there.
        """
        store = self._living_store()
        if self._thread is None or not isinstance(store, SQLTrackerStore):
            return False

        async def latest(conversation_id: str) -> list[str]:
            return tracker_append.latest_marked(store, conversation_id, mark)

        marked: list[str] = await self._call(latest, new.sender_id)
        if not marked or any(first in text for text in marked):
            return False
        self.in_memory.forget(new.sender_id)
        if store.event_broker is not None:
            with self._translating(_Call()):
                await store._stream_new_events(store.event_broker, list(new.events), new.sender_id)
        await self._call(partial(tracker_append.append, store), new, writes=True)
        return True

    async def _call(self, method: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, writes: bool = False) -> Any:
        call = _Call(writes)
        with self._translating(call):
            try:
                found = await self._run(method, about, call)
            except Exception as problem:
                if not getattr(problem, "connection_invalidated", False):
                    raise
                # SQLAlchemy's pool had a connection that was cut, and has replaced it. Reading and saving may both be repeated.
                found = await self._run(method, about, call)
        if self._shows_recovery(call):
            self._failed_at, self._failed_writing, self._back_at = None, False, time.monotonic()
            log.warning("The tracker store is back.")  # a warning, since "rasa run" hides lower levels by default
            for when_back in begun_when_back:
                begin(when_back())
        return found

    def _shows_recovery(self, call: _Call) -> bool:
        """Return whether this call shows that the store is back.

        It must have begun after the failure, and if writing failed it must be a write: a full disk can still be read.
        """
        failed_at = self._failed_at
        return failed_at is not None and call.began > failed_at and (call.writes or not self._failed_writing)

    async def _run(self, method: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, call: _Call) -> Any:
        watching = asyncio.get_running_loop().call_later(LONG_SECONDS, self._check_silence, call.asked)
        self._open.add(call)
        try:
            if self._thread is not None:  # a call whose caller gave up is still observed there
                return await asyncio.wrap_future(self._thread.run(lambda: self._call_in_thread(method, about, call)))
            return await self._call_in_loop(method, about, watching)
        finally:
            self._open.discard(call)

    async def _call_in_loop(
        self, method: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, watching: asyncio.TimerHandle
    ) -> Any:
        """Call the store in the event loop."""
        try:
            found = await method(about)
        except Exception:
            self._answered_at = time.monotonic()
            raise
        finally:
            watching.cancel()
        self._answered_at = time.monotonic()
        return found

    def _call_in_thread(self, method: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, call: _Call) -> Any:
        """Call the store in the thread."""
        call.began = time.monotonic()
        try:
            return _finish(method(about))
        finally:
            self._answered_at = time.monotonic()

    @contextlib.contextmanager
    def _translating(self, call: _Call) -> Any:
        """Translate errors of the store into :class:`Unreachable`, except lasting ones, and note them."""
        try:
            yield
        except LASTING:
            raise
        except Exception as problem:
            sentence = str(getattr(problem, "orig", None) or problem) or repr(problem)
            self._fail(sentence.splitlines()[0], call.began)
            # _failed_at is None if the failure was ignored: it is from before the store came back.
            self._failed_writing = self._failed_writing or (call.writes and self._failed_at is not None)
            raise Unreachable(f"The tracker store can't be reached: {sentence.splitlines()[0]}") from problem

    def _fail(self, sentence: str, began: float) -> None:
        """Note a failure of a call that ``began`` then; one from before the store came back is ignored."""
        if self._failed_at is None and began <= self._back_at:
            return
        if self._failed_at is None:  # once, not once per attempt
            log.error("The tracker store can't be reached: %s. Writes wait.", sentence.rstrip("."))
        self._failed_at = time.monotonic()

    def _living_store(self) -> TrackerStore:
        store = self._store()
        assert store is not None, "an access is used only through its store"
        return store


_accesses: "weakref.WeakKeyDictionary[TrackerStore, StoreAccess]" = weakref.WeakKeyDictionary()


def innermost(store: TrackerStore) -> TrackerStore:
    """Return the store inside Rasa's wrapper."""
    while isinstance(store, FailSafeTrackerStore):
        store = store._tracker_store
    return store


def access(store: TrackerStore) -> StoreAccess:
    """Return the access to this store, or to the one inside Rasa's wrapper."""
    store = innermost(store)
    if store not in _accesses:
        _accesses[store] = StoreAccess(store)
    return _accesses[store]


def _blocks(store: TrackerStore) -> bool:
    """Return whether the store blocks, may be called from a thread, and has Rasa's own methods."""
    kind = next((kind for kind in BLOCKING if isinstance(store, kind)), None)
    if kind is None or any(getattr(type(store), name) is not getattr(kind, name) for name in CALLED):
        return False
    url = getattr(getattr(store, "engine", None), "url", None)
    in_memory = url is not None and url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    return not in_memory  # in memory, each thread would have a database of its own


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits for the event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("A tracker store of Rasa's waited for the event loop: it can't be called in a thread.")


class _Thread:
    """A thread that runs functions in order. A daemon: unlike an executor's, it doesn't delay the end of the process."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=_run_all, args=(self._work,), name="tracker-store", daemon=True).start()
        weakref.finalize(self, self._work.put, None)

    def run(self, work: Callable[[], Any]) -> "Future[Any]":
        """Run this after the functions given before. It isn't run if its future is cancelled before."""
        future: Future[Any] = Future()
        self._work.put((future, work))
        return future


def _run_all(given: "queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]") -> None:
    while (next_one := given.get()) is not None:
        future, work = next_one
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as problem:  # raised where the future is awaited
                future.set_exception(problem)
        del next_one, future, work  # or the last tracker would stay in memory until the next call
