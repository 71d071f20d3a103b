"""What every desk is: a target of the outbox that turns what happens on the agents' side into events for the relay.

To add a desk of your own: ``docs/adapters/adding.md``. One of ours also has a name in ``known.py`` and in
``vocabulary/settings.py``, and a far side in ``tests/contract/sides.py``.
"""

import abc
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.control import IllegalEvent
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Refused, StoreUnavailable
from rasa_handoff.vocabulary.features import Features
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Agent, Availability, Department, Offer

log = get_log(__name__)

STORE_PAUSE: Final = 1.0

OnTyping = Callable[[str, bool], Awaitable[None]]


class Desk(abc.ABC):
    """A system with agents. Opened after the relay knows what is under way, closed before the relay."""

    batch = 1
    features: ClassVar[Features] = {}
    """What it does, for the capability matrix."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        self.bot_id = settings.bot_id
        self.settings = settings.desk
        self.departments = settings.departments
        self.relay = relay
        self.on_typing: OnTyping | None = None

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether the desk can be told something now."""

    @property
    def availability(self) -> Availability | None:
        """Who is there; None while that isn't known. A desk that can't say takes whom it gets, for the settings' departments."""
        listed = tuple(Department(name=name) for name in self.departments)
        return Availability(departments=listed, staffed=True)

    @abc.abstractmethod
    async def open(self) -> None:
        """Begin to connect. Doesn't wait for the desk to be there."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect; the conversations stay as they are."""

    @abc.abstractmethod
    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Tell the desk, and return what its answer means.

        Raises:
            Unreachable: if it can't be told now; it will be called again.
        """

    async def find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """The handoff the desk has open for a conversation that the relay knows nothing of, and who has it; None if none.

        Raises:
            Unreachable: if it can't be asked now.
        """
        return None

    async def typing(self, handoff_id: str, on: bool) -> None:  # noqa: B027 - most protocols have no word for it
        """The customer is typing, or stopped. Never stored."""


async def apply(relay: Relay, event: e.Event) -> str | None:
    """Let it happen if it can, for desks whose protocol acknowledges nothing: they don't hear that something came too late.
    The sentence with which it was refused, for a desk that can show it."""
    try:
        await insist(lambda: relay.apply(event))
    except IllegalEvent as problem:
        log.info("%s", problem)
    except Refused as problem:
        log.warning("What an agent said in %s wasn't taken: %s", short_id(event.conversation_id), problem)
        return str(problem)
    except Exception:  # such an event mustn't end the task that reads what comes after it
        kind = type(event).__name__
        log.exception(
            "What the desk said (%s) of %s couldn't be taken in, and is lost.", kind, short_id(event.conversation_id)
        )
    return None


async def insist(work: Callable[[], Awaitable[object]]) -> None:
    """Such a desk says nothing twice: what the database can't take now is tried until it can."""
    while True:
        try:
            await work()
            return
        except StoreUnavailable:
            await asyncio.sleep(STORE_PAUSE)


async def either(coroutine: Awaitable[object], event: asyncio.Event) -> bool:
    """Wait for the coroutine unless the event comes first; True if the coroutine ended."""
    work = asyncio.ensure_future(coroutine)
    bell = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({work, bell}, return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        bell.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, bell, return_exceptions=True)
