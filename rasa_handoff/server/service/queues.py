"""The queues of departments: conversations enter and leave them, and desks and bots are informed.

A conversation's place is computed when it enters a queue. When one leaves, only the next one in the queue is informed at once, so
that a change costs the same however many wait. The others hear of a new place now and then (``QueueNotices`` in
``queue_notices.py``). ``Record.position`` is the place that was sent last.
"""

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from rasa_handoff.core.assignment import Assignment, Stage, step
from rasa_handoff.core.assignment_events import Arrived
from rasa_handoff.protocol.values import Offer
from rasa_handoff.server.service import availability, summaries
from rasa_handoff.server.service.publications import Arrival, Changed
from rasa_handoff.server.storage import handoff_events, handoffs
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import OUTBOX

if TYPE_CHECKING:  # a unit of work calls `move`
    from rasa_handoff.server.service.unit_of_work import UnitOfWork

QUEUED: Final = "queued"
"""The status that tells a place in the queue."""


def list_key(state: Assignment) -> tuple[Any, ...]:
    """Return what decides in which list a conversation is: a queue, or an agent's."""
    return state.stage, state.department, state.agent


def arrive(
    unit: "UnitOfWork",
    offer: Offer,
    side: str,
    department: str | None = None,
    ahead: bool = False,
    announced: bool = True,
) -> Record:
    """Add a new conversation to the queue.

    ``ahead``: before others of the same priority. ``announced``: whether desks are told of it; they aren't if
    it leaves the queue at once.
    """
    event = Arrived(at=unit.now, department=department, ahead=ahead)
    state, _ = step(None, event)
    record = Record(offer=offer, side=side, assignment=state)
    record = replace(record, position=handoffs.place_of(unit.connection, record))
    handoffs.add(unit.connection, record)
    handoff_events.add(unit.connection, offer, None, event, state)
    unit.timekeeper.follow(unit.connection, offer.handoff_id, None, state, event)
    if announced:
        _announce(unit, record)
    return record


def move(unit: "UnitOfWork", before: Record, after: Record, at: float) -> Record:
    """Save a conversation whose stage, department or agent changed; bring queues and desks up to date."""
    seen_before = summaries.viewers(unit.connection, before)
    record = replace(after, position=None)
    if record.assignment.stage is Stage.QUEUED:
        record = send_place(unit, record, handoffs.place_of(unit.connection, record))
        _announce(unit, record)
    else:
        handoffs.save(unit.connection, record)
        unit.show(record)
    if before.assignment.stage is Stage.QUEUED:
        tell_next(unit, before.assignment.department)
    lost = seen_before - summaries.viewers(unit.connection, record)
    if lost:
        gone_summary = summaries.gone_summary(summaries.load_summary(unit.connection, record), at)
        unit.publications.append(Changed(viewers=lost, summary=gone_summary))
    return record


def send_place(unit: "UnitOfWork", record: Record, place: int) -> Record:
    """Save a new place, and send it to the customer's side. It replaces one that hasn't been delivered; a full lane gets none."""
    placed = replace(record, position=place)
    if not OUTBOX.lacks_room(unit.connection, record.side, record.handoff_id):
        _take_back_places(unit, record)
        wait = availability.expected_wait(unit.connection, record.assignment.department)
        placed = unit.send_status(placed, QUEUED, {"position": place, "wait": wait})
    handoffs.save(unit.connection, placed)
    return placed


def _take_back_places(unit: "UnitOfWork", record: Record) -> None:
    """Remove places that wait in the outbox: a new one is about to be sent."""
    waiting = OUTBOX.head(unit.connection, record.side, record.handoff_id)
    untold = [entry for entry in waiting if _is_place(entry.body.get("payload"))]
    if untold:
        OUTBOX.remove(unit.connection, untold)


def _is_place(payload: Any) -> bool:
    """Return whether the payload of an outbox entry tells a place in the queue."""
    return isinstance(payload, dict) and payload.get("status") == QUEUED


def tell_next(unit: "UnitOfWork", department: str | None) -> None:
    """Inform the one who is next now; the others hear of their places by and by (``QueueNotices``).

    If another process is changing that conversation, it isn't waited for: two takes could wait for each other. Who is next is
    then looked up again after the commit (``UnitOfWork.untold``).
    """
    first = handoffs.first_queued(unit.connection, department)
    if first is None or first.position == 1:
        return
    record = handoffs.find_if_free(unit.connection, first.handoff_id)
    if record is None or list_key(record.assignment) != list_key(first.assignment):
        unit.untold.add(department)
    elif record.position != 1:
        send_place(unit, record, 1)


def _announce(unit: "UnitOfWork", record: Record) -> None:
    """Publish an arrival to those it is meant for: the agent the bot named, else all who serve the department."""
    seen_by, summary = summaries.viewers(unit.connection, record), summaries.load_summary(unit.connection, record)
    named = record.offer.agent and availability.agent_id_of(unit.connection, record.offer.agent)
    meant = frozenset({named}) if named else seen_by
    unit.publications.append(Arrival(viewers=meant, summary=summary))
    unit.publications.append(Changed(viewers=seen_by - meant, summary=summary))
