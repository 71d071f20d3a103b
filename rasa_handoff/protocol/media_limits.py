"""How many pictures and files a side keeps, and how long their addresses are valid."""

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import msgspec

from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.values import Value

UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class MediaLimits(Value, frozen=True, forbid_unknown_fields=True):
    """The limits of pictures and files.

    ``file_bytes``: of one file as it comes. ``conversation_bytes``: of all files of a conversation. ``day_bytes``: of all files
    that come within a day. ``total_bytes``: of all that are kept; None: as many as the media store takes.
    ``address_seconds``: how long an address of a file is valid.
    """

    file_bytes: int = 32_000_000
    conversation_bytes: int = 500_000_000
    day_bytes: int = 20_000_000_000
    total_bytes: int | None = None
    address_seconds: float = 86_400


def check_media_limits(limits: MediaLimits, prefix: str) -> MediaLimits:
    """Return the limits if each is a positive number. ``prefix``: what stands before the name in the sentence.

    Raises:
        SettingsError: one isn't; the message is one sentence.
    """
    for name in MediaLimits.__struct_fields__:
        value = getattr(limits, name)
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"{prefix}{name} is {value}: write a number above 0.")
    return limits


def read_media_limits(given: Iterable[str]) -> MediaLimits:
    """Read the limits from the command line, such as ``file_bytes=10M``.

    Raises:
        SettingsError: one sentence with the name and what to write.
    """
    return msgspec.convert(dict(_read_limit(one) for one in given), MediaLimits)


def _read_limit(given: str) -> tuple[str, int]:
    name, _, value = given.partition("=")
    name = name.strip()
    known = MediaLimits.__struct_fields__
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(known)}."
        raise SettingsError(f"--media-limit knows no '{name}': {hint}")
    found = re.fullmatch(r"(\d{1,15})([kMGT]?)", value.strip(), re.ASCII)
    if found is None or int(found[1]) == 0:
        raise SettingsError(f"--media-limit {given}: write a whole number above 0, such as {name}=10M.")
    return name, int(found[1]) * UNITS[found[2]]
