"""Kommunicate's fields as values: numbers for texts, JSON within JSON, nothing for nothing; never an error."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

CONTENT_TYPES: Final = {"text": 0, "attachment": 1, "location": 2, "html": 3, "notify": 10, "hidden": 11}
LOCATION, HTML, NOTIFY = CONTENT_TYPES["location"], CONTENT_TYPES["html"], CONTENT_TYPES["notify"]
HIDDEN: Final = CONTENT_TYPES["hidden"]
LONGEST_ID: Final = 255
"""What Rasa's SQL tracker store takes as a sender's id."""


def as_id(value: Any) -> str | None:
    """A text of 1 to 255 characters, of a text or a number; else None."""
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    id = as_text(str(value)) if usable else ""
    return id if 0 < len(id) <= LONGEST_ID else None


def as_text(value: Any) -> str:
    """A text that any database takes: no halves of characters, no NUL."""
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, bool | dict | list) else str(value)
    return value.encode("utf-8", "replace").decode().replace("\0", "").strip()


def as_mapping(value: Any) -> Mapping[str, Any]:
    """An object, also if it came as a JSON text."""
    found = unwrapped(value)
    return found if isinstance(found, dict) else {}


def unwrapped(value: Any) -> Any:
    """The value; what a JSON text says in its place, None if it says nothing."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def as_content_type(value: Any) -> int | None:
    """The number of a content type, of its number, its number as a text, or its name."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    name = str(value or "").strip().casefold()
    return int(name) if name.isascii() and name.isdigit() else CONTENT_TYPES.get(name)


def as_list(value: Any) -> list[Mapping[str, Any]]:
    """A list's objects, also if it came as a JSON text."""
    found = unwrapped(value)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def as_flag(value: Any) -> bool:
    """Whether it is true, or says so."""
    return value is True or str(value).casefold() == "true"


def as_words(markup: str) -> str:
    """HTML as words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())
