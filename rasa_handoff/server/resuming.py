"""What relay and server say to each other on connecting: the last that each has of the other's."""

import logging
from collections.abc import Mapping
from typing import Final

from rasa_handoff.server import records
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import OUTBOX
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.outbox import Entry

log = logging.getLogger(__name__)

MOST_UNHEARD: Final = 10_000
"""How many entries of a conversation are looked through for what the relay says it has."""


def catch_up(turn: Turn, side: str, bot_id: str, last: Mapping[str, int]) -> dict[str, str]:
    """The relay has heard each of these handoffs up to a number: what it has isn't told again.

    Returns the id of the last that came from the relay, of each handoff that is known here.
    """
    found = {}
    for handoff_id, number in last.items():
        record = records.find(turn.connection, handoff_id)
        if record is None or record.side != side or record.offer.bot_id != bot_id:
            continue
        waiting = OUTBOX.head(turn.connection, side, handoff_id, MOST_UNHEARD)
        if number > record.told:
            _count_on(turn, record, number, waiting)
        else:
            OUTBOX.remove(turn.connection, [entry for entry in waiting if entry.body["say"]["number"] <= number])
        heard = records.last_heard(turn.connection, handoff_id)
        if heard is not None:
            found[handoff_id] = heard
    return found


def _count_on(turn: Turn, record: Record, number: int, waiting: list[Entry]) -> None:
    """The relay has more of us than we remember: this database is an earlier copy, and what it numbers from its own count
    would pass for old. What the relay had of it, it tells by the message's id."""
    log.warning(
        "Handoff %s: the relay has heard %s of us, this database said %s.", record.handoff_id, number, record.told
    )
    OUTBOX.remove(turn.connection, waiting)
    for place, entry in enumerate(waiting, start=number + 1):
        entry.body["say"]["number"] = place
    OUTBOX.put(turn.connection, waiting)
    records.save(turn.connection, record.but(told=number + len(waiting)))
