"""What a relay says on ``/relay`` (docs/protocol.md), read; what doesn't fit is refused with the field's name."""

from typing import Annotated

from msgspec import Meta

from rasa_handoff.server.tables import ID
from rasa_handoff.vocabulary.values import Status, Transcript, Value

Key = Annotated[str, Meta(min_length=1, max_length=ID)]


class Heard(Value, frozen=True, kw_only=True):
    """A handoff the relay has under way, the last number of ours it has, and the id of the last agent's words."""

    handoff_id: Key
    last: int = 0
    words: str | None = None


class Hello(Value, frozen=True, kw_only=True):
    """``hello``; a relay that keeps no numbers says only the ids."""

    open: tuple[str | Heard, ...] = ()


class Sought(Value, frozen=True, kw_only=True):
    """``handoff.find``."""

    conversation_id: Key


class Keys(Value, frozen=True, kw_only=True):
    """What an offer's ids must look like to be kept."""

    handoff_id: Key
    conversation_id: Key
    bot_id: Key
    id: Key | None = None


class Auth(Value, frozen=True, kw_only=True):
    """How a relay introduces itself."""

    protocol: int
    bot_id: Key
    token: str | None = None


class Words(Value, frozen=True, kw_only=True):
    """The customer's ``message``."""

    handoff_id: Key
    id: Key
    text: str
    at: float


class Followed(Transcript, frozen=True, kw_only=True):
    """``handoff.transcript``."""

    handoff_id: Key
    id: Key | None = None


class Over(Value, frozen=True, kw_only=True):
    """The relay's ``handoff.status``: the customer's side ended it, or left a message."""

    handoff_id: Key
    status: str
    id: Key | None = None
    reason: Annotated[str, Meta(max_length=100)] = "cancelled"


class Fate(Value, frozen=True, kw_only=True):
    """``message.status``."""

    handoff_id: Key
    message_id: Key
    status: Status
    id: Key | None = None
    reason: str | None = None


class Typing(Value, frozen=True, kw_only=True):
    """``typing``, in both directions and of both sides."""

    handoff_id: Key
    on: bool
