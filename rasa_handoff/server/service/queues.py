"""The queues of departments: conversations enter and leave them, their places change, and desks and bots are informed.

A place is sent to the customer's side when it differs from the last one sent (``Record.position``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


def list_key(state: Assignment) -> tuple[Any, ...]:
    """Return what decides in which list a conversation is: a queue, or an agent's."""
    return state.stage, state.department, state.agent


def arrive(unit: "UnitOfWork", offer: Offer, side: str, department: str | None = None, ahead: bool = False) -> Record:
    """Add a new conversation to the queue. ``ahead``: before others of the same priority."""
    event = Arrived(at=unit.now, department=department, ahead=ahead)
    state, _ = step(None, event)
    handoffs.add(unit.connection, Record(offer=offer, side=side, assignment=state))
    handoff_events.add(unit.connection, offer, None, event, state)
    unit.timekeeper.follow(unit.connection, offer.handoff_id, None, state, event)
    _rerank(unit, state.department, quiet=offer.handoff_id)
    record = handoffs.must_find(unit.connection, offer.handoff_id)
    _announce(unit, record)
    return record


def move(unit: "UnitOfWork", before: Record, after: Record, at: float) -> Record:
    """Save a conversation whose stage, department or agent changed; bring queues and desks up to date."""
    seen_before = summaries.viewers(unit.connection, before)
    # Without a place it counts as new in its queue: `_rerank` gives it one, and `_announce` publishes it.
    handoffs.save(unit.connection, replace(after, position=None))
    for department in {before.assignment.department, after.assignment.department}:
        _rerank(unit, department)
    record = handoffs.must_find(unit.connection, after.handoff_id)
    if record.assignment.stage is Stage.QUEUED:
        _announce(unit, record)
    else:
        unit.show(record)
    lost = seen_before - summaries.viewers(unit.connection, record)
    if lost:
        gone_summary = summaries.gone_summary(summaries.load_summary(unit.connection, record), at)
        unit.publications.append(Changed(viewers=lost, summary=gone_summary))
    return record


def _rerank(unit: "UnitOfWork", department: str | None, quiet: str | None = None) -> None:
    """Save and send the places in a queue that changed; not to ``quiet``, which gets its place with the acknowledgement."""
    wait = availability.expected_wait(unit.connection, department)
    queue = enumerate(handoffs.queued(unit.connection, department), start=1)
    moved = [(record, place) for place, record in queue if record.position != place]
    last = handoffs.last_messages(unit.connection, [record.handoff_id for record, _ in moved])
    serving = availability.serving(unit.connection, department)
    full = _full_lanes(unit, [record for record, _ in moved])
    for record, place in moved:
        placed = replace(record, position=place)
        if record.handoff_id != quiet and record.handoff_id not in full:
            placed = unit.send_status(placed, "queued", {"position": place, "wait": wait})
        handoffs.save(unit.connection, placed)
        if record.position is not None:  # one that has come into this queue is published by `_announce`
            seen_by = summaries.viewers(unit.connection, placed, serving)
            summary = summaries.summary(placed, last.get(placed.handoff_id))
            unit.publications.append(Changed(viewers=seen_by, summary=summary))


def _full_lanes(unit: "UnitOfWork", moved: Sequence[Record]) -> set[str]:
    """Return the handoffs whose lane is too full for a new place."""
    sides = {record.side for record in moved}
    full = OUTBOX.without_room(unit.connection, sides, [record.handoff_id for record in moved])
    return {lane for _, lane in full}


def _announce(unit: "UnitOfWork", record: Record) -> None:
    """Publish an arrival to those it is meant for: the agent the bot named, else all who serve the department."""
    seen_by, summary = summaries.viewers(unit.connection, record), summaries.load_summary(unit.connection, record)
    named = record.offer.agent and availability.agent_id_of(unit.connection, record.offer.agent)
    meant = frozenset({named}) if named else seen_by
    unit.publications.append(Arrival(viewers=meant, summary=summary))
    unit.publications.append(Changed(viewers=seen_by - meant, summary=summary))
