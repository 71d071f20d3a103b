"""What it means for a conversation that something can't be delivered: its sender is told, and nobody is stuck."""

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letters import DeadLetters, Road, late
from rasa_handoff.relay import memory
from rasa_handoff.relay.memory import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.outbox import DeadLetter, Entry
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import Speaker, Status


def given_up(entry: Entry, reason: str) -> list[e.Event]:
    """The events that follow when this entry is set aside.

    - an agent's words: the desk is told that they failed, and why;
    - a customer's words: the customer is told that they couldn't be passed on;
    - an offer: the desk counts as having refused it;
    - the return to the bot: the bot gets the conversation without.

    Of anything else (a notice, the bot's words, a line for the tracker) nobody waits for an answer: the log says it.
    """
    body = entry.body
    handoff_id = body.get("handoff_id")
    if handoff_id is None:
        return []
    here: dict[str, Any] = {"conversation_id": entry.lane, "handoff_id": handoff_id}
    what = (entry.target, entry.name)
    if what == (CUSTOMER, Speaker.AGENT.value) and "id" in body:
        return [e.MessageReported(**here, message_id=body["id"], status=Status.FAILED, reason=reason)]
    if what == (DESK, "message"):
        return [e.WordsNotDelivered(**here, text=str(body.get("text") or ""))]
    if what == (DESK, "handoff.initiate"):
        return [e.HandoffRefused(**here, code="failed", sentence="The desk can't take it.")]
    return [e.ReturnTimedOut(**here)] if what == (TRACKER, "back") else []


def send_again(connection: Connection, letter: DeadLetter) -> Road:
    """Put it at the end of its lane, if its handoff goes on; words that newer ones have overtaken say so.

    Raises:
        Refused: its handoff is over.
        ValueError: it can't be read.
    """
    entry = letter.entry
    body = dict(entry.body)
    handoff_id = body.get("handoff_id")
    conversation = memory.load(connection, entry.lane)
    if handoff_id is not None and (conversation.handoff_id != handoff_id or conversation.state is Control.BOT):
        raise Refused("ended", f"The handoff of dead letter {letter.number} is over, so nobody waits for it: drop it.")
    if isinstance(body.get("text"), str) and _is_overtaken(connection, handoff_id, body.get("id")):
        body["text"] = late(body["text"])
    if entry.target == DESK and handoff_id is not None:
        body = memory.stamped(connection, body)
    again = Entry(target=entry.target, lane=entry.lane, name=entry.name, body=body)
    memory.outbox.put(connection, [again])
    return again.road


def _is_overtaken(connection: Connection, handoff_id: str | None, id: str | None) -> bool:
    """Whether somebody has spoken since these words."""
    m = memory.messages.c
    own = select(m.place).where(m.handoff_id == handoff_id, m.id == id).scalar_subquery()
    return connection.execute(select(m.id).where(m.handoff_id == handoff_id, m.place > own)).first() is not None


DEAD_LETTERS: Final = DeadLetters(memory.outbox, send_again)
