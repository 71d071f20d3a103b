"""Dead letters of the relay: notify the sender of what can't be delivered, and send it again on request."""

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letter_commands import DeadLetters, late
from rasa_handoff.core.control import Control
from rasa_handoff.protocol import events
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.outbox_bodies import ReturnBody
from rasa_handoff.protocol.payloads import MessagePayload, OfferPayload
from rasa_handoff.protocol.values import Speaker, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.lanes import LaneKey
from rasa_handoff.store.outbox import DeadLetter, Entry


def events_after_set_aside(entry: Entry, reason: str) -> list[events.Event]:
    """Return the events that follow when this entry becomes a dead letter.

    - an agent's message: the desk gets the status failed, with the reason;
    - a customer's message: the customer gets a notice that it couldn't be passed on;
    - an offer: it counts as refused by the desk;
    - the return to the bot: the bot gets the conversation although the tracker lacks it.

    Nobody waits for anything else (a notice, a message of the bot, a line for the tracker), so it only appears in the log.
    """
    if entry.handoff_id is None:
        return []
    here: dict[str, Any] = {"conversation_id": entry.lane, "handoff_id": entry.handoff_id}
    kind = (entry.target, entry.name)
    if kind == (CUSTOMER, Speaker.AGENT.value) and entry.id is not None:
        return [events.MessageReported(**here, message_id=entry.id, status=Status.FAILED, reason=reason)]
    if kind == (DESK, MessagePayload.event):
        return [events.CustomerMessageNotDelivered(**here, text=str(entry.body.get("text") or ""))]
    if kind == (DESK, OfferPayload.event):
        return [events.HandoffRefused(**here, code="failed", sentence="The desk can't take it.")]
    return [events.ReturnTimedOut(**here)] if kind == (TRACKER, ReturnBody.kind) else []


def send_again(connection: Connection, letter: DeadLetter) -> LaneKey:
    """Put a dead letter at the end of its lane again, and return the lane key.

    A message is marked as late if newer ones were sent meanwhile.

    Raises:
        Refused: its handoff is over.
        ValueError: its body can't be read.
    """
    entry = letter.entry
    body = dict(entry.body)
    handoff_id = body.get("handoff_id")
    conversation = repository.load(connection, entry.lane)
    if handoff_id is not None and (conversation.handoff_id != handoff_id or conversation.state is Control.BOT):
        raise Refused("ended", f"The handoff of dead letter {letter.number} is over, so nobody waits for it: drop it.")
    if isinstance(body.get("text"), str) and _is_overtaken(connection, handoff_id, body.get("id")):
        body["text"] = late(body["text"])
    if entry.target == DESK and handoff_id is not None:
        body["number"] = repository.next_number(connection, handoff_id)
    again = Entry(target=entry.target, lane=entry.lane, name=entry.name, body=body)
    repository.outbox.put(connection, [again])
    return again.lane_key


def _is_overtaken(connection: Connection, handoff_id: str | None, message_id: str | None) -> bool:
    """Return whether a newer message of this handoff exists."""
    messages = repository.messages.c
    own = select(messages.place).where(messages.handoff_id == handoff_id, messages.id == message_id).scalar_subquery()
    newer = select(messages.id).where(messages.handoff_id == handoff_id, messages.place > own)
    return connection.execute(newer).first() is not None


DEAD_LETTERS: Final = DeadLetters(repository.outbox, send_again)
