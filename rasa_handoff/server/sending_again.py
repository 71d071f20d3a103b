"""The server's dead letters: how one is sent again, and that the audit log says who did so."""

import time
from typing import Final

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letter_commands import DeadLetters, late
from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import MessagePayload
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.server.storage import audit_log, handoffs
from rasa_handoff.server.storage.audit_log import Audited, AuditedChange
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


class AuditedDeadLetters(DeadLetters):
    """Dead letters whose sending and dropping have a row in the audit log."""

    def send(self, connection: Connection, number: int) -> LaneKey:
        """Send a dead letter again, and note it."""
        lane_key = super().send(connection, number)
        _note(connection, Audited.SEND_DEAD_LETTER, number, lane_key[1])
        return lane_key

    def drop(self, connection: Connection, number: int) -> None:
        """Delete a dead letter, and note it."""
        letter = OUTBOX.dead_letter(connection, number)
        super().drop(connection, number)
        _note(connection, Audited.DROP_DEAD_LETTER, number, None if letter is None else letter.lane)


def _note(connection: Connection, operation: Audited, number: int, handoff_id: str | None) -> None:
    change = AuditedChange(operation=operation, subject=str(number), details={"handoff": handoff_id})
    audit_log.add_change(connection, change, time.time())


DEAD_LETTERS: Final = AuditedDeadLetters(OUTBOX, send_again)
