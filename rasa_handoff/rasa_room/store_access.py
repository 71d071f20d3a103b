"""One tracker store of Rasa's: its errors are told, and the event loop doesn't wait for it.

1. We read and write the store that Rasa's wrapper holds; an error is :class:`Unreachable`.
2. Slow isn't away: who waits in vain does without, and the log says nothing. Unreachable is a store that raises, or that has
   answered nobody for long; the log has one line when that begins, and one when it is over.
3. The stores known to block are called in a thread, one access after the other, as Rasa itself does in its event loop.
   What a project brings of its own stays in the event loop, where Rasa calls it.
"""

import asyncio
import contextlib
import copy
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from rasa.core.tracker_store import (
    FailSafeTrackerStore,
    MongoTrackerStore,
    RedisTrackerStore,
    SQLTrackerStore,
    TrackerStore,
)
from rasa.shared.core.trackers import DialogueStateTracker, TrackerEventDiffEngine

from rasa_handoff.store.tasks import begin
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

T = TypeVar("T")

ANSWER_SECONDS = 1.5
"""How long the store may answer nobody where somebody waits for it: in a turn of the bot's, at a handoff. Counted in ticks of the
event loop, so that a busy machine is no silent store."""
TICK_SECONDS: Final = 0.1
HOLDS_UP_SECONDS: Final = 1.0
LONG_SECONDS = 10.0
"""How long a store that answers others is waited for; and after how long without any answer it counts as unreachable."""
AWAY_SECONDS: Final = 5.0
"""How long after a failure, or a silence, nobody who waits for an answer tries again; the outbox does."""

BLOCKING: Final = (SQLTrackerStore, RedisTrackerStore, MongoTrackerStore)
"""Stores that block and may be called from a thread. (boto3's tables, in ``DynamoTrackerStore``, may not.)"""
CALLED: Final = ("retrieve", "retrieve_full_tracker", "save")
LASTING: Final = (AttributeError, LookupError, TypeError, ValueError)
"""Errors that say nothing about whether the store is there: they come again each time."""

begun_when_back: Final[list[Callable[[], Coroutine[Any, Any, None]]]] = []
"""What is begun when a store is back that was unreachable."""


class _Call:
    """One access. ``asked``: when we were; ``began``: when the store was; ``writes``: whether it was to write."""

    def __init__(self, writes: bool = False) -> None:
        self.asked = self.began = time.monotonic()
        self.writes = writes


