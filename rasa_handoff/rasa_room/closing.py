"""The bot ends a conversation (``custom: {handoff_close: {}}``): what the customer types next begins a new session.

The tracker has the bot's words with their ``custom``; that is the record, and no other is kept.
"""

from collections.abc import Mapping
from typing import Any, Final

from rasa.shared.core.events import BotUttered, SessionStarted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.vocabulary.directives import Close, read_directives
from rasa_handoff.vocabulary.errors import MarkerError

CLOSED: Final[Mapping[str, Any]] = {"active": "closed", "agent": None}
"""What a front end is told then, in place of ``Conversation.shown``."""


def closed(tracker: DialogueStateTracker) -> bool:
    """Whether the bot ended the conversation in its last turn."""
    for event in reversed(tracker.events):
        if isinstance(event, UserUttered | SessionStarted):
            return False
        if isinstance(event, BotUttered) and _closes((event.data or {}).get("custom")):
            return True
    return False


def _closes(custom: Any) -> bool:
    try:
        return any(isinstance(directive, Close) for directive in read_directives(custom))
    except MarkerError:
        return False  # said in the log when it was sent
