"""The payloads of relays on ``/relay`` and of agents' browsers on ``/desk`` (docs/protocol.md).

They are read by :func:`rasa_handoff.protocol.values.read`, which refuses what doesn't fit, with the field's name.
"""

from typing import Annotated, Any

from msgspec import Meta

from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.values import Count, Moment, Outcome, Status, Transcript, Value
from rasa_handoff.server.storage.tables import ID

Key = Annotated[str, Meta(min_length=1, max_length=ID, pattern=r"^[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+$")]
"""An id of another system: anything without blanks and controls, which would forge lines of a log or hide in a page."""
HandoffId = Annotated[str, Meta(min_length=1, max_length=ID, pattern=r"^[A-Za-z0-9._:@+=~/-]+$")]
"""An id that relays make; the desk's page has it in addresses and attributes."""
ConversationId = Annotated[str, Meta(min_length=1, max_length=ID)]
"""An id of the customer's channel. A customer may choose it, so it is escaped wherever it is shown."""


class OpenHandoffPayload(Value, frozen=True, kw_only=True):
    """A handoff that is open at a relay. ``last``: the last number it has received from us. ``words``: the id of the last agent's
    message it has received."""

    handoff_id: HandoffId
    last: Count = 0
    words: str | None = None


class HelloPayload(Value, frozen=True, kw_only=True):
    """``hello``. ``open``: for each open handoff an :class:`OpenHandoffPayload`, read one by one, or only its id."""

    open: tuple[Any, ...] = ()


class FindPayload(Value, frozen=True, kw_only=True):
    """``handoff.find``."""

    conversation_id: ConversationId


class OfferIdsPayload(Value, frozen=True, kw_only=True):
    """The ids of an offer, checked before it is kept."""

    handoff_id: HandoffId
    conversation_id: ConversationId
    bot_id: Key
    id: Key | None = None


class RelayAuthPayload(Value, frozen=True, kw_only=True):
    """The ``auth`` of a relay's connect. ``epoch``: of its database; relays of an older version don't send it."""

    protocol: Count
    bot_id: Key
    token: str | None = None
    epoch: Key | None = None


class CustomerMessagePayload(Value, frozen=True, kw_only=True):
    """The customer's ``message``."""

    handoff_id: HandoffId
    id: Key
    text: str
    at: Moment


class TranscriptPayload(Transcript, frozen=True, kw_only=True):
    """``handoff.transcript``."""

    handoff_id: HandoffId
    id: Key | None = None


class RelayStatusPayload(Value, frozen=True, kw_only=True):
    """The relay's ``handoff.status``: the customer's side ended it, or left a message."""

    handoff_id: HandoffId
    status: str
    id: Key | None = None
    reason: Annotated[str, Meta(max_length=100)] = "cancelled"


class MessageStatusPayload(Value, frozen=True, kw_only=True):
    """``message.status``."""

    handoff_id: HandoffId
    message_id: Key
    status: Status
    id: Key | None = None
    reason: str | None = None


class TypingPayload(Value, frozen=True, kw_only=True):
    """``typing`` of a relay or a desk."""

    handoff_id: HandoffId
    on: bool


class PresencePayload(Value, frozen=True, kw_only=True):
    """``presence``."""

    online: bool


class HandoffPayload(Value, frozen=True, kw_only=True):
    """``take``, and ``open`` with ``after``."""

    handoff_id: HandoffId
    after: Count = 0


class AgentMessagePayload(Value, frozen=True, kw_only=True):
    """An agent's ``message``."""

    handoff_id: HandoffId
    id: Key
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_MESSAGE)]


class TransferPayload(Value, frozen=True, kw_only=True):
    """``transfer``."""

    handoff_id: HandoffId
    department: str | None = None


class ResolvePayload(Value, frozen=True, kw_only=True):
    """``resolve``."""

    handoff_id: HandoffId
    outcome: Outcome
    note: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] | None = None
    slots: dict[str, Any] = {}
