"""What can happen to a conversation at the desk, and what follows from it: the words of ``assignment.py``.

Every event has the time it happened; what an event does in which stage is in the table there.
"""

from typing import Any

from rasa_handoff.vocabulary.values import Agent, Speaker, Value


class Event(Value, frozen=True):
    """Something that happened, at ``at`` seconds since 1970."""

    at: float


class Arrived(Event, frozen=True):
    """The bot's side handed a conversation over. ``ahead``: it was here before, and this desk's database was lost."""

    department: str | None
    ahead: bool = False


class Taken(Event, frozen=True):
    """An agent took it."""

    agent: Agent


class CustomerSaid(Event, frozen=True):
    """The customer wrote. ``id`` is unique in the handoff."""

    id: str
    text: str


class AgentSaid(Event, frozen=True):
    """An agent wrote."""

    agent: Agent
    id: str
    text: str


class Transferred(Event, frozen=True):
    """The agent passed it on: to a department, or with None back to everybody."""

    agent: Agent
    department: str | None


class Delivered(Event, frozen=True):
    """The agent's last words have reached the customer, who has said nothing since."""


class AgentLeft(Event, frozen=True):
    """The agent's desk has been closed for longer than a reload takes."""


class AgentCame(Event, frozen=True):
    """The agent's desk is open again."""


class Released(Event, frozen=True):
    """The agent is gone; it waits again, before the others."""


class Resolved(Event, frozen=True):
    """The agent finished it. ``slots``: values the bot should have."""

    agent: Agent
    outcome: str
    note: str | None = None
    slots: dict[str, Any] = {}


class CustomerEnded(Event, frozen=True):
    """The customer's side ended it: left, cancelled, fell silent."""

    reason: str


class MessageLeft(Event, frozen=True):
    """Nobody came, so the customer left a message and is back with the bot."""


class RelayLost(Event, frozen=True):
    """The bot's side knows nothing of it any more."""


# From the clock


class NobodyTook(Event, frozen=True):
    """Nobody has taken it for a while."""


class AgentSilent(Event, frozen=True):
    """The customer's words have waited ``seconds`` for an answer, or once more so long."""

    seconds: float


class CustomerSilent(Event, frozen=True):
    """The customer hasn't answered within ``seconds`` what reached them, or what they were asked."""

    seconds: float


class SilenceTooLong(Event, frozen=True):
    """Nobody has said anything for so long that it can only be over."""


class Kept(Value, frozen=True):
    """Effect: a message to keep, and to tell the customer's side if it isn't the customer's own."""

    speaker: Speaker
    id: str
    text: str
    at: float
    agent: Agent | None = None


class Told(Value, frozen=True):
    """Effect: a status the customer's side is told (``handoff.status`` in docs/protocol.md)."""

    status: str
    details: dict[str, Any] = {}


class Reminded(Value, frozen=True):
    """Effect: the agent hears that the customer's words have waited ``seconds`` for an answer."""

    agent: Agent
    seconds: float


Effect = Kept | Told | Reminded
