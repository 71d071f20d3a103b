"""How an agent may finish a conversation, and which slots they may set."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import Slot


class Outcome(str, enum.Enum):
    """What the desk offers; the bot finds it in the slot ``handoff_outcome``."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    FOLLOW_UP = "follow_up"


# A bool is an int in Python; for Rasa it isn't a number.
FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
}
WANTED: Final = {"text": "a text", "bool": "yes or no", "float": "a number", "list": "a list"}


def check_slots(slots: Mapping[str, Any], settable: Sequence[Slot]) -> None:
    """Whether these slots may be set to these values; None empties any of them.

    Raises:
        Refused: with code ``invalid``; names the slot.
    """
    known = {slot.name: slot for slot in settable}
    for name, value in slots.items():
        if name not in known:
            raise Refused("invalid", f"The slot '{name}' can't be set in this conversation.")
        if value is not None:
            _check_value(known[name], value)


def _check_value(slot: Slot, value: Any) -> None:
    if slot.values is not None and value not in slot.values:
        choice = ", ".join(str(item) for item in slot.values)
        raise Refused("invalid", f"The slot '{slot.name}' must be one of: {choice}.")
    fits = FITS.get(slot.type)
    if fits is not None and not fits(value):
        raise Refused("invalid", f"The slot '{slot.name}' must be {WANTED[slot.type]}.")
