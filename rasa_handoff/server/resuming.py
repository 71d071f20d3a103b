"""What relay and server say to each other on connecting: the last that each has of the other's."""

from collections.abc import Sequence

from rasa_handoff.server import records
from rasa_handoff.server.outcomes import Outcome
from rasa_handoff.server.records import Record
from rasa_handoff.server.relay_words import Heard
from rasa_handoff.server.tables import OUTBOX
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.assignment import Ending
from rasa_handoff.thinking.desk_events import Told
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Value

log = get_log(__name__)


class CaughtUp(Value, frozen=True, kw_only=True):
    """``heard``: the id of the last that came from the relay, by handoff. ``unknown``: handoffs this database hasn't got."""

    heard: dict[str, str]
    unknown: tuple[str, ...]


def catch_up(turn: Turn, side: str, bot_id: str, heard: Sequence[Heard]) -> CaughtUp:
    """The relay goes on with these handoffs and says how far it has heard each: what it has isn't told again, and an end that it
    doesn't know of (its database is an earlier copy) is."""
    ours, unknown = {}, []
    for one in heard:
        record = records.find(turn.connection, one.handoff_id)
        if record is None:
            unknown.append(one.handoff_id)
        elif record.side == side and record.offer.bot_id == bot_id:
            with turn.apart(
                "What waits in handoff %s can't be compared with what the relay has heard.", one.handoff_id
            ):
                _agree(turn, record, one)
            id = records.last_heard(turn.connection, one.handoff_id)
            if id is not None:
                ours[one.handoff_id] = id
    return CaughtUp(heard=ours, unknown=tuple(unknown))


def _agree(turn: Turn, record: Record, heard: Heard) -> None:
    """On what the relay has of one handoff. More than we remember: this database is an earlier copy, and what it numbered since
    from its own count would pass for old."""
    waiting = OUTBOX.head(turn.connection, record.side, record.handoff_id)
    earlier = heard.last > record.told
    if earlier:
        log.warning(
            "Handoff %s: the relay has heard %s, this copy said %s.", record.handoff_id, heard.last, record.told
        )
    left = waiting if earlier else _unheard(waiting, heard)
    if (left and left[0].body["say"]["number"] <= heard.last) or earlier:
        record = _number_anew(turn, record, heard.last, waiting, left)
    else:
        kept = {entry.key for entry in left}
        OUTBOX.remove(turn.connection, [entry for entry in waiting if entry.key not in kept])
    ended = record.assignment.ended
    if ended is not None and not left:
        turn.tell(record, _told_again(ended))


def _unheard(waiting: Sequence[Entry], heard: Heard) -> list[Entry]:
    """Words are known by their id: in an earlier copy of our database other words may have had their number."""
    places = [place for place, entry in enumerate(waiting, start=1) if entry.body["say"]["id"] == heard.words]
    has_words = places[0] if places else 0
    return [
        entry
        for place, entry in enumerate(waiting, start=1)
        if (place > has_words if entry.name == "message" else entry.body["say"]["number"] > heard.last)
    ]


def _number_anew(turn: Turn, record: Record, number: int, waiting: list[Entry], left: list[Entry]) -> Record:
    """What is left of what waits is told next, in its order."""
    OUTBOX.remove(turn.connection, waiting)
    for place, entry in enumerate(left, start=number + 1):
        entry.body["say"]["number"] = place
    OUTBOX.put(turn.connection, left)
    counted = record.but(told=number + len(left))
    records.save(turn.connection, counted)
    return counted


def _told_again(ended: Ending) -> Told:
    """An agent's end has an outcome, any other a reason. The slots were set once and are forgotten."""
    if ended.outcome in tuple(Outcome):
        return Told(status="completed", details={"outcome": ended.outcome, "note": ended.note, "slots": {}})
    return Told(status="failed", details={"reason": ended.outcome})
