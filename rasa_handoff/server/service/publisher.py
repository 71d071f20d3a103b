"""Publications: what gateways are informed of after a commit, in the order of the commits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Availability, Status, Value
from rasa_handoff.server.storage.handoffs import Message
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)


class Publication(Value, frozen=True, kw_only=True):
    """Something that changed. ``viewers``: ids of the agents it is for."""

    viewers: frozenset[str] = frozenset()


class Arrival(Publication, frozen=True, kw_only=True):
    """A conversation joined the queue; its summary."""

    summary: dict[str, Any]


class Changed(Publication, frozen=True, kw_only=True):
    """A conversation changed; its summary, or the whole conversation."""

    summary: dict[str, Any]


class Said(Publication, frozen=True, kw_only=True):
    """A message was stored."""

    handoff_id: str
    message: Message


class Marked(Publication, frozen=True, kw_only=True):
    """A message has another status."""

    handoff_id: str
    message_id: str
    status: Status
    reason: str | None


class CustomerTyping(Publication, frozen=True, kw_only=True):
    """The customer types, or stopped."""

    handoff_id: str
    on: bool


class AgentTyping(Publication, frozen=True, kw_only=True):
    """The agent types, or stopped; for the customer's side."""

    side: str
    bot_id: str
    handoff_id: str
    on: bool


class Overdue(Publication, frozen=True, kw_only=True):
    """The customer's message has waited so many seconds for this agent's answer."""

    handoff_id: str
    seconds: float


class PresenceChanged(Publication, frozen=True, kw_only=True):
    """An agent chose to be online or away."""

    online: bool


class AvailabilityChanged(Publication, frozen=True, kw_only=True):
    """Other departments are staffed; for everybody."""

    availability: Availability


Listener = Callable[[Publication], Awaitable[None]]
Callback = Callable[[], Awaitable[object]]


class Publisher:
    """One task that calls listeners, one publication after the other: ``async with Publisher() as publisher``.

    What is published right after a commit reaches listeners in the order of the commits, so that no desk ends up with an older
    state.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._callbacks: asyncio.Queue[Callback] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Publisher":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await cancel_all(self._task)

    def publish(self, publications: Iterable[Publication]) -> None:
        """Call every listener with each of these."""
        for item in publications:
            for listener in self.listeners:
                self._callbacks.put_nowait(lambda item=item, listener=listener: listener(item))  # type: ignore[misc]

    def later(self, callback: Callback) -> None:
        """Call this after everything that was published before."""
        self._callbacks.put_nowait(callback)

    async def _run(self) -> None:
        while True:
            callback = await self._callbacks.get()
            try:
                await callback()
            except ValueError as gone:  # python-socketio raises it for a socket that left meanwhile
                log.debug("A publication has no receiver any more: %s", gone)
            except Exception:
                log.exception("Publishing a change failed; the receiver gets it with its next connect.")
