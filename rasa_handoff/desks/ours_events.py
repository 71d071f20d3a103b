"""The relay events that the payloads of our live-agent server mean."""

from typing import Any

from rasa_handoff.protocol import events
from rasa_handoff.protocol.payloads import (
    AcceptedPayload,
    Acknowledgement,
    CompletedPayload,
    CustomerSilentPayload,
    DeskStatusPayload,
    FailedPayload,
    MessagePayload,
    QueuedAnswer,
    QueuedPayload,
    TransferredPayload,
    UnansweredPayload,
)


def answer_to_offer(conversation_id: str, handoff_id: str, answer: Acknowledgement) -> events.Event:
    """Return the event that the acknowledgement of ``handoff.initiate`` means."""
    event_fields: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
    if isinstance(answer, QueuedAnswer):
        return events.HandoffAccepted(
            **event_fields, position=answer.position, wait=answer.wait, elsewhere=answer.elsewhere
        )
    return events.HandoffRefused(**event_fields, code=answer.code or "refused", sentence=answer.error or "")


def message_event(conversation_id: str, payload: MessagePayload) -> events.Event:
    """Return the event for an agent's message."""
    return events.AgentSaid(
        conversation_id=conversation_id,
        handoff_id=payload.handoff_id,
        number=payload.number,
        id=payload.id,
        text=payload.text,
        at=payload.at,
        agent=payload.agent,
        parts=payload.parts,
    )


def status_event(conversation_id: str, payload: DeskStatusPayload) -> events.Event:
    """Return the event for a handoff's status."""
    event_fields: dict[str, Any] = {
        "conversation_id": conversation_id,
        "handoff_id": payload.handoff_id,
        "number": payload.number,
    }
    match payload:
        case QueuedPayload():
            return events.PositionChanged(**event_fields, position=payload.position, wait=payload.wait)
        case AcceptedPayload():
            return events.AgentJoined(**event_fields, agent=payload.agent)
        case TransferredPayload():
            return events.HandoffTransferred(**event_fields, department=payload.department)
        case CompletedPayload():
            return events.HandoffCompleted(
                **event_fields, outcome=payload.outcome, note=payload.note, slots=payload.slots
            )
        case FailedPayload():
            return events.HandoffFailed(**event_fields, reason=payload.reason)
        case UnansweredPayload():
            return events.NobodyCame(**event_fields)
        case CustomerSilentPayload():
            return events.CustomerFellSilent(**event_fields)
