"""The bus: tells the other processes of a side to look at the database, and nothing else.

A ring has no content, and may be lost, doubled or late: what it is about is in the database. Redis carries it by publish and
subscribe, or the side's own Postgres by LISTEN and NOTIFY.

A connection that carries nothing any more looks like one on which nothing happens. The server may be stopped, the network may
drop packets, a pooler may keep the subscription for itself. So each process sends itself a heartbeat, by the way that a ring
takes. One that doesn't get its own back is deaf: it connects again, and meanwhile calls its listeners once a second, so that
whatever another process wrote is seen within three seconds. A process that alone is deaf can't ring either, and nothing here
shows that to the others: so those who listen look now and then without a ring, too (``change_log.py``).

Anybody may write to the bus. What arrives is compared with what this process has sent, and never read: whatever else it is, it
counts as a ring at most.
"""

import asyncio
import contextlib
import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.database_url import without_password
from rasa_handoff.store.engine import Store
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

TICK_SECONDS: Final = 0.25
"""Time is counted in ticks: a process that was stopped or busy for some seconds counts one, and doesn't take itself for deaf."""
BEAT_TICKS: Final = 2
DEAF_TICKS: Final = 6
"""Ticks without its own heartbeat after which a process is deaf."""
LOOK_TICKS: Final = 4
"""Ticks between two calls of the listeners while something can't be heard."""
CALM_TICKS: Final = 12
"""Ticks that a process must have heard again before it says so: a bus that comes and goes is two lines in the log."""
RING_SECONDS: Final = 0.03
"""Seconds between two rings, and between two calls of the listeners. What comes sooner shares the next: a ring makes every
process of the side read, so a busy one rings for several commits at once. The first after a pause is sent at once."""
OPEN_SECONDS: Final = 2.0
"""Seconds until a connection must be there."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
STEADY_SECONDS: Final = 5.0
"""Seconds after which a connection was a good one, so that the next is made at once when it is lost."""
BACK_SECONDS: Final = 2.0
"""Seconds in which a message must come back when somebody only asks whether a bus carries any."""
LAST_RING_SECONDS: Final = 0.3
"""Seconds for the ring with which a process ends."""
CHANNEL: Final = "rasa-handoff-"
"""The beginning of each channel's name."""
BEAT: Final = b"beat "
RING: Final = b"ring "
LONGEST: Final = 64
"""Bytes of the longest message of ours."""

Take = Callable[[Iterable[bytes]], None]
"""Takes the messages that have arrived."""


class BusLine(ABC):
    """A connection that carries a bus. It is used once: opened, read and sent on until it fails, and closed."""

    @abstractmethod
    async def open(self) -> None:
        """Connect and subscribe."""

    @abstractmethod
    async def read(self) -> None:
        """Pass on what arrives until the connection fails, and raise what it failed by."""

    @abstractmethod
    async def send(self, message: bytes) -> None:
        """Send a message to all who have subscribed, this process too."""

    @abstractmethod
    async def close(self) -> None:
        """End the connection, in whatever state it is."""


@dataclass(frozen=True)
class Carrier:
    """Redis or Postgres, as it carries a bus. ``shown``: its name in the log; ``advice``: what to check if nothing arrives."""

    shown: str
    advice: str
    line: Callable[[Take], BusLine]


