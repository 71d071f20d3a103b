"""The other Rasa processes that share the relay's database: what this one tells them, and asks of them."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.relay import page_connections, repository, turn_leases
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import Membership
from rasa_handoff.store.outbox import Entry

CLAIM_SECONDS: Final = 2.0
"""How long a response waits for a lane that another process has."""
CLAIM_AGAIN_SECONDS: Final = 0.02
"""Seconds between two attempts to take it."""


class OtherProcesses:
    """The other processes on the store of a relay; without any it answers so without reading.

    ``membership``: of this process among them, once the relay is open. ``is_at_desk``: whether this process is connected to the
    desk. ``on_pages_lost`` is called when another process has ended, which may have had customers' pages.
    """

    def __init__(self, store: Store) -> None:
        self.membership: Membership | None = None
        self.is_at_desk = False
        self.on_pages_lost: Callable[[], None] | None = None
        self._store = store

    async def are_at_work(self) -> bool:
        """Return whether another process shares the database now; beside one that was killed this takes some seconds."""
        return self.membership is not None and await self.membership.others_are_at_work()

    async def tell(self, topic: str, conversation_id: str, body: str) -> None:
        """Tell them something about a conversation; they follow it with their relay's ``change_handlers``."""
        await self._store.write(
            lambda connection: repository.outbox.change_log.note(connection, topic, conversation_id, body)
        )

    async def note_desk_connected(self, connected: bool) -> None:
        """Note whether this process is connected to the desk."""
        self.is_at_desk = connected
        if self._store.shared:
            await self._store.write(
                lambda connection: repository.processes.note_connected(connection, self._store.process, connected)
            )

    async def process_at_desk(self) -> str | None:
        """Return another process that is connected to the desk; None if there is none."""
        if not self._store.shared:
            return None
        return await self._store.write(
            lambda connection: repository.processes.connected(connection, self._store.process)
        )

    async def claimed_entries(self, target: str, conversation_id: str) -> list[Entry]:
        """Return the entries that wait in a lane, for a response that takes them along; no other process delivers them then.

        They are delivered by :meth:`Relay.flush` after the response. None are returned while another process has the lane: it is
        about to deliver them, or to remove what it has delivered.
        """

        def claim(connection: Connection) -> list[Entry] | None:
            may_take = repository.outbox.leases.claim(connection, target, conversation_id)
            return repository.outbox.head(connection, target, conversation_id) if may_take else None

        deadline = time.monotonic() + CLAIM_SECONDS
        while (entries := await self._store.write(claim)) is None and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(CLAIM_AGAIN_SECONDS)
        return entries or []


def remove_of_ended(connection: Connection) -> bool:
    """Delete what is kept for each process and belongs to one that has ended; return whether others have to look at it."""
    turn_leases.remove_of_ended(connection)
    return page_connections.remove_of_ended(connection)
