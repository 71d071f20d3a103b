"""The trackers that this process has in memory anyway, so that a handoff's turn doesn't read them again.

Rasa reads a tracker once for a turn; what follows the turn, the transcript and the first notices, is made from that one. Another
process may write to the tracker store meanwhile, so a saved tracker counts for a few seconds only, and nothing that is written
to the store is made from it.
"""

import time
import weakref
from typing import Final, NamedTuple

from rasa.shared.core.events import SessionStarted
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.guard.recent import Recent

RECENT_SECONDS: Final = 5.0
"""How long a saved tracker counts as the newest."""
MOST_SAVED: Final = 100
"""The most saved trackers that are kept."""


class _Saved(NamedTuple):
    """A tracker that was saved, when, and how many events it had then."""

    tracker: DialogueStateTracker
    at: float
    events: int


class TrackersInMemory:
    """The trackers of one store that are under way or were saved just now, by their conversation."""

    def __init__(self) -> None:
        self._saved: dict[str, _Saved] = Recent(MOST_SAVED)
        self._in_turn: weakref.WeakValueDictionary[str, DialogueStateTracker] = weakref.WeakValueDictionary()

    def note_turn(self, tracker: DialogueStateTracker) -> None:
        """Note the tracker that Rasa has read for a turn. It is known for as long as the turn has it."""
        self._in_turn[tracker.sender_id] = tracker

    def note_saved(self, tracker: DialogueStateTracker) -> None:
        """Note a tracker that was saved."""
        self._saved[tracker.sender_id] = _Saved(tracker, time.monotonic(), len(tracker.events))

    def forget(self, conversation_id: str) -> None:
        """Forget the tracker that was saved: the store has other events, or perhaps has."""
        self._saved.pop(conversation_id, None)

    def saved_just_now(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker that was saved within ``RECENT_SECONDS``, if the store would return the same events; else None."""
        saved = self._saved.get(conversation_id)
        if saved is None or time.monotonic() - saved.at > RECENT_SECONDS or len(saved.tracker.events) != saved.events:
            return None
        return saved.tracker if _has_one_session(saved.tracker) else None

    def to_render(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker of the turn under way, or else the one saved just now, to render a response with; or None."""
        tracker, saved = self._in_turn.get(conversation_id), self._saved.get(conversation_id)
        if tracker is not None and (saved is None or tracker is not saved.tracker):
            return tracker
        return self.saved_just_now(conversation_id)


def _has_one_session(tracker: DialogueStateTracker) -> bool:
    """Return whether all events are of one session: stores hide those of earlier ones."""
    starts = [index for index, event in enumerate(tracker.events) if isinstance(event, SessionStarted)]
    return not starts or (len(starts) == 1 and starts[0] <= 1)  # the first is action_session_start