class Bus:
    """The bus of one process and side, used as ``async with``.

    ``listeners`` are called in the event loop when another process has rung, or may have: after a connection was lost, and once a
    second while this process is deaf.
    """

    def __init__(self, carrier: Carrier) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._carrier = carrier
        own = secrets.token_hex(16).encode()
        self._own_ring, self._own_beat = RING + own, BEAT + own
        self._beats: dict[bytes, int] = {}
        self._tick = 0
        self._last_beat = 0  # the tick at which the latest heartbeat that came back was sent
        self._opened_at: int | None = None
        self._deaf_at: int | None = None
        self._may_have_missed = False
        self._beat_is_due = self._ring_is_due = False
        self._due, self._nothing_due, self._is_mute = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._problem: Exception | None = None
        self._next_call = 0.0
        self._call: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Bus":
        self._tasks = [asyncio.create_task(self._stay_connected()), asyncio.create_task(self._keep_time())]
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            self.ring()  # for what was written just now: nobody hears from this process again
            if self._opened_at is not None and not self.is_deaf:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._nothing_due.wait(), LAST_RING_SECONDS)
        finally:
            await cancel_all(*self._tasks)
            if self._call is not None:
                self._call.cancel()

    @property
    def is_deaf(self) -> bool:
        """Whether this process hears nothing through the bus."""
        return self._tick - self._last_beat >= DEAF_TICKS

    def ring(self) -> None:
        """Tell the other processes to look, soon; rings that follow one another closely are one. Called in the event loop."""
        self._ring_is_due = True
        self._nothing_due.clear()
        self._due.set()

    async def _stay_connected(self) -> None:
        loop, pause = asyncio.get_running_loop(), 0.0
        while True:
            begun = loop.time()
            try:
                await self._use(self._carrier.line(self._take))
            except Exception as problem:  # the library's, the network's, the server's: it is tried again
                self._problem = problem
            is_good = loop.time() - begun >= STEADY_SECONDS
            pause = 0.0 if is_good else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))
            await asyncio.sleep(pause)

    async def _use(self, line: BusLine) -> None:
        """Use one connection until it is lost or mute."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await _open(line)
            self._problem = None
            self._opened_at, self._may_have_missed = self._tick, True
            self._is_mute.clear()
            # A ring that may have been lost with the last connection is made up for by this one.
            self._beat_is_due = True
            self.ring()
            tasks = [asyncio.create_task(one) for one in (line.read(), self._send(line), self._until_mute())]
            await asyncio.gather(*tasks)
        finally:
            self._opened_at = None
            try:
                await cancel_all(*tasks)
            finally:
                await line.close()

    async def _send(self, line: BusLine) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if self._beat_is_due:
                self._beat_is_due = False
                await line.send(self._next_beat())
            if self._ring_is_due:
                self._ring_is_due = False
                await line.send(self._own_ring)
                if not self._ring_is_due:
                    self._nothing_due.set()
                await asyncio.sleep(RING_SECONDS)

    def _next_beat(self) -> bytes:
        recent = {beat: sent for beat, sent in self._beats.items() if self._tick - sent < DEAF_TICKS}
        beat = b"%s %d" % (self._own_beat, self._tick)
        self._beats = {**recent, beat: self._tick}
        return beat

    async def _until_mute(self) -> None:
        await self._is_mute.wait()
        raise StoreError("its own heartbeat doesn't come back")

    def _take(self, messages: Iterable[bytes]) -> None:
        others_rang = False
        for message in messages:
            if len(message) <= LONGEST and message.startswith(BEAT):
                sent = self._beats.pop(message, None)
                if sent is not None:
                    self._note_beat(sent)
            elif message != self._own_ring:
                others_rang = True
        if others_rang:
            self._call_soon()

    def _note_beat(self, sent: int) -> None:
        if self._tick - sent >= DEAF_TICKS:  # whatever comes that late is as good as lost
            return
        self._last_beat = max(self._last_beat, sent)
        if self._may_have_missed:
            self._may_have_missed = False
            self._call_soon()

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick += 1
            if self._tick % BEAT_TICKS == 0:
                self._beat_is_due = True
                self._due.set()
            if self.is_deaf:
                self._be_deaf()
            if self._deaf_at is not None and self._tick - self._deaf_at >= CALM_TICKS:
                self._deaf_at = None
                log.warning("The bus %s carries messages again.", self._carrier.shown)

    def _be_deaf(self) -> None:
        if self._opened_at is not None and self._tick - max(self._last_beat, self._opened_at) >= DEAF_TICKS:
            self._is_mute.set()
        if (self._tick - self._last_beat - DEAF_TICKS) % LOOK_TICKS == 0:
            self._call_soon()
        if self._deaf_at is None:
            log.warning("%s", _unheard(self._carrier, self._problem))
        self._deaf_at = self._tick

    def _call_soon(self) -> None:
        if self._call is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._next_call - loop.time()
        if wait > 0:
            self._call = loop.call_later(wait, self._call_listeners)
        else:
            self._call_listeners()

    def _call_listeners(self) -> None:
        self._call = None
        self._next_call = asyncio.get_running_loop().time() + RING_SECONDS
        for listener in self.listeners:
            try:
                listener()
            except Exception:
                log.exception("A listener of the bus failed; the others are called.")


def open_bus(bus_url: str | None, database_url: str, name: str) -> Bus:
    """Return the bus of these URLs, not yet connected. Without a ``bus_url`` the database carries it, which must be a Postgres.

    ``name``: processes that give the same one hear each other.

    Raises:
        StoreError: a URL can't be used, or what it needs isn't installed.
    """
    return Bus(_carrier(bus_url, database_url, name))


async def try_bus(bus_url: str | None, database_url: str) -> str:
    """Send a message through the bus of these URLs, on a channel of its own, and return what carried it, as shown in the log.

    Raises:
        StoreError: it didn't come back, or the bus can't be used; the sentence says why.
    """
    message = BEAT + secrets.token_hex(16).encode()
    came_back = asyncio.Event()

    def take(messages: Iterable[bytes]) -> None:
        if message in messages:
            came_back.set()

    async def send_and_await() -> None:
        await line.send(message)
        await came_back.wait()

    carrier = _carrier(bus_url, database_url, message.decode())
    line = carrier.line(take)
    tasks: list[asyncio.Task[Any]] = []
    try:
        await _open(line)
        tasks = [asyncio.create_task(one) for one in (line.read(), send_and_await())]
        for done in (await asyncio.wait(tasks, timeout=BACK_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
            done.result()
    except Exception as problem:  # the library's, the network's, the server's
        raise StoreError(_unheard(carrier, problem)) from problem
    finally:
        await cancel_all(*tasks)
        await asyncio.gather(*tasks, return_exceptions=True)  # of two that failed, the second says the same
        await line.close()
    if not came_back.is_set():
        raise StoreError(_unheard(carrier, None))
    return carrier.shown


def _carrier(bus_url: str | None, database_url: str, name: str) -> Carrier:
    channel = channel_of(name)
    # Imported here: not every environment has the libraries.
    if bus_url is None:
        from rasa_handoff.store.postgres_bus import postgres_carrier

        return postgres_carrier(database_url, channel)
    try:
        from rasa_handoff.store.redis_bus import redis_carrier
    except ImportError as problem:
        raise StoreError(
            f"The bus {without_password(bus_url)!r} needs a package that isn't installed here: "
            "pip install 'rasa-handoff[redis]'."
        ) from problem
    return redis_carrier(bus_url, channel)


def check_bus(bus_url: str | None, store: Store) -> None:
    """Check, before anything starts, that this bus can be used with this store.

    Raises:
        StoreError: its URL can't be used, or the store's database has one process, which needs no bus.
    """
    if bus_url is None:
        return
    if not store.shared:
        raise StoreError(
            f"The bus {without_password(bus_url)!r} is for processes that share a Postgres database, and "
            f"{without_password(store.url)} has one: leave the bus out, or use Postgres."
        )
    open_bus(bus_url, store.url, store.bus_name)


def channel_of(name: str) -> str:
    """Return what Redis and Postgres call the channel: a name that both take, of whatever length the given one is."""
    return CHANNEL + hashlib.sha256(name.encode()).hexdigest()[:32]


async def _open(line: BusLine) -> None:
    opening = asyncio.ensure_future(line.open())
    opening.add_done_callback(_retrieve)  # one that fails as it is given up has nobody who waits for it
    try:
        await asyncio.wait_for(opening, OPEN_SECONDS)
    except asyncio.TimeoutError:
        raise StoreError(f"no connection within {OPEN_SECONDS:g} s") from None


def _retrieve(opening: "asyncio.Future[None]") -> None:
    if not opening.cancelled():
        opening.exception()


def _unheard(carrier: Carrier, problem: Exception | None) -> str:
    return (
        f"Nothing comes through the bus {carrier.shown} ({_reason(problem)}): what other processes do is noticed up to three "
        f"seconds late. {carrier.advice}"
    )


def _reason(problem: Exception | None) -> str:
    """Return the first line of an error, or what silence means."""
    if problem is None:
        return "its heartbeat doesn't come back"
    lines = str(problem).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(problem).__name__
