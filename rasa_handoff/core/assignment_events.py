"""Events and effects of a conversation at the desk.

The table in ``assignment.py`` defines what an event does in each stage.
"""

from typing import Any

from rasa_handoff.protocol.message_parts import AnyPart
from rasa_handoff.protocol.values import Agent, Speaker, Value


class AssignmentEvent(Value, frozen=True):
    """Base of the events. ``at``: when it happened, in seconds since 1970."""

    at: float


class Arrived(AssignmentEvent, frozen=True):
    """The bot's side handed a conversation over.

    ``ahead``: it is queued before others, since it was here before this desk's database was lost.
    """

    department: str | None
    ahead: bool = False


class Taken(AssignmentEvent, frozen=True):
    """An agent took the conversation."""

    agent: Agent


class CustomerWrote(AssignmentEvent, frozen=True):
    """The customer wrote. ``id``: unique in the handoff. ``parts``: what the message has beside text."""

    id: str
    text: str
    parts: tuple[AnyPart, ...] = ()


class AgentWrote(AssignmentEvent, frozen=True):
    """An agent wrote. ``id``: unique in the handoff. ``parts``: what the message has beside text."""

    agent: Agent
    id: str
    text: str
    parts: tuple[AnyPart, ...] = ()


class Transferred(AssignmentEvent, frozen=True):
    """The agent passed the conversation on to a department, or with None to everybody."""

    agent: Agent
    department: str | None


class Delivered(AssignmentEvent, frozen=True):
    """The agent's last message has reached the customer, who hasn't answered yet."""


class AgentLeft(AssignmentEvent, frozen=True):
    """The agent's desk has been closed for longer than a reload takes."""


class Undelivered(AssignmentEvent, frozen=True):
    """An agent's message waits for the customer to come back."""


class AgentCame(AssignmentEvent, frozen=True):
    """The agent's desk is open again."""


class Released(AssignmentEvent, frozen=True):
    """The agent is gone; the conversation is queued again, ahead of the others."""


class Resolved(AssignmentEvent, frozen=True):
    """The agent finished the conversation. ``slots``: values to set in the bot."""

    agent: Agent
    outcome: str
    note: str | None = None
    slots: dict[str, Any] = {}


class CustomerEnded(AssignmentEvent, frozen=True):
    """The customer's side ended the conversation: left, cancelled or fell silent."""

    reason: str


class MessageLeft(AssignmentEvent, frozen=True):
    """The customer left a message to be answered later, from the queue or while nobody was there."""


class RelayLost(AssignmentEvent, frozen=True):
    """The bot's side has lost the conversation."""


# Timers


class NobodyTook(AssignmentEvent, frozen=True):
    """Nobody has taken the conversation for a while."""


class AgentSilent(AssignmentEvent, frozen=True):
    """The customer has waited ``seconds`` for an answer, or ``seconds`` more since the last reminder."""

    seconds: float


class CustomerSilent(AssignmentEvent, frozen=True):
    """The customer hasn't answered the last message, or the question whether they are there, within ``seconds``."""

    seconds: float


class ConversationIdle(AssignmentEvent, frozen=True):
    """Neither side has said anything for so long that the conversation counts as over."""


class KeepMessage(Value, frozen=True):
    """Effect: store a message, and send it to the customer's side unless the customer wrote it. ``parts``: what it has beside
    text."""

    speaker: Speaker
    id: str
    text: str
    at: float
    agent: Agent | None = None
    parts: tuple[AnyPart, ...] = ()


class SendStatus(Value, frozen=True):
    """Effect: send a status to the customer's side (``handoff.status`` in docs/protocol.md)."""

    status: str
    details: dict[str, Any] = {}


class RemindAgent(Value, frozen=True):
    """Effect: remind the agent that the customer has waited ``seconds`` for an answer."""

    agent: Agent
    seconds: float


AssignmentEffect = KeepMessage | SendStatus | RemindAgent
