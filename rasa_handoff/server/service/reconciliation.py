"""Reconciliation after a connect: relay and server compare the last that each has received from the other."""

import uuid
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from rasa_handoff.core.assignment import Ending
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.payloads import DeskStatusPayload, MessagePayload, OpenHandoffPayload
from rasa_handoff.protocol.values import Outcome, Value, read
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import handoff_events, handoffs
from rasa_handoff.server.storage.customer_entries import StatusEntry, read_entry, renumbered
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.outbox import Entry

log = get_log(__name__)


class CaughtUp(Value, frozen=True, kw_only=True):
    """The server's answer to a relay's ``hello``.

    ``received``: for each handoff, the id of the last event that came from the relay. ``unknown``: handoffs that this database
    doesn't have.
    """

    received: dict[str, str]
    unknown: tuple[str, ...]


def catch_up(unit: UnitOfWork, side: str, bot_id: str, open_handoffs: Sequence[OpenHandoffPayload]) -> CaughtUp:
    """Compare a relay's open handoffs with ours, and return the last event that this side has received of each.

    Entries that the relay has received are removed from the outbox. If the relay doesn't know that a handoff has ended (its
    database is an earlier copy), the end is sent again; for a handoff that was deleted here, an end is made up.
    """
    ours, unknown = {}, []
    for one in open_handoffs:
        record = handoffs.find(unit.connection, one.handoff_id)
        if record is None and handoff_events.knows(unit.connection, one.handoff_id):
            unit.entries.append(_end_of_deleted(bot_id, side, one))
        elif record is None:
            unknown.append(one.handoff_id)
        elif record.is_of(side, bot_id):
            with unit.isolated("Handoff %s can't be reconciled with what the relay has received.", one.handoff_id):
                unit.note_presence(_agree(unit, record, one), here=not one.customer_is_away)
            id = handoffs.last_received(unit.connection, one.handoff_id)
            if id is not None:
                ours[one.handoff_id] = id
    return CaughtUp(received=ours, unknown=tuple(unknown))


def _agree(unit: UnitOfWork, record: Record, theirs: OpenHandoffPayload) -> Record:
    """Reconcile one handoff, and return it as it is then.

    If the relay has a higher number than we remember, this database is an earlier copy: the entries that it has numbered since
    would seem old to the relay, so they are numbered anew.
    """
    waiting = OUTBOX.head(unit.connection, record.side, record.handoff_id)
    is_earlier_copy = theirs.last > record.last_number
    if is_earlier_copy:
        log.warning(
            "Handoff %s: the relay has received number %s, this database is a copy from number %s.",
            record.handoff_id,
            theirs.last,
            record.last_number,
        )
    left = waiting if is_earlier_copy else _not_received(waiting, theirs)
    # A waiting entry may have a number that the relay has received with another entry: it would take this one for old.
    if (left and _number(left[0]) <= theirs.last) or is_earlier_copy:
        record = _number_anew(unit, record, theirs.last, waiting, left)
    else:
        kept = {entry.key for entry in left}
        OUTBOX.remove(unit.connection, [entry for entry in waiting if entry.key not in kept])
    ended = record.assignment.ended
    if ended is not None and not left:
        record = unit.send_status(record, *_end_again(ended))
        handoffs.save(unit.connection, record)
    return record


def _not_received(waiting: Sequence[Entry], theirs: OpenHandoffPayload) -> list[Entry]:
    """Return the waiting entries that the relay doesn't have.

    Messages are compared by id (``theirs.words`` is the id of the last one that the relay has): in an earlier copy of our
    database another message may have had the same number.
    """
    indexes = [index for index, entry in enumerate(waiting) if read_entry(entry).payload.id == theirs.words]
    last_message = indexes[0] if indexes else -1
    return [
        entry
        for index, entry in enumerate(waiting)
        if (index > last_message if entry.name == MessagePayload.event else _number(entry) > theirs.last)
    ]


def _number(entry: Entry) -> int:
    return read_entry(entry).payload.number or 0


def _number_anew(unit: UnitOfWork, record: Record, last: int, waiting: list[Entry], left: list[Entry]) -> Record:
    """Replace the waiting entries by those that are left, numbered after ``last``."""
    OUTBOX.remove(unit.connection, waiting)
    OUTBOX.put(unit.connection, [renumbered(entry, number) for number, entry in enumerate(left, start=last + 1)])
    counted = replace(record, last_number=last + len(left))
    handoffs.save(unit.connection, counted)
    return counted


def _end_of_deleted(bot_id: str, side: str, theirs: OpenHandoffPayload) -> Entry:
    """Return the end of a handoff that was deleted here, for a relay whose database is an earlier copy in which it goes on."""
    fields = {"handoff_id": theirs.handoff_id, "status": "failed", "reason": "deleted", "id": uuid.uuid4().hex}
    status = read(DeskStatusPayload, {**fields, "number": theirs.last + 1})
    body = StatusEntry(bot_id=bot_id, conversation_id="", payload=status)
    return Entry.of(side, theirs.handoff_id, status.event, body)


def _end_again(ended: Ending) -> tuple[str, dict[str, Any]]:
    """Return the status that announces an end again: an agent's has an outcome, any other a reason. Slots are set only once."""
    if ended.outcome in tuple(Outcome):
        return "completed", {"outcome": ended.outcome, "note": ended.note, "slots": {}}
    return "failed", {"reason": ended.outcome}
