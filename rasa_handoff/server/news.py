"""What the edges hear after a commit, and the board that tells it in the order of the commits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from rasa_handoff.server.messages import Message
from rasa_handoff.store.tasks import ended
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Availability, Status, Value

log = get_log(__name__)


class News(Value, frozen=True, kw_only=True):
    """Something that changed. ``viewers``: ids of the agents it is for."""

    viewers: frozenset[str] = frozenset()


class Arrival(News, frozen=True, kw_only=True):
    """A new one in the queue; its summary."""

    summary: dict[str, Any]


class Changed(News, frozen=True, kw_only=True):
    """A conversation changed; its summary, or all of it."""

    summary: dict[str, Any]


class Said(News, frozen=True, kw_only=True):
    """A message was written down."""

    handoff_id: str
    message: Message


class Marked(News, frozen=True, kw_only=True):
    """Something became of a message."""

    handoff_id: str
    message_id: str
    status: Status
    reason: str | None


class CustomerTyping(News, frozen=True, kw_only=True):
    """The customer types, or stopped."""

    handoff_id: str
    on: bool


class AgentTyping(News, frozen=True, kw_only=True):
    """The agent types, or stopped; for the bot's side."""

    side: str
    bot_id: str
    handoff_id: str
    on: bool


class Overdue(News, frozen=True, kw_only=True):
    """The customer's words have waited so many seconds for an answer of this agent's."""

    handoff_id: str
    seconds: float


class PresenceChanged(News, frozen=True, kw_only=True):
    """An agent chose to be online or away."""

    online: bool


class StaffingChanged(News, frozen=True, kw_only=True):
    """Who is there; for everybody."""

    availability: Availability


Listener = Callable[[News], Awaitable[None]]
Errand = Callable[[], Awaitable[object]]


class Board:
    """One task that tells news one after the other: ``async with Board() as board``.

    What is posted right after a commit is told in the order of the commits, so that no desk ends up with an older state.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._errands: asyncio.Queue[Errand] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Board":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await ended(self._task)

    def publish(self, news: Iterable[News]) -> None:
        """Tell these to every listener."""
        for item in news:
            for listener in self.listeners:
                self._errands.put_nowait(lambda item=item, listener=listener: listener(item))  # type: ignore[misc]

    def later(self, errand: Errand) -> None:
        """Do this after what was published before."""
        self._errands.put_nowait(errand)

    async def _run(self) -> None:
        while True:
            errand = await self._errands.get()
            try:
                await errand()
            except ValueError as gone:  # python-socketio's word for a socket that left meanwhile
                log.debug("Nobody there to tell: %s", gone)
            except Exception:
                log.exception("Telling the news failed; the receiver has it after its next connect.")