class StoreAccess:
    """One tracker store, unwrapped. Get it by :func:`access`."""

    def __init__(self, store: TrackerStore) -> None:
        self._store = weakref.ref(store)  # the access is kept beside its store, and goes with it
        self._thread = _Thread() if _blocks(store) else None
        self._failed_at: float | None = None
        self._failed_writing = False
        self._back_at = self._answered_at = self._late_at = -math.inf
        self._asked_in_vain: float | None = None
        self._open: set[_Call] = set()

    @property
    def failing(self) -> bool:
        """Whether its last use failed, or it answers nobody at the moment."""
        return self._failed_at is not None or self._silent_since is not None

    @property
    def away(self) -> bool:
        """Whether it failed, or kept somebody waiting in vain, just now."""
        failed = -math.inf if self._failed_at is None else self._failed_at
        late = -math.inf if self._silent_since is None else self._late_at
        return time.monotonic() - max(failed, late) < AWAY_SECONDS

    @property
    def holds_up(self) -> bool:
        """Whether what is to be read or written waits for it longer than a moment."""
        asked = min((one.asked for one in self._open), default=math.inf)
        return self.failing or time.monotonic() - max(asked, self._answered_at) > HOLDS_UP_SECONDS

    @property
    def _silent_since(self) -> float | None:
        """Since when it has answered nobody, as far as somebody has waited in vain; an error is an answer too."""
        asked = self._asked_in_vain
        return None if asked is None or self._answered_at > asked else asked

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
        """The same where somebody waits for an answer: not longer than this (None: while it answers others at least), and not at
        all while it is known to be away.

        Raises:
            Unreachable: it can't be read now.
        """
        return await self._in_time(self.retrieve(conversation_id), seconds)

    async def save_in_time(self, tracker: DialogueStateTracker) -> None:
        """The same as :meth:`save` where somebody waits. One that is under way in the thread then is finished there, before
        anything else is read or written; a project's own store is waited for.

        Raises:
            Unreachable: it can't be written now.
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
            self._is_silent(asked)
        raise Unreachable(f"The tracker store didn't answer within {waited:.1f} s.")

    def _is_silent(self, asked: float) -> None:
        """Somebody has waited in vain since then, and nobody else was answered."""
        now, since = time.monotonic(), self._silent_since
        if since is None or now - self._late_at > 2 * AWAY_SECONDS:  # nobody has asked meanwhile
            since = asked
        self._asked_in_vain, self._late_at = since, now
        self._look(since)

    def _look(self, asked: float) -> None:
        """Whether nobody has been answered since then, for long."""
        silent = time.monotonic() - asked
        if self._answered_at < asked and silent > LONG_SECONDS * 0.99:  # a loop's timer may be a little early
            self._fail(f"no answer for {silent:.0f} s", asked)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the tracker; its new events go to the event broker first, as Rasa does it.

        Raises:
            Unreachable: it can't be written now. Events may have gone to the broker, and will again.
        """
        store = self._known()
        if self._thread is not None and store.event_broker is not None:
            known = await self.retrieve(tracker.sender_id)
            new = TrackerEventDiffEngine.event_difference(known, tracker)
            with self._telling(_Call()):
                await store._stream_new_events(store.event_broker, new, tracker.sender_id)
            # A copy has the same engine or client; the broker belongs to the event loop.
            store = copy.copy(store)
            store.event_broker = None
        await self._told(store.save, tracker, writes=True)

    async def _told(self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, writes: bool = False) -> Any:
        one = _Call(writes)
        with self._telling(one):
            try:
                found = await self._run(call, about, one)
            except Exception as problem:
                if not getattr(problem, "connection_invalidated", False):
                    raise
                # SQLAlchemy's pool had kept a connection that was cut, and has made itself anew; both calls may be made twice.
                found = await self._run(call, about, one)
        if self._shows_it_back(one):
            self._failed_at, self._failed_writing, self._back_at = None, False, time.monotonic()
            log.warning("The tracker store is back.")  # rasa run shows nothing below that by itself
            for when_back in begun_when_back:
                begin(when_back())
        return found

    def _shows_it_back(self, one: _Call) -> bool:
        """What was asked before the failure says nothing of now, and a full disk can be read all the time."""
        failed_at = self._failed_at
        return failed_at is not None and one.began > failed_at and (one.writes or not self._failed_writing)

    async def _run(self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, one: _Call) -> Any:
        watching = asyncio.get_running_loop().call_later(LONG_SECONDS, self._look, one.asked)
        self._open.add(one)
        try:
            if self._thread is not None:  # what nobody waits for any more is still watched there
                return await asyncio.wrap_future(self._thread.run(lambda: self._answered(call, about, one)))
            return await self._awaited(call, about, watching)
        finally:
            self._open.discard(one)

    async def _awaited(
        self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, watching: asyncio.TimerHandle
    ) -> Any:
        """In the event loop."""
        try:
            found = await call(about)
        except Exception:
            self._answered_at = time.monotonic()
            raise
        finally:
            watching.cancel()
        self._answered_at = time.monotonic()
        return found

    def _answered(self, call: Callable[[Any], Coroutine[Any, Any, Any]], about: Any, one: _Call) -> Any:
        """In the thread."""
        one.began = time.monotonic()
        try:
            return _finish(call(about))
        finally:
            self._answered_at = time.monotonic()

    @contextlib.contextmanager
    def _telling(self, one: _Call) -> Any:
        try:
            yield
        except LASTING:
            raise
        except Exception as problem:
            sentence = str(getattr(problem, "orig", None) or problem) or repr(problem)
            self._fail(sentence.splitlines()[0], one.began)
            self._failed_writing = self._failed_writing or (one.writes and self._failed_at is not None)
            raise Unreachable(f"The tracker store can't be reached: {sentence.splitlines()[0]}") from problem

    def _fail(self, sentence: str, began: float) -> None:
        """``began``: when it was asked. What was asked before it came back says nothing of now."""
        if self._failed_at is None and began <= self._back_at:
            return
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
