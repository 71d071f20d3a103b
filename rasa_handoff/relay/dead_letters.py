"""What it means for a conversation that something can't be delivered: its sender is told, and nobody is stuck."""

from typing import Any

from rasa_handoff.relay.memory import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary import events as e
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
    if what == (CUSTOMER, Speaker.AGENT.value):
        return [e.MessageReported(**here, message_id=body["id"], status=Status.FAILED, reason=reason)]
    if what == (DESK, "message"):
        return [e.WordsNotDelivered(**here, text=str(body.get("text") or ""))]
    if what == (DESK, "handoff.initiate"):
        return [e.HandoffRefused(**here, code="failed", sentence="The desk can't take it.")]
    return [e.ReturnTimedOut(**here)] if what == (TRACKER, "back") else []
