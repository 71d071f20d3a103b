"""One Rasa process has all conversations: what is under way is in its memory (``relay.py``), and the database its record.

A second worker or replica, whatever the database, would hand a live customer's words to the bot.
"""

import os
from typing import Final

from rasa.core.lock_store import InMemoryLockStore

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

ONE: Final = "one process has all conversations"


def check_workers() -> None:
    """Before anything is opened.

    Raises:
        SettingsError: if Rasa was told to start several.
    """
    workers = os.environ.get("SANIC_WORKERS", "1").strip()
    if workers.isdigit() and int(workers) > 1:
        raise SettingsError(
            f"rasa_handoff.HandoffChannel: SANIC_WORKERS is {workers}, but {ONE}: set SANIC_WORKERS=1, or leave it out."
        )


def warn_of_replicas(bot: Bot) -> None:
    """A lock store that is shared is there for several processes; nobody else would notice them."""
    if bot.ready and not isinstance(store := bot.agent.lock_store, InMemoryLockStore):
        log.warning(
            "endpoints.yml has a lock store for several Rasa servers (%s), but %s: run one server, and take lock_store out.",
            type(store).__name__,
            ONE,
        )
