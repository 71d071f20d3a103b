"""Events added to a tracker in an SQL tracker store without reading the tracker, which costs more the longer it is.

Rasa saves a tracker by reading how many of its events are stored and adding the others. Here the events are all new, so they are
added as they are, by the store's own ``save``. Hold Rasa's lock of the conversation: a turn that has read the tracker before
would leave as many of its own events out.
"""

import copy
from typing import Final, TypeVar

from rasa.core.tracker_store import SQLTrackerStore, TrackerStore
from rasa.shared.core.trackers import DialogueStateTracker

StoreT = TypeVar("StoreT", bound=TrackerStore)

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
    appending = without_broker(store)
    appending._additional_events = lambda session, tracker: iter(tracker.events)
    await appending.save(new)


def without_broker(store: StoreT) -> StoreT:
    """Return a copy of the store without the event broker, which belongs to the event loop; it shares the engine or client."""
    copied = copy.copy(store)
    copied.event_broker = None
    return copied
