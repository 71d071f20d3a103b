"""Presence of customers whose channel has pages that stay connected: the agent sees whether somebody is there to read.

A page that reloads, or whose network fails for a moment, is back within :data:`AWAY_SECONDS`; only after that its customer counts
as away. On channels without such pages (``rest``, vendors') nobody counts as away.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from rasa_handoff.guard.recent import Recent
from rasa_handoff.store.tasks import cancel_all

AWAY_SECONDS: Final = 10.0
"""How long no page of a customer's is open before they count as away."""
MOST_AWAY: Final = 100_000
"""The most customers who are remembered as away."""


class PagePresence:
    """Follows which customers have a page open.

    ``connected``: whether a page of this conversation is connected now. ``report``: called with a conversation's id and whether
    its customer is here, when that has changed. ``remembers``: whether this is the only process that knows who is away; if not,
    that is in the database.
    """

    def __init__(
        self,
        connected: Callable[[str], Awaitable[bool]],
        report: Callable[[str, bool], Awaitable[None]],
        remembers: bool = True,
    ) -> None:
        self._connected, self._report, self._remembers = connected, report, remembers
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._away: dict[str, bool] = Recent(MOST_AWAY)
        self._closed = False

    def is_away(self, conversation_id: str) -> bool:
        """Return whether the customer had a page open and has had none for some seconds."""
        return conversation_id in self._away

    async def came(self, conversation_id: str) -> None:
        """Note that a page of this conversation has connected."""
        leaving = self._leaving.pop(conversation_id, None)
        if leaving is not None:
            leaving.cancel()
        if self._away.pop(conversation_id, None) is not None:
            await self._report(conversation_id, True)

    def went(self, conversation_id: str) -> None:
        """Note that a page of this conversation has disconnected; another one may be open."""
        if self._closed or conversation_id in self._away:
            return
        # Counted from the last page that has disconnected.
        if (leaving := self._leaving.pop(conversation_id, None)) is not None:
            leaving.cancel()
        self._leaving[conversation_id] = asyncio.create_task(self._leave(conversation_id))

    def expect(self, conversation_id: str) -> None:
        """Count the customer as away unless a page of theirs connects soon, here or elsewhere."""
        if conversation_id not in self._leaving:
            self.went(conversation_id)

    async def close(self) -> None:
        """Stop for good: pages that disconnect from now on do so because this process ends."""
        self._closed = True
        await cancel_all(*self._leaving.values())

    async def _leave(self, conversation_id: str) -> None:
        await asyncio.sleep(AWAY_SECONDS)
        is_connected = await self._connected(conversation_id)
        self._leaving.pop(conversation_id, None)  # until now a page that comes cancels this
        if not is_connected:
            if self._remembers:
                self._away[conversation_id] = True
            await self._report(conversation_id, False)
