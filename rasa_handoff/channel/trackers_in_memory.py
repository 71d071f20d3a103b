"""The trackers that this process has in memory anyway, so that a handoff's turn doesn't read them again.

Rasa reads a tracker once for a turn; what follows the turn, the transcript and the first notices, is made from that one. Another
process may write to the tracker store meanwhile, so a saved tracker counts for a few seconds only, and nothing that is written
to the store is made from it.
"""

import time
import weakref
from contextvars import ContextVar
from typing import Final, NamedTuple

from rasa.shared.core.events import ActionExecuted, Event, SessionStarted, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.guard.recent import Recent

RECENT_SECONDS: Final = 5.0
"""How long a saved tracker counts as the newest."""
MOST_SAVED: Final = 100
"""The most saved trackers that are kept."""
KNOWN: Final = "_handoff_known"
"""Attribute of a tracker: how many of its events are in the store, or kept for it."""

_turns: ContextVar["weakref.ref[DialogueStateTracker] | None"] = ContextVar("handoff_turns_tracker", default=None)
"""The tracker of the turn that this task runs; the HTTP API, for example, reads the same conversation's in a task of its own."""


class _Saved(NamedTuple):
    """A tracker that was saved, when, and how many events it had then."""

    tracker: DialogueStateTracker
    at: float
    events: int


class TrackersInMemory:
    """The trackers of one store that are under way or were saved just now, by their conversation."""

    def __init__(self) -> None:
        self._saved: dict[str, _Saved] = Recent(MOST_SAVED)

    def note_turn(self, tracker: DialogueStateTracker) -> None:
        """Note the tracker that Rasa has read or made for this task's turn."""
        _turns.set(weakref.ref(tracker))

    def note_saved(self, tracker: DialogueStateTracker) -> None:
        """Note a tracker that was saved."""
        self._saved[tracker.sender_id] = _Saved(tracker, time.monotonic(), len(tracker.events))

    def forget(self, conversation_id: str) -> None:
        """Forget the tracker that was saved: the store has other events, or perhaps has."""
        self._saved.pop(conversation_id, None)

    def saved_just_now(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker that was saved within ``RECENT_SECONDS``, if the store would return the same events; else None."""
        saved = self._newest(conversation_id)
        return saved if saved is not None and _has_one_session(saved) else None

    def to_render(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker of this task's turn, or else the one saved just now, to render a response with; or None.

        A turn's counts for as long as it has events that aren't stored: after that, others may have been saved.
        """
        noted = _turns.get()
        tracker = noted() if noted is not None else None
        if tracker is not None and tracker.sender_id == conversation_id and unstored(tracker):
            return tracker
        return self._newest(conversation_id)  # of several sessions, too: its slots are those of the last

    def _newest(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker that was saved within ``RECENT_SECONDS``, unless it went on since; else None."""
        saved = self._saved.get(conversation_id)
        if saved is None or time.monotonic() - saved.at > RECENT_SECONDS or len(saved.tracker.events) != saved.events:
            return None
        return saved.tracker


def note_stored(tracker: DialogueStateTracker) -> None:
    """Note that all events of this tracker are in the store, or kept for it."""
    setattr(tracker, KNOWN, len(tracker.events))


def unstored(tracker: DialogueStateTracker) -> list[Event]:
    """Return the events of a turn's tracker that are neither in the store nor kept for it."""
    return list(tracker.events)[getattr(tracker, KNOWN, 0) :]


def _has_one_session(tracker: DialogueStateTracker) -> bool:
    """Return whether all that was said is of one session: stores hide what is older than the last session's start."""
    events = list(tracker.events)
    starts = [index for index, event in enumerate(events) if isinstance(event, SessionStarted)]
    # Before the first there are slots with an initial value, and action_session_start.
    return not starts or (
        len(starts) == 1 and all(isinstance(event, ActionExecuted | SlotSet) for event in events[: starts[0]])
    )
