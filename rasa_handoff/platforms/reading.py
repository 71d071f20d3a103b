"""Reading what platforms send, whatever its type: numbers for texts, JSON within JSON, nothing for nothing."""

import json
from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.vocabulary.text import valid, valid_text

LONGEST_ID: Final = 255
"""What Rasa's SQL tracker store takes as a sender's id."""


def as_id(value: Any) -> str | None:
    """An id, a text or a number, as text; None if it is neither or too long."""
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    id = as_text(str(value)) if usable else ""
    return id if 0 < len(id) <= LONGEST_ID else None


def as_text(value: Any) -> str:
    """A valid text, without blanks around it; a number as text, anything else as none."""
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, bool | dict | list) else str(value)
    return valid_text(value).strip()


def as_mapping(value: Any) -> Mapping[str, Any]:
    """An object, also if it came as a JSON text; empty if it is none."""
    found = unwrapped(value)
    return found if isinstance(found, dict) else {}


def as_list(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, also if it came as a JSON text."""
    found = unwrapped(value)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def unwrapped(value: Any) -> Any:
    """What a JSON text says, None if it says nothing; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return valid(json.loads(value))
    except (ValueError, RecursionError):
        return None


def field_names(body: Mapping[str, Any]) -> str:
    """The fields a request has, for a log line without its words."""
    return ", ".join(str(name)[:40] for name in list(body)[:30]) or "none"
