"""Several Rasa processes for one bot, as workers or as replicas: what they must share, checked at the start.

They share the relay's database, on Postgres, and Rasa's own lock store and tracker store.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa.core.lock_store import InMemoryLockStore
from rasa.core.tracker_store import InMemoryTrackerStore, SQLTrackerStore
from rasa.core.utils import AvailableEndpoints
from sanic import Sanic

from rasa_handoff.channel.compat.blueprints import HandoffSettingsError
from rasa_handoff.channel.compat.server_patches import endpoints_of
from rasa_handoff.channel.compat.tracker_store import innermost
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.engine import Store

log = get_log(__name__)

ONE_PROCESS: Final = "one process has all conversations, with this database"
"""The reason in both messages about several Rasa servers."""
LOCKS: Final = (
    "endpoints.yml has no lock store that several Rasa processes share, so two of them would answer a customer at once: "
    "write lock_store: {type: redis, url: ...}, or run one process."
)
TRACKERS: Final = (
    "endpoints.yml: {problem}, so each Rasa process would know other conversations: write a tracker_store of type SQL "
    "with the dialect postgresql, redis, mongod or dynamo, or run one process."
)
IN_MEMORY, IN_FILE = "the tracker store is in memory", "the tracker store is a SQLite file"


def workers_of_environment() -> int:
    """Return how many workers Rasa will start (``SANIC_WORKERS``)."""
    workers = os.environ.get("SANIC_WORKERS", "1").strip()
    return int(workers) if workers.isdigit() else 1


def check_workers(store: Store) -> None:
    """Check, before anything is opened, that the relay's database may be used by as many workers as Rasa starts.

    Raises:
        SettingsError: it is no Postgres, and ``SANIC_WORKERS`` asks for several.
    """
    if (workers := workers_of_environment()) > 1 and not store.shared:
        raise SettingsError(
            f"rasa_handoff.HandoffChannel: SANIC_WORKERS is {workers}, but {ONE_PROCESS}: set SANIC_WORKERS=1, or give 'store' "
            "a Postgres database, which several processes can share."
        )


async def check_shared_stores(bot: Bot, others_are_at_work: Callable[[], Awaitable[bool]]) -> None:
    """Check that Rasa's own stores are shared where several Rasa processes work together.

    ``others_are_at_work``: says whether another one works with the same database now.

    Raises:
        SettingsError: one isn't, with what to write into ``endpoints.yml``.
    """
    problem = _unshared_store(bot) if bot.ready else None
    if problem is not None and (workers_of_environment() > 1 or await others_are_at_work()):
        raise SettingsError(problem)


def check_before_workers(app: Sanic) -> None:
    """Have Rasa's own stores checked before Sanic forks several workers, by what ``endpoints.yml`` says of them.

    An error in a worker is printed as a traceback by each, and Rasa ends as if nothing had happened. In the process that would
    fork them, Rasa prints its line.
    """

    async def check(app: Sanic, _: Any) -> None:
        endpoints = endpoints_of(app) if workers_of_environment() > 1 else None
        problem = _unshared_endpoint(endpoints) if endpoints is not None else None
        if problem is not None:
            raise HandoffSettingsError(problem)

    app.register_listener(check, "main_process_start")


def _unshared_endpoint(endpoints: AvailableEndpoints) -> str | None:
    """Return what is wrong where several processes work together; None: nothing, or it shows when the stores are made."""
    locks, trackers = endpoints.lock_store, endpoints.tracker_store
    if locks is None or locks.type in (None, "in_memory"):
        return LOCKS
    if trackers is None or trackers.type is None:
        return TRACKERS.format(problem=IN_MEMORY)
    if trackers.type.lower() == "sql" and trackers.kwargs.get("dialect", "sqlite") == "sqlite":
        return TRACKERS.format(problem=IN_FILE)
    return None


def _unshared_store(bot: Bot) -> str | None:
    """Return what is wrong where several processes work together, and what to write; None: nothing."""
    if isinstance(bot.agent.lock_store, InMemoryLockStore):
        return LOCKS
    if (problem := unshared_tracker_store(bot.agent.tracker_store)) is not None:
        return TRACKERS.format(problem=problem)
    return None


def unshared_tracker_store(store: Any) -> str | None:
    """Return why this tracker store isn't shared by several processes; None if it may be."""
    inner = innermost(store)
    if isinstance(inner, InMemoryTrackerStore):
        return IN_MEMORY
    if isinstance(inner, SQLTrackerStore) and inner.engine.dialect.name == "sqlite":
        return IN_FILE
    return None


def warn_of_replicas(bot: Bot, store: Store) -> None:
    """Log a warning if Rasa's lock store is shared, which is a sign of several Rasa servers, and the relay's database isn't."""
    if not store.shared and bot.ready and not isinstance(locks := bot.agent.lock_store, InMemoryLockStore):
        log.warning(
            "endpoints.yml has a lock store for several Rasa servers (%s), but %s: run one server, or give 'store' a Postgres "
            "database, which several processes can share.",
            type(locks).__name__,
            ONE_PROCESS,
        )
