"""Sharing a database with other processes of the same side: what it takes beside the store, put together.

    async with Sharing(...) as sharing:     # enters before anything is read into memory
        ...                                 # read into memory, begin to deliver
        sharing.begin()                     # from now on the changes of others are followed

On a database with one owner all of this does nothing.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from rasa_handoff.store.bus import Bus, open_bus
from rasa_handoff.store.change_log import ChangeHandler, ChangeReader
from rasa_handoff.store.engine import Store
from rasa_handoff.store.membership import Membership, Processes
from rasa_handoff.store.outbox import Outbox


class Sharing:
    """The part of one process in what several do.

    ``handlers``: take what others have changed, by topic. ``on_released``: called after the leases of an ended process were
    ended, so that any number of lanes rest, or after ``remove_of_ended`` returned True. ``on_lost``: called after this process
    has lost its leases, because it stood still: what it has in memory may be wrong. ``remove_of_ended``: deletes what else is
    kept for each process, and belongs to one that has ended. ``bus_url``: the bus; None: the database's own. ``own_topic``: a
    topic whose handler takes this process's own changes too, in one order with those of the others.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        processes: Processes,
        handlers: Mapping[str, ChangeHandler],
        on_released: Callable[[], None],
        on_lost: Callable[[], None],
        remove_of_ended: Callable[[Connection], bool] = lambda _: False,
        bus_url: str | None = None,
        own_topic: str = "",
    ) -> None:
        def release_leases(connection: Connection, table: Table) -> bool:
            had_more = remove_of_ended(connection)
            return outbox.leases.release_of_ended(connection, table) or had_more

        self._store, self._bus_url, self._follows_own = store, bus_url, bool(own_topic)
        self._reader = ChangeReader(store, outbox.change_log, handlers, own_topic)
        self.membership = Membership(store, processes, release_leases, on_released, on_lost)
        self._bus: Bus | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Sharing":
        if self._store.shared:
            bus = open_bus(self._bus_url, self._store.url, self._store.bus_name)
            self._bus = await self._stack.enter_async_context(bus)
            bus.listeners.append(self._reader.look)
            for ring in (bus.ring, self._reader.look) if self._follows_own else (bus.ring,):
                self._store.on_ring.append(ring)
                self._stack.callback(self._store.on_ring.remove, ring)
        await self._stack.enter_async_context(self._reader)
        await self._stack.enter_async_context(self.membership)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def shown(self) -> dict[str, Any]:
        """The kinds of database and bus, and whether the bus is heard. Nothing here is secret."""
        if self._bus is None:
            return {"database": "postgresql" if self._store.shared else "sqlite"}
        bus = "postgresql" if self._bus_url is None else "redis"
        return {"database": "postgresql", "bus": bus, "bus_is_heard": not self._bus.is_deaf}

    def begin(self) -> None:
        """Begin to follow what others change."""
        self._reader.begin()
