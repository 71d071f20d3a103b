"""The bodies of the relay's outbox entries for the customer and the tracker. Those for the desk are payloads of ``/relay``."""

from typing import Any, ClassVar

from rasa_handoff.protocol.message_parts import Parts
from rasa_handoff.protocol.values import Value


class CustomerBody(Value, frozen=True, kw_only=True):
    """A message to the customer; the entry's name is its speaker.

    Exactly one of three is given: a ``text``, a ``response`` of the domain with its ``values``, or a complete Rasa ``message``.
    ``handoff_id``: None for a message that belongs to no handoff. ``channel``, ``return_data``: where it goes; None: where the
    customer wrote last. ``at``: when it was made, if it can become stale. ``agent``: the name of the agent who speaks. ``parts``:
    what a ``text`` has beside it, which it says in words. ``file_problem``: why the customer gets words in place of a file, once
    that is decided.
    """

    id: str
    handoff_id: str | None
    text: str | None = None
    response: str | None = None
    values: dict[str, Any] = {}
    message: dict[str, Any] | None = None
    channel: str | None = None
    return_data: dict[str, Any] | None = None
    at: float | None = None
    agent: str | None = None
    parts: Parts = ()
    file_problem: str | None = None


class TrackerBody(Value, frozen=True, kw_only=True):
    """Base of what is written to the tracker. ``kind``: the entry's name, also in the metadata of the events written."""

    kind: ClassVar[str] = ""


class PauseBody(TrackerBody, frozen=True, kw_only=True):
    """The bot is paused. ``filled_slot``: the slot that an open form filled with the handoff request."""

    kind = "pause"

    handoff_id: str | None
    filled_slot: str | None = None


class UnpauseBody(TrackerBody, frozen=True, kw_only=True):
    """The bot goes on, without a return."""

    kind = "unpause"


class CustomerSaidBody(TrackerBody, frozen=True, kw_only=True):
    """A customer's message to an agent. ``attachments``: files that came with it, as the platform describes them. ``parts``: what
    it has beside text."""

    kind = "customer"

    handoff_id: str | None
    id: str
    text: str
    at: float
    attachments: list[dict[str, Any]] = []
    parts: Parts = ()


class AgentSaidBody(TrackerBody, frozen=True, kw_only=True):
    """An agent's message. ``agent``: its author. ``parts``: what it has beside text."""

    kind = "agent"

    handoff_id: str | None
    id: str
    text: str
    at: float
    agent: str | None = None
    attachments: list[dict[str, Any]] = []
    parts: Parts = ()


class NoticeBody(TrackerBody, frozen=True, kw_only=True):
    """A notice that the customer was shown. ``response``: the domain's response it was made from."""

    kind = "notice"

    handoff_id: str | None
    id: str
    text: str
    at: float
    response: str


class ReturnBody(TrackerBody, frozen=True, kw_only=True):
    """The conversation returns to the bot.

    ``outcome``, ``note``, ``slots``: what the handoff settled. ``speak``: whether the bot speaks first.
    """

    kind = "back"

    handoff_id: str
    outcome: str
    speak: bool = True
    note: str | None = None
    slots: dict[str, Any] = {}


class TranscriptBody(TrackerBody, frozen=True, kw_only=True):
    """The transcript is to be read, for an offer that lacks it. ``message_id``: the message that asked for the handoff."""

    kind = "transcript"

    handoff_id: str
    message_id: str | None = None


class TurnBody(TrackerBody, frozen=True, kw_only=True):
    """A bot's turn that Rasa couldn't save. ``events``: as Rasa serialises them."""

    kind = "turn"

    events: list[dict[str, Any]]
