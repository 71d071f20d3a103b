"""Events added to a tracker in an SQL tracker store without reading the tracker, which costs more the longer it is.

Rasa saves a tracker by reading how many of its events are stored and adding the others. Here the events are all new, so they are
added as they are, by the store's own ``save``. Hold Rasa's lock of the conversation: a turn that has read the tracker before
would leave as many of its own events out.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final

from rasa.core.tracker_store import SQLTrackerStore
from rasa.shared.core.trackers import DialogueStateTracker

LATEST: Final = 100
"""How many of the latest rows with a mark are looked at: at least as many as one batch has events."""


def latest_marked(store: SQLTrackerStore, conversation_id: str, mark: str) -> list[str]:
    """Return the JSON of the conversation's latest events that contain ``mark``, the latest first."""
    event = store.SQLEvent
    with store.session_scope() as session:
        rows = session.query(event.data).filter(
            event.sender_id == conversation_id, event.data.contains(mark, autoescape=True)
        )
        return [row.data for row in rows.order_by(event.id.desc()).limit(LATEST)]


async def append(store: SQLTrackerStore, new: DialogueStateTracker) -> None:
    """Add all events of this tracker, none of which is stored yet, to those of its conversation. The event broker is left out."""
    await _Appending.of(store).save(new)


class _Appending(SQLTrackerStore):
    """A copy of a store, with its engine, that takes every event of a tracker for a new one."""

    @classmethod
    def of(cls, store: SQLTrackerStore) -> "_Appending":
        appending: _Appending = copy.copy(store)
        appending.__class__ = cls
        appending.event_broker = None
        return appending

    def _additional_events(self, session: Any, tracker: DialogueStateTracker) -> Iterator[Any]:
        return iter(tracker.events)
