"""The server's dead letters, sent again."""

from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letters import DeadLetters, Road, late
from rasa_handoff.server import messages, records
from rasa_handoff.server.tables import OUTBOX
from rasa_handoff.store.outbox import DeadLetter, Entry
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import Speaker


def send_again(connection: Connection, letter: DeadLetter) -> Road:
    """Put it at the end of its lane under the next number, if its handoff goes on; words that newer ones have overtaken say so.

    Raises:
        Refused: its handoff is over.
        ValueError: it can't be read.
    """
    say = dict(letter.entry.body["say"])
    record = records.find(connection, letter.lane)
    if record is None or record.assignment.stage is Stage.ENDED:
        raise Refused("ended", f"The handoff of dead letter {letter.number} is over, so nobody waits for it: drop it.")
    own = messages.known(connection, letter.lane, say["id"])
    people = (Speaker.AGENT, Speaker.CUSTOMER)
    if own is not None and any(one.speaker in people for one in messages.after(connection, letter.lane, own.seq)):
        say["text"] = late(say["text"])
    say["number"] = record.told + 1
    records.save(connection, record.but(told=record.told + 1))
    again = Entry(target=letter.target, lane=letter.lane, name=letter.name, body={**letter.entry.body, "say": say})
    OUTBOX.put(connection, [again])
    return again.road


DEAD_LETTERS: Final = DeadLetters(OUTBOX, send_again)
