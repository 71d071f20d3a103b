"""The server's dead letters: how one is sent again."""

from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letter_commands import DeadLetters, LaneKey, late
from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.outbox import DeadLetter, Entry


def send_again(connection: Connection, letter: DeadLetter) -> LaneKey:
    """Put a dead letter at the end of its lane under the next number. A message that newer ones have overtaken is marked as late.

    Raises:
        Refused: its handoff has ended.
        ValueError: the letter can't be read.
    """
    say = dict(letter.entry.body["say"])
    record = handoffs.find(connection, letter.lane)
    if record is None or record.assignment.stage is Stage.ENDED:
        raise Refused("ended", f"The handoff of dead letter {letter.number} is over, so nobody waits for it: drop it.")
    own = handoffs.known(connection, letter.lane, say["id"])
    people = (Speaker.AGENT, Speaker.CUSTOMER)
    if own is not None and any(one.speaker in people for one in handoffs.after(connection, letter.lane, own.seq)):
        say["text"] = late(say["text"])
    number = record.last_number + 1
    say["number"] = number
    handoffs.save(connection, record.but(last_number=number))
    again = Entry(target=letter.target, lane=letter.lane, name=letter.name, body={**letter.entry.body, "say": say})
    OUTBOX.put(connection, [again])
    return again.lane_key


DEAD_LETTERS: Final = DeadLetters(OUTBOX, send_again)
