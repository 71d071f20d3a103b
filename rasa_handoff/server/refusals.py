"""One log line for each attempt that was refused, without secrets, and bounded: an attack must not fill the disk."""

import ipaddress
import logging
import time
from typing import Final

log = logging.getLogger(__name__)

MOST: Final = 20
"""Lines of a kind in ``WITHIN`` seconds; what comes beyond them is counted and said with the next line."""
WITHIN: Final = 60.0


class Refusals:
    """``kind`` is one of a few words of ours, never something that was sent."""

    def __init__(self) -> None:
        # Kind -> when its time began, lines since then, refusals that got none.
        self._told: dict[str, tuple[float, int, int]] = {}

    def note(self, kind: str, sentence: str, *values: object) -> None:
        """Log it as a warning, unless too many of the kind came within a short time."""
        now = time.monotonic()
        began, lines, left_out = self._told.get(kind, (now, 0, 0))
        if now - began > WITHIN:
            began, lines = now, 0
        if lines >= MOST:
            self._told[kind] = (began, lines, left_out + 1)
            return
        self._told[kind] = (began, lines + 1, 0)
        more = f" ({left_out} others weren't logged.)" if left_out else ""
        log.warning(f"{sentence}%s", *values, more)


def shown_address(host: str | None) -> str:
    """A client's address for the log; what a proxy wrote may be anything."""
    try:
        return str(ipaddress.ip_address(host or ""))
    except ValueError:
        return "an unknown address"
