"""What a relay says on ``/relay`` (docs/protocol.md), read; what doesn't fit is refused with the field's name."""

from typing import Annotated, Any

from msgspec import Meta

from rasa_handoff.server.tables import ID
from rasa_handoff.vocabulary.values import Count, Moment, Status, Transcript, Value

Key = Annotated[str, Meta(min_length=1, max_length=ID, pattern=r"^[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+$")]
"""An id of another system: anything without blanks and controls, which would forge lines of a log or hide in a page."""
HandoffId = Annotated[str, Meta(min_length=1, max_length=ID, pattern=r"^[A-Za-z0-9._:@+=~/-]+$")]
"""Relays make it; it stands in addresses and attributes of the desk's page."""
ConversationId = Annotated[str, Meta(min_length=1, max_length=ID)]
"""As the customer's channel has it; a customer may choose it, so it is escaped wherever it is shown."""


class Heard(Value, frozen=True, kw_only=True):
    """A handoff the relay has under way, the last number of ours it has, and the id of the last agent's words."""

    handoff_id: HandoffId
    last: Count = 0
    words: str | None = None


class Hello(Value, frozen=True, kw_only=True):
    """``hello``. ``open``: a :class:`Heard` each, read one by one; a relay that keeps no numbers says only the ids."""

    open: tuple[Any, ...] = ()


class Sought(Value, frozen=True, kw_only=True):
    """``handoff.find``."""

    conversation_id: ConversationId


class Keys(Value, frozen=True, kw_only=True):
    """What an offer's ids must look like to be kept."""

    handoff_id: HandoffId
    conversation_id: ConversationId
    bot_id: Key
    id: Key | None = None


class Auth(Value, frozen=True, kw_only=True):
    """How a relay introduces itself. ``epoch``: of its database; an older one doesn't say it."""

    protocol: Count
    bot_id: Key
    token: str | None = None
    epoch: Key | None = None


class Words(Value, frozen=True, kw_only=True):
    """The customer's ``message``."""

    handoff_id: HandoffId
    id: Key
    text: str
    at: Moment


class Followed(Transcript, frozen=True, kw_only=True):
    """``handoff.transcript``."""

    handoff_id: HandoffId
    id: Key | None = None


class Over(Value, frozen=True, kw_only=True):
    """The relay's ``handoff.status``: the customer's side ended it, or left a message."""

    handoff_id: HandoffId
    status: str
    id: Key | None = None
    reason: Annotated[str, Meta(max_length=100)] = "cancelled"


class Fate(Value, frozen=True, kw_only=True):
    """``message.status``."""

    handoff_id: HandoffId
    message_id: Key
    status: Status
    id: Key | None = None
    reason: str | None = None


class Typing(Value, frozen=True, kw_only=True):
    """``typing``, in both directions and of both sides."""

    handoff_id: HandoffId
    on: bool
