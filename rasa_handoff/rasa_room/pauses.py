"""Whose pause a paused tracker has: that of a handoff, or one of the project's own, which is left alone."""

from typing import Any

from rasa.shared.core.events import BotUttered, ConversationPaused, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.wishing import intent_of
from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.marker import HandoffRequest, read_marker


def paused_for_handoff(tracker: DialogueStateTracker, execute: str) -> bool:
    """Whether the conversation is paused for a handoff: the pause carries a handoff's id, or it was made in a turn that asked
    for one, by a marker or by ``execute``, the intent. Any other ``ConversationPaused()`` is the project's own."""
    if not tracker.is_paused():
        return False
    events = list(tracker.events)
    place = max((at for at, event in enumerate(events) if isinstance(event, ConversationPaused)), default=None)
    if place is None:
        return False
    if (events[place].metadata or {}).get("handoff_id") is not None:
        return True
    return any(_asks(event, execute) for event in _turn_around(events, place))


def _turn_around(events: list[Any], place: int) -> list[Any]:
    """The events of the turn in which this one happened."""
    users = [at for at, event in enumerate(events) if isinstance(event, UserUttered)]
    start = max((at for at in users if at < place), default=0)
    end = min((at for at in users if at > place), default=len(events))
    return events[start:end]


def _asks(event: Any, execute: str) -> bool:
    if isinstance(event, UserUttered):
        return intent_of(event.parse_data or {}) == execute
    if not isinstance(event, BotUttered):
        return False
    try:
        return isinstance(read_marker((event.data or {}).get("custom")), HandoffRequest)
    except MarkerError:
        return True
