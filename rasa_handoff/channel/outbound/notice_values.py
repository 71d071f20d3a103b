"""The values that the text of a notice names, as a customer reads them: a wait in minutes, a department by its title."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rasa_handoff.protocol import names

TitleOf = Callable[[str], str]
"""Returns the title of a department, from its name."""
Words = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""Returns the text of a response with these values."""


async def readable(values: Mapping[str, Any], title_of: TitleOf, words: Words) -> dict[str, Any]:
    """Return the values of a notice as a customer reads them. What isn't known is an empty text."""
    found = {name: "" if value is None else value for name, value in values.items()}
    if "wait" in values:
        found["wait"] = await _minutes(values["wait"], words)
    if isinstance(values.get("department"), str):
        found["department"] = title_of(values["department"])
    return found


async def _minutes(seconds: float | None, words: Words) -> str:
    """Return a wait in words, in the bot's language; nothing if it isn't known, or there is none."""
    if not seconds:
        return ""
    minutes = math.ceil(seconds / 60)
    response = names.UTTER_WAIT_MINUTE if minutes == 1 else names.UTTER_WAIT_MINUTES
    return await words(response, {"minutes": minutes})
