"""Rasa's conversation lock, corrected so that no turn waits for ever and no two turns run at once.

1. A waiter's ticket expires by wall clock (``TICKET_LOCK_LIFETIME``, 60 s) even while it waits: behind a turn of a minute, or if
   the clock leaps. Rasa 3.6 then removes the ticket and goes on waiting for its number, which never comes. Here the waiter draws
   a new one.
2. After a model reload, messages use the old agent's lock store and reminders the new processor's. In memory these are two
   stores that don't know each other, and if two turns run at once the tracker keeps the events of only one. Here they share their
   locks.
3. The ticket of a turn that takes longer than the lifetime expires too, and the next turn starts beside it. Here it doesn't
   expire in this process, and is renewed for other processes.
4. The ticket of a process that was killed holds its conversation up until it expires. Since tickets are renewed here, by those
   who wait too, they last ``SHARED_SECONDS`` in a lock store that processes share, unless ``TICKET_LOCK_LIFETIME`` is set.

Seen with ``rasa.core.lock_store`` of 3.6.21; ``tests/rasa/test_lock_store.py`` fails when it has changed.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, Final

from rasa.core.lock import TicketLock
from rasa.core.lock_store import LOCK_LIFETIME, InMemoryLockStore, LockError, LockStore

from rasa_handoff.channel.compat.patches import Patches, instead
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

SHARED_SECONDS: Final = 15.0
"""Lifetime of a ticket in a lock store that processes share: so long a conversation waits for the bot after its process was
killed. Clocks of machines may differ by two thirds of it."""
VARIABLE: Final = "TICKET_LOCK_LIFETIME"
"""Rasa's setting of the lifetime, in seconds."""

_locks: dict[str, TicketLock] = {}
_held: set[tuple[str, int]] = set()
"""Conversation and ticket number of each lock that is held in this process."""


class TicketExpired(LockError):
    """The ticket expired before its turn came."""


def patch() -> None:
    """Correct Rasa's lock. Undone by :func:`restore`; a second call changes nothing."""
    for patches in PATCHES:
        patches.apply()


def restore() -> None:
    """Restore Rasa's lock."""
    for patches in PATCHES:
        patches.restore()
    _locks.clear()


def _get(self: InMemoryLockStore, conversation_id: str) -> TicketLock | None:
    return _locks.get(conversation_id)


def _save(self: InMemoryLockStore, lock: TicketLock) -> None:
    _locks[lock.conversation_id] = lock


def _delete(self: InMemoryLockStore, conversation_id: str) -> None:
    _locks.pop(conversation_id, None)


def _remove_expired(self: TicketLock) -> None:
    for ticket in list(self.tickets):
        if ticket.has_expired() and (self.conversation_id, ticket.number) not in _held:
            self.tickets.remove(ticket)


def _drawing_again(original: Callable[..., Any]) -> Any:
    @asynccontextmanager
    @wraps(original)
    async def lock(
        self: LockStore, conversation_id: str, lock_lifetime: float = LOCK_LIFETIME, *rest: Any, **more: Any
    ) -> AsyncIterator[TicketLock]:
        if lock_lifetime == LOCK_LIFETIME and VARIABLE not in os.environ and not isinstance(self, InMemoryLockStore):
            lock_lifetime = SHARED_SECONDS
        async with AsyncExitStack() as held:
            while True:
                try:
                    ours = await held.enter_async_context(original(self, conversation_id, lock_lifetime, *rest, **more))
                    break
                except TicketExpired:
                    log.warning(
                        "The ticket of %s expired while its turn waited for Rasa's lock: the turn draws a new one.",
                        short_id(conversation_id),
                    )
            held.enter_context(_holding(self, conversation_id, ours.now_serving or 0, lock_lifetime))
            yield ours

    return lock


@contextmanager
def _holding(store: LockStore, conversation_id: str, number: int, lifetime: float) -> Iterator[None]:
    """Keep the ticket from expiring while its lock is held."""
    _held.add((conversation_id, number))
    renewing = None
    if not isinstance(store, InMemoryLockStore):
        renewing = asyncio.create_task(_renew(store, conversation_id, number, lifetime))
    try:
        yield
    finally:
        _held.discard((conversation_id, number))
        if renewing is not None:
            renewing.cancel()


async def _renew(store: LockStore, conversation_id: str, number: int, lifetime: float) -> None:
    while True:
        await asyncio.sleep(lifetime / 3)
        try:
            lock = store.get_lock(conversation_id)
            if lock is not None and _prolong(lock, number, lifetime):
                store.save_lock(lock)
        except Exception as problem:  # the lock store is unreachable: it still has the lock, or the lock is lost anyway
            log.warning("The lock of %s can't be renewed: %s", short_id(conversation_id), problem)


def _prolong(lock: TicketLock, number: int, lifetime: float) -> bool:
    """Let a ticket last for so many seconds from now; return whether it is still there."""
    for ticket in lock.tickets:
        if ticket.number == number:
            ticket.expires = max(ticket.expires, time.time() + lifetime)
            return True
    return False


async def _acquire(self: LockStore, conversation_id: str, ticket: int, wait_time_in_seconds: float) -> TicketLock:
    while True:
        lock = self.get_lock(conversation_id)
        if lock is None or lock._ticket_for_ticket_number(ticket) is None:
            raise TicketExpired(f"Ticket {ticket} for conversation {short_id(conversation_id)} expired.")
        if not lock.is_locked(ticket):
            return lock
        await asyncio.sleep(wait_time_in_seconds)
        if isinstance(self, InMemoryLockStore):
            self.update_lock(conversation_id)
        elif (lock := self.get_lock(conversation_id)) is not None:  # as update_lock does, with a ticket that lasts
            lock.remove_expired_tickets()
            _prolong(lock, ticket, SHARED_SECONDS)
            self.save_lock(lock)


PATCHES: Final = (
    Patches(LockStore, {"lock": _drawing_again, "_acquire_lock": instead(_acquire)}),
    Patches(TicketLock, {"remove_expired_tickets": instead(_remove_expired)}),
    Patches(
        InMemoryLockStore, {"get_lock": instead(_get), "save_lock": instead(_save), "delete_lock": instead(_delete)}
    ),
)
