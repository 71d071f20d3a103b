"""Publications: what gateways are informed of after a commit (:class:`~rasa_handoff.server.service.unit_of_work.Publisher`)."""

from rasa_handoff.protocol.desk_payloads import Message, Summary
from rasa_handoff.protocol.values import Availability, Status, Value


class Publication(Value, frozen=True, kw_only=True):
    """Something that changed. ``viewers``: ids of the agents it is for."""

    viewers: frozenset[str] = frozenset()


class Arrival(Publication, frozen=True, kw_only=True):
    """A conversation joined the queue; its summary."""

    summary: Summary


class Changed(Publication, frozen=True, kw_only=True):
    """A conversation changed; its summary, or the whole conversation."""

    summary: Summary


class InConversation(Publication, frozen=True, kw_only=True):
    """Something in a conversation. ``viewers``: who gets it at once, beside desks that have the conversation open."""

    handoff_id: str


class Said(InConversation, frozen=True, kw_only=True):
    """A message was stored."""

    message: Message


class Marked(InConversation, frozen=True, kw_only=True):
    """A message has another status."""

    message_id: str
    status: Status
    reason: str | None


class CustomerTyping(InConversation, frozen=True, kw_only=True):
    """The customer types, or stopped."""

    on: bool


class AgentTyping(Publication, frozen=True, kw_only=True):
    """The agent types, or stopped; for the customer's side."""

    side: str
    bot_id: str
    handoff_id: str
    on: bool


class Overdue(Publication, frozen=True, kw_only=True):
    """The customer's message has waited so many seconds for this agent's answer."""

    handoff_id: str
    seconds: float


class PresenceChanged(Publication, frozen=True, kw_only=True):
    """An agent chose to be online or away."""

    online: bool


class AvailabilityChanged(Publication, frozen=True, kw_only=True):
    """Which departments are open or staffed, or an expected wait, has changed. For everybody: it has no ``viewers``."""

    availability: Availability


class Deleted(Publication, frozen=True, kw_only=True):
    """Handoffs were deleted, and leave every desk. For everybody: it has no ``viewers``."""

    handoff_ids: tuple[str, ...]
