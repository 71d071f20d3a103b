"""How long each side keeps what is over. Nothing is deleted until an operator chooses a number of days."""

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import msgspec

from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.values import Value

DAY: Final = 86_400.0
OFF: Final = ("off", "null", "none")


class RetentionSettings(Value, frozen=True, forbid_unknown_fields=True):
    """Days for which a side keeps things; None: for ever.

    ``ended_days``: handoffs that have ended, with their messages and transcripts. ``undelivered_days``: what waits for a receiver
    who doesn't come back, once its handoff has ended. ``dead_letter_days``: dead letters.
    """

    ended_days: float | None = None
    undelivered_days: float | None = None
    dead_letter_days: float | None = None


def in_seconds(days: float | None) -> float | None:
    """Return days in seconds; None stays None."""
    return None if days is None else days * DAY


def check_retention(settings: RetentionSettings, prefix: str) -> None:
    """Check that each number of days is above 0 and finite. ``prefix``: what stands before the name in the sentence.

    Raises:
        SettingsError: one isn't; the message is one sentence.
    """
    for name in RetentionSettings.__struct_fields__:
        days = getattr(settings, name)
        if days is not None and not 0 < days < math.inf:
            raise SettingsError(
                f"{prefix}{name} is {days:g}: write days, such as 365, or leave it out to keep everything."
            )


def read_retention(given: Iterable[str]) -> RetentionSettings:
    """Read the settings from the command line: ``ended_days=365``.

    Raises:
        SettingsError: one sentence with the name and what to write.
    """
    return msgspec.convert(dict(_read_days(one) for one in given), RetentionSettings)


def _read_days(given: str) -> tuple[str, float | None]:
    name, _, value = given.partition("=")
    name, value = name.strip(), value.strip().lower()
    known = RetentionSettings.__struct_fields__
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(known)}."
        raise SettingsError(f"--retention knows no '{name}': {hint}")
    if value in OFF:
        return name, None
    if not re.fullmatch(r"\d+(\.\d+)?", value) or float(value) <= 0:
        raise SettingsError(f"'{name}' needs days, such as --retention {name}=365, or off.")
    return name, float(value)
