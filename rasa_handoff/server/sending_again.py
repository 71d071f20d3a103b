"""The server's dead letters: how one is sent again."""

from typing import Final

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letter_commands import DeadLetters, late
from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import MessagePayload
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.customer_entries import read_entry, renumbered
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.lanes import LaneKey
from rasa_handoff.store.outbox import DeadLetter

PEOPLE: Final = (Speaker.AGENT, Speaker.CUSTOMER)


def send_again(connection: Connection, letter: DeadLetter) -> LaneKey:
    """Put a dead letter at the end of its lane under the next number. A message that newer ones have overtaken is marked as late.

    Raises:
        Refused: its handoff has ended.
        ValueError: the letter can't be read.
    """
    entry = letter.entry
    try:
        payload = read_entry(entry).payload
    except Refused as problem:
        raise ValueError(str(problem)) from problem
    record = handoffs.find(connection, letter.lane)
    if record is None or record.assignment.stage is Stage.ENDED:
        raise Refused("ended", f"The handoff of dead letter {letter.number} is over, so nobody waits for it: drop it.")
    number = record.last_number + 1
    text = late(payload.text) if isinstance(payload, MessagePayload) and _is_overtaken(connection, payload) else None
    handoffs.save(connection, replace(record, last_number=number))
    again = renumbered(entry, number, text)
    OUTBOX.put(connection, [again])
    return again.lane_key


def _is_overtaken(connection: Connection, said: MessagePayload) -> bool:
    """Return whether somebody has said something after this message."""
    own = handoffs.find_message(connection, said.handoff_id, said.id)
    if own is None:
        return False
    return any(one.speaker in PEOPLE for one in handoffs.messages_after(connection, said.handoff_id, own.seq))


DEAD_LETTERS: Final = DeadLetters(OUTBOX, send_again)
