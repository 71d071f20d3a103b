"""What relay and server say to each other on connecting: the last that each has of the other's."""

import logging
from collections.abc import Mapping
from typing import Final

from rasa_handoff.server import records
from rasa_handoff.server.outcomes import Outcome
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import OUTBOX
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.assignment import Ending
from rasa_handoff.thinking.desk_events import Told
from rasa_handoff.vocabulary.values import Value

log = logging.getLogger(__name__)

MOST_UNHEARD: Final = 10_000
"""How many entries of a conversation are looked through for what the relay says it has."""


class CaughtUp(Value, frozen=True, kw_only=True):
    """``heard``: the id of the last that came from the relay, by handoff. ``unknown``: handoffs this database hasn't got."""

    heard: dict[str, str]
    unknown: tuple[str, ...]


def catch_up(turn: Turn, side: str, bot_id: str, last: Mapping[str, int]) -> CaughtUp:
    """The relay goes on with these handoffs and has heard each up to a number: what it has isn't told again, and an end that it
    doesn't know of (its database is an earlier copy) is."""
    heard, unknown = {}, []
    for handoff_id, number in last.items():
        record = records.find(turn.connection, handoff_id)
        if record is None:
            unknown.append(handoff_id)
        elif record.side == side and record.offer.bot_id == bot_id:
            _agree(turn, record, number)
            id = records.last_heard(turn.connection, handoff_id)
            if id is not None:
                heard[handoff_id] = id
    return CaughtUp(heard=heard, unknown=tuple(unknown))


def _agree(turn: Turn, record: Record, number: int) -> None:
    """On what the relay has of one handoff."""
    waiting = OUTBOX.head(turn.connection, record.side, record.handoff_id, MOST_UNHEARD)
    if number > record.told:
        record = _count_on(turn, record, number, waiting)
    else:
        has = [entry for entry in waiting if entry.body["say"]["number"] <= number]
        OUTBOX.remove(turn.connection, has)
        waiting = waiting[len(has) :]
    ended = record.assignment.ended
    if ended is not None and not waiting:
        turn.tell(record, _told_again(ended))


def _told_again(ended: Ending) -> Told:
    """An agent's end has an outcome, any other a reason. The slots were set once and are forgotten."""
    if ended.outcome in tuple(Outcome):
        return Told(status="completed", details={"outcome": ended.outcome, "note": ended.note, "slots": {}})
    return Told(status="failed", details={"reason": ended.outcome})


def _count_on(turn: Turn, record: Record, number: int, waiting: list[Entry]) -> Record:
    """The relay has more of us than we remember: this database is an earlier copy, and what it numbers from its own count
    would pass for old. What the relay had of it, it tells by the message's id."""
    log.warning(
        "Handoff %s: the relay has heard %s of us, this database said %s.", record.handoff_id, number, record.told
    )
    OUTBOX.remove(turn.connection, waiting)
    for place, entry in enumerate(waiting, start=number + 1):
        entry.body["say"]["number"] = place
    OUTBOX.put(turn.connection, waiting)
    counted = record.but(told=number + len(waiting))
    records.save(turn.connection, counted)
    return counted
