"""The outbox entries that the effects of an event become, and what happens where a lane is full.

A message for which there is no room is refused. What a full lane can do without is left out: a notice, a message's status, a
rating.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy.engine import Connection

from rasa_handoff.protocol import events
from rasa_handoff.protocol.effects import Effect, TellCustomer, TellDesk, WriteTracker
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_LANE
from rasa_handoff.protocol.outbox_bodies import CustomerBody, NoticeBody
from rasa_handoff.protocol.payloads import MessageStatusPayload, RatingPayload
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.relay import repository
from rasa_handoff.relay.handoff_requests import offer_entries
from rasa_handoff.relay.repository import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.outbox import Entry

RECEIVERS: Final = {DESK: "the agents", CUSTOMER: "the customer", TRACKER: "Rasa's tracker"}


def refuse_where_full(connection: Connection, event: events.CustomerSaid | events.AgentSaid) -> None:
    """Check that there is room for a message, for its receiver and in the tracker.

    Raises:
        Refused: there isn't.
    """
    receiver = DESK if isinstance(event, events.CustomerSaid) else CUSTOMER
    full = repository.outbox.first_full(connection, (receiver, TRACKER), event.conversation_id)
    if full is not None:
        raise Refused(
            "too_many", f"{LONGEST_LANE:,} messages already wait for {RECEIVERS[full]}, so this one wasn't taken."
        )


def put_entries(connection: Connection, lane: str, handoff_id: str | None, effects: Sequence[Effect]) -> None:
    """Put the effects into the outbox; what a full lane can do without is left out."""
    wanted = {target for effect in effects if (target := _dispensable_for(effect)) is not None}
    full = {target for target in wanted if repository.outbox.lacks_room(connection, target, lane)}
    entries: list[Entry] = []
    for effect in effects:
        if _dispensable_for(effect) not in full:
            entries += _entries(connection, lane, handoff_id, effect)
    repository.outbox.put(connection, entries)


def _dispensable_for(effect: Effect) -> str | None:
    """Return the target of an effect that may be left out when its lane is full; None for any other."""
    if isinstance(effect, TellCustomer) and effect.speaker is Speaker.SYSTEM:
        return CUSTOMER
    if isinstance(effect, TellDesk) and isinstance(effect.payload, MessageStatusPayload | RatingPayload):
        return DESK
    return TRACKER if isinstance(effect, WriteTracker) and isinstance(effect.body, NoticeBody) else None


def _entries(connection: Connection, lane: str, handoff_id: str | None, effect: Effect) -> list[Entry]:
    if isinstance(effect, TellDesk):
        return [Entry.of(DESK, lane, effect.payload.event, repository.numbered(connection, effect.payload))]
    if isinstance(effect, WriteTracker):
        return [Entry.of(TRACKER, lane, effect.body.kind, effect.body)]
    if isinstance(effect, TellCustomer):
        body = CustomerBody(
            id=effect.id or uuid.uuid4().hex,
            handoff_id=handoff_id,
            text=effect.text,
            response=effect.response,
            values=effect.values,
            message=effect.message,
            agent=effect.agent,
            parts=effect.parts,
        )
        return [Entry.of(CUSTOMER, lane, effect.speaker.value, body)]
    return offer_entries(connection, lane, handoff_id, effect)
