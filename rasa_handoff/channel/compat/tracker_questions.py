"""Questions to an SQL tracker store that need no tracker loaded, which costs more the longer it is.

Each function runs one statement, in the store's thread; :meth:`StoreAccess.ask_in_time` calls it.

Seen with ``rasa.core.tracker_store`` of 3.6.21.
"""

from typing import Final

from rasa.core.tracker_store import SQLTrackerStore
from rasa.shared.core.events import (
    ActionReverted,
    ConversationPaused,
    ConversationResumed,
    Restarted,
    SessionStarted,
    UserUtteranceReverted,
)

UNPAUSE: Final = (ConversationResumed.type_name, Restarted.type_name, SessionStarted.type_name)
"""Types of the events after which a tracker isn't paused."""
REVERT: Final = (ActionReverted.type_name, UserUtteranceReverted.type_name)
"""Types of the events that take back others, perhaps a return to the bot."""


def is_known(store: SQLTrackerStore, conversation_id: str) -> bool:
    """Return whether the conversation has a tracker."""
    event = store.SQLEvent
    with store.session_scope() as session:
        return session.query(event.id).filter(event.sender_id == conversation_id).first() is not None


def may_be_paused(store: SQLTrackerStore, conversation_id: str) -> bool:
    """Return False if the conversation's tracker isn't paused; True means that it must be loaded to know."""
    event = store.SQLEvent
    kinds = (ConversationPaused.type_name, *UNPAUSE, *REVERT)
    with store.session_scope() as session:
        found = session.query(event.type_name).filter(event.sender_id == conversation_id, event.type_name.in_(kinds))
        latest = found.order_by(event.id.desc()).first()
    return latest is not None and latest.type_name not in UNPAUSE
