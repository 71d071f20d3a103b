"""Tolerant readers for what platforms send: numbers in place of texts, JSON within JSON, missing fields. None of them raises."""

import json
from collections.abc import Mapping
from typing import Any

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.text import valid, valid_text


def as_id(value: Any) -> str | None:
    """Return an id, which may be a text or a number, as text; None if it is neither, empty or too long."""
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    id = as_text(str(value)) if usable else ""
    return id if 0 < len(id) <= LONGEST_ID else None


def as_text(value: Any) -> str:
    """Return a valid text without blanks around it; a number as text, anything else as the empty text."""
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, bool | dict | list) else str(value)
    return valid_text(value).strip()


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, also if it came as a JSON text; an empty one in place of anything else."""
    found = unwrapped(value)
    return found if isinstance(found, dict) else {}


def as_list(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list, also if it came as a JSON text; none in place of anything else."""
    found = unwrapped(value)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def unwrapped(value: Any) -> Any:
    """Parse a JSON text, with None if it isn't one; return anything but a text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return valid(json.loads(value))
    except (ValueError, RecursionError):
        return None


def field_names(body: Mapping[str, Any]) -> str:
    """Return the names of a request's fields, for a log line without its content."""
    return ", ".join(str(name)[:40] for name in list(body)[:30]) or "none"
