"""Payloads of our live-agent server on ``/relay`` (docs/protocol.md), and the relay events they mean."""

from typing import Any

from rasa_handoff.protocol import events
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Agent, Availability, Count, Moment, Seconds, Value


class Known(Value, frozen=True):
    """The last entry of a handoff that the server has, by its id."""

    handoff_id: str
    last: str


class Welcome(Availability, frozen=True, kw_only=True):
    """The server's answer to ``hello``.

    ``unknown``: the handoffs under way that the server doesn't have; None from a server that doesn't report them.
    ``transcript_follows``: the server accepts a transcript after the offer.
    """

    protocol: Count
    epoch: str
    server: str = ""
    open: tuple[Known, ...] = ()
    unknown: tuple[str, ...] | None = None
    transcript_follows: bool = False


class StatusPayload(Value, frozen=True):
    """``handoff.status`` from the server; which fields are present depends on ``status``."""

    handoff_id: str
    status: str
    number: Count | None = None
    position: Count | None = None
    wait: Seconds | None = None
    agent: Agent | None = None
    department: str | None = None
    outcome: str = "resolved"
    note: str | None = None
    slots: dict[str, Any] = {}
    reason: str = "desk_closed"


class MessagePayload(Value, frozen=True):
    """``message`` from the server."""

    handoff_id: str
    id: str
    text: str
    at: Moment
    number: Count | None = None
    agent: str | None = None


def answer_to_offer(conversation_id: str, handoff_id: str, answer: dict[str, Any]) -> events.Event:
    """Return the event that the acknowledgement of ``handoff.initiate`` means."""
    if answer.get("ok"):
        position, wait = answer.get("position"), answer.get("wait")
        return events.HandoffAccepted(
            conversation_id=conversation_id, handoff_id=handoff_id, position=position, wait=wait
        )
    code, sentence = str(answer.get("code") or "refused"), str(answer.get("error") or "")
    return events.HandoffRefused(conversation_id=conversation_id, handoff_id=handoff_id, code=code, sentence=sentence)


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
    )


def status_event(conversation_id: str, payload: StatusPayload) -> events.Event:
    """Return the event for a handoff's status.

    Raises:
        Refused: the status is unknown.
    """
    here: dict[str, Any] = {
        "conversation_id": conversation_id,
        "handoff_id": payload.handoff_id,
        "number": payload.number,
    }
    if payload.status == "queued":
        return events.PositionChanged(**here, position=payload.position, wait=payload.wait)
    if payload.status == "accepted":
        return events.AgentJoined(**here, agent=payload.agent or Agent(id="", name="an agent"))
    if payload.status == "transferred":
        return events.HandoffTransferred(**here, department=payload.department)
    if payload.status == "completed":
        return events.HandoffCompleted(**here, outcome=payload.outcome, note=payload.note, slots=payload.slots)
    if payload.status == "unanswered":
        return events.NobodyCame(**here)
    if payload.status == "customer_silent":
        return events.CustomerFellSilent(**here)
    if payload.status == "failed":
        return events.HandoffFailed(**here, reason=payload.reason)
    raise Refused("invalid", f"This relay knows no status '{payload.status}'.")
