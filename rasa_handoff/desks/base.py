"""The base class of desks: a target of the outbox that turns what happens on the agents' side into events for the relay.

``docs/adapters/adding.md`` describes how to add a desk of your own. A desk of this package also has a name in ``registry.py`` and
in ``protocol/channel_settings.py``, and, for the tests, the system behind it (its far side) in ``tests/desks/far_sides.py``.
"""

import abc
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import ClassVar, Final

from rasa_handoff.core.control import IllegalEvent
from rasa_handoff.media.media_errors import MediaMissing
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Refused, StoreUnavailable
from rasa_handoff.protocol.features import Features
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.values import Agent, Availability, Department, Offer
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.outbox import Entry

log = get_log(__name__)

STORE_PAUSE: Final = 1.0
"""Seconds between two tries while the database can't be used."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 3.0
"""Seconds between two attempts to connect: twice as long after each that failed."""

UNNOTICED_SECONDS: Final = 10.0
"""A shorter absence of the desk isn't reported to customers: it is a restart, or a break in the network."""

OnTyping = Callable[[str, bool], Awaitable[None]]
"""Takes a conversation's id, and whether its agent is typing."""

OnRead = Callable[[str, str], Awaitable[None]]
"""Takes the ids of a conversation and of a message of its customer's: its agent has read that one and all before it."""


class Desk(abc.ABC):
    """A system with agents. Opened after the relay has loaded what is under way, closed before the relay."""

    batch = 1
    """How many entries of one conversation :meth:`deliver` gets at once."""
    recognises = False
    """Whether the desk knows an entry that it got before by its id, so that one may be sent again after a crash."""
    takes_messages = False
    """Whether a message can be left there while nobody is there (an offer with ``left``)."""
    several_processes: ClassVar[bool] = False
    """Whether each of several Rasa processes may be connected to it at the same time; if not, one of them is."""
    features: ClassVar[Features] = {}
    """The desk's capabilities, for the capability matrix."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        self.bot_id = settings.bot_id
        self.settings = settings.desk
        self.departments = settings.departments
        self.relay = relay
        self.on_typing: OnTyping | None = None
        self.on_read: OnRead | None = None

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether the desk can receive something now."""

    @property
    def serves_another(self) -> bool:
        """Whether the desk has refused this process because another Rasa server with another database speaks for the bot.

        Then only that one knows who has a conversation.
        """
        return False

    @property
    def availability(self) -> Availability | None:
        """The departments and whether they are staffed; None while that isn't known.

        By default a desk counts as staffed, with the departments of the settings.
        """
        listed = tuple(Department(name=name) for name in self.departments)
        return Availability(departments=listed, staffed=True)

    @abc.abstractmethod
    async def open(self) -> None:
        """Begin to connect, without waiting for the desk."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect; the conversations stay as they are."""

    @abc.abstractmethod
    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Deliver entries to the desk, and return the events that its answer means. ``lane``: the conversation's id.

        Raises:
            Unreachable: the desk can't be reached now; this is called again later.
            Waits: the desk can take it only later; this is called again once the lane is notified.
            Refused: the desk never takes it; it becomes a dead letter.
            Unforeseen: the desk failed on it; this is called some more times, then it becomes a dead letter.
        """

    async def find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """Return the handoff that the desk has open for a conversation unknown to the relay, and its agent; None if none.

        Raises:
            Unreachable: the desk can't be asked now.
        """
        return None

    async def typing(self, handoff_id: str, on: bool) -> None:  # noqa: B027 - most protocols can't express it
        """Report that the customer is typing, or has stopped. Never stored."""

    async def take_media(self, id: str) -> AsyncGenerator[bytes, None]:
        """Yield a file that an agent sent, by its id.

        Raises:
            MediaRefused: the desk doesn't have it, or knows no files.
            Unreachable: it can't be had now.
        """
        raise MediaMissing
        yield b""  # a generator

    async def presence(self, handoff_id: str, here: bool) -> None:  # noqa: B027 - most protocols can't express it
        """Report whether the customer's page is open. A report that is lost is made up for at the next connect."""


async def apply(relay: Relay, event: events.Event) -> str | None:
    """Apply an event for a desk whose protocol has no acknowledgements; an event that comes too late is only logged.

    Returns the reason if the relay refused it, for a desk that can show it.
    """
    try:
        await retry_until_stored(lambda: relay.apply(event))
    except IllegalEvent as problem:
        log.info("%s", problem)
    except Refused as problem:
        log.warning("An agent's message in %s was refused: %s", short_id(event.conversation_id), problem)
        return str(problem)
    except Exception:  # the task that reads the desk's events must go on
        kind = type(event).__name__
        log.exception(
            "An event of the desk (%s) for %s couldn't be applied, and is lost.", kind, short_id(event.conversation_id)
        )
    return None


async def retry_until_stored(work: Callable[[], Awaitable[object]]) -> None:
    """Do the work, again and again while the database can't be used: a desk without acknowledgements sends nothing twice."""
    while True:
        try:
            await work()
            return
        except StoreUnavailable:
            await asyncio.sleep(STORE_PAUSE)


async def wait_for_either(coroutine: Awaitable[object], event: asyncio.Event) -> bool:
    """Wait for the coroutine or the event, whichever comes first; return True if the coroutine ended."""
    work = asyncio.ensure_future(coroutine)
    signal = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({work, signal}, return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        signal.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, signal, return_exceptions=True)


class Attempts:
    """Attempts to connect to a desk: the pauses between them, and which failures are logged."""

    def __init__(self) -> None:
        self._pause, self._last_problem = FIRST_PAUSE, ""

    def note_success(self) -> bool:
        """Begin anew after a connection that was made, and return whether attempts had failed before."""
        had_failed = bool(self._last_problem)
        self._pause, self._last_problem = FIRST_PAUSE, ""
        return had_failed

    def note_failure(self, problem: Exception) -> bool:
        """Note a failure, and return whether it is to be logged: once per reason, not once per attempt."""
        before, self._last_problem = self._last_problem, str(problem)
        return before != self._last_problem

    async def pause(self) -> None:
        """Wait until the next attempt."""
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
