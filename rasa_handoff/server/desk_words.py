"""What an agent's browser says on ``/desk`` (docs/protocol.md), read; what doesn't fit is refused with the field's name."""

from typing import Annotated, Any

from msgspec import Meta

from rasa_handoff.server.outcomes import Outcome
from rasa_handoff.server.relay_words import HandoffId, Key
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.values import Count, Value


class Chosen(Value, frozen=True, kw_only=True):
    """``presence``."""

    online: bool


class About(Value, frozen=True, kw_only=True):
    """``take``, and ``open`` with ``after``."""

    handoff_id: HandoffId
    after: Count = 0


class Words(Value, frozen=True, kw_only=True):
    """An agent's ``message``."""

    handoff_id: HandoffId
    id: Key
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_MESSAGE)]


class Passing(Value, frozen=True, kw_only=True):
    """``transfer``."""

    handoff_id: HandoffId
    department: str | None = None


class Finishing(Value, frozen=True, kw_only=True):
    """``resolve``."""

    handoff_id: HandoffId
    outcome: Outcome
    note: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] | None = None
    slots: dict[str, Any] = {}
