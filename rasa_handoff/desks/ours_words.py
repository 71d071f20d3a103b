"""What our live-agent server says on ``/relay`` (docs/protocol.md), read, and as events of the relay."""

from typing import Any

from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import Agent, Availability, Count, Moment, Seconds, Value


class Known(Value, frozen=True):
    """How far the server has heard a handoff: the id of the last it has."""

    handoff_id: str
    last: str


class Welcome(Availability, frozen=True, kw_only=True):
    """The server's answer to ``hello``. ``unknown``: of the handoffs we have under way, those it hasn't got;
    None from a server that doesn't say. ``transcript_follows``: it takes a transcript after the offer."""

    protocol: Count
    epoch: str
    server: str = ""
    open: tuple[Known, ...] = ()
    unknown: tuple[str, ...] | None = None
    transcript_follows: bool = False


class StatusWord(Value, frozen=True):
    """``handoff.status`` as the server sends it; which fields are there depends on ``status``."""

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


class MessageWord(Value, frozen=True):
    """``message`` as the server sends it."""

    handoff_id: str
    id: str
    text: str
    at: Moment
    number: Count | None = None
    agent: str | None = None


def answer_to_offer(conversation_id: str, handoff_id: str, answer: dict[str, Any]) -> e.Event:
    """What the acknowledgement of ``handoff.initiate`` means."""
    if answer.get("ok"):
        position, wait = answer.get("position"), answer.get("wait")
        return e.HandoffAccepted(conversation_id=conversation_id, handoff_id=handoff_id, position=position, wait=wait)
    code, sentence = str(answer.get("code") or "refused"), str(answer.get("error") or "")
    return e.HandoffRefused(conversation_id=conversation_id, handoff_id=handoff_id, code=code, sentence=sentence)


def message_event(conversation_id: str, word: MessageWord) -> e.Event:
    """An agent's words."""
    return e.AgentSaid(
        conversation_id=conversation_id,
        handoff_id=word.handoff_id,
        number=word.number,
        id=word.id,
        text=word.text,
        at=word.at,
        agent=word.agent,
    )


def status_event(conversation_id: str, word: StatusWord) -> e.Event:
    """What became of the handoff.

    Raises:
        Refused: of a status that isn't known.
    """
    here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": word.handoff_id, "number": word.number}
    if word.status == "queued":
        return e.PositionChanged(**here, position=word.position, wait=word.wait)
    if word.status == "accepted":
        return e.AgentJoined(**here, agent=word.agent or Agent(id="", name="an agent"))
    if word.status == "transferred":
        return e.HandoffTransferred(**here, department=word.department)
    if word.status == "completed":
        return e.HandoffCompleted(**here, outcome=word.outcome, note=word.note, slots=word.slots)
    if word.status == "unanswered":
        return e.NobodyCame(**here)
    if word.status == "customer_silent":
        return e.CustomerFellSilent(**here)
    if word.status == "failed":
        return e.HandoffFailed(**here, reason=word.reason)
    raise Refused("invalid", f"This relay knows no status '{word.status}'.")
