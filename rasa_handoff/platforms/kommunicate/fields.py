"""Kommunicate's own fields as values; never an error."""

import html
import re
from typing import Any, Final

CONTENT_TYPES: Final = {
    "text": 0,
    "attachment": 1,
    "location": 2,
    "html": 3,
    "image link": 5,
    "notify": 10,
    "hidden": 11,
}
LOCATION, HTML, NOTIFY = CONTENT_TYPES["location"], CONTENT_TYPES["html"], CONTENT_TYPES["notify"]
HIDDEN: Final = CONTENT_TYPES["hidden"]
IMAGE_LINK: Final = CONTENT_TYPES["image link"]


def as_content_type(value: Any) -> int | None:
    """The number of a content type, of its number, its number as a text, or its name."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    name = str(value or "").strip().casefold()
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else CONTENT_TYPES.get(name)


def as_flag(value: Any) -> bool:
    """Whether it is true, or says so."""
    return value is True or str(value).casefold() == "true"


def as_words(markup: str) -> str:
    """HTML as words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())
