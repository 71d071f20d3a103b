"""The log lines of refusals: who, what, why; without secrets, escaped, and limited per source.

An attack must neither fill the disk nor hide the refusals of others.
"""

import ipaddress
import logging
import time
from collections import OrderedDict
from typing import Final

from rasa_handoff.protocol.logs import escaped as escaped
from rasa_handoff.protocol.logs import get_log

log = get_log("rasa_handoff.guard")

LINES_A_MINUTE: Final = 10
LINES_OF_ALL: Final = 200
"""Lines a minute of all addresses together."""
MOST_SOURCES: Final = 1_000


def shown_address(host: str | None) -> str:
    """Return a client's address as the source of a refusal.

    A proxy may have written anything there. All that isn't an address counts as the same source.
    """
    try:
        return str(ipaddress.ip_address(host or ""))
    except ValueError:
        return "an unknown address"


class Refusals:
    """Logs refusals. ``counted``: how often each kind was refused since the start."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}
        # Source -> beginning of its minute, lines written in it, lines left out.
        self._sources: OrderedDict[str, tuple[float, int, int]] = OrderedDict()
        self._minute, self._lines = 0.0, 0
        # Source and sentence of refusals that are logged only once.
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()

    def _count_line(self, now: float) -> bool:
        """Count one more line of this minute, and return whether it may be written."""
        if now - self._minute >= 60:
            self._minute, self._lines = now, 0
        self._lines += 1
        return self._lines <= LINES_OF_ALL

    def note_once(self, source: str, kind: str, sentence: str) -> None:
        """Log a refusal the first time; count it each time. For a peer that tries again until somebody updates it."""
        if (source, sentence) in self._said:
            self.counted[kind] = self.counted.get(kind, 0) + 1
            return
        self._said[source, sentence] = None
        while len(self._said) > MOST_SOURCES:
            self._said.popitem(last=False)
        self.note(source, kind, sentence)

    def note(self, source: str, kind: str, sentence: str) -> None:
        """Log a refusal.

        ``source``: the address. ``kind``: a name of ours for counting. ``sentence``: what was refused, and why.
        """
        self.counted[kind] = self.counted.get(kind, 0) + 1
        now = time.monotonic()
        since, lines, left_out = self._sources.pop(source, (now, 0, 0))
        if now - since >= 60:
            if left_out:
                log.warning("Refused %s: %d more were left out of the log.", escaped(source), left_out)
            since, lines, left_out = now, 0, 0
        if lines < LINES_A_MINUTE and self._count_line(now):
            more = "" if lines + 1 < LINES_A_MINUTE else " (further refusals of this address are counted for a minute)"
            log.warning("Refused %s: %s%s", escaped(source), escaped(sentence), more)
            lines += 1
        else:
            left_out += 1
        self._sources[source] = since, lines, left_out
        while len(self._sources) > MOST_SOURCES:
            self._sources.popitem(last=False)


class LimitedLog(logging.Filter):
    """Limits a logger to ``LINES_A_MINUTE`` lines of one template, whatever its arguments are."""

    def __init__(self) -> None:
        super().__init__()
        self._templates: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        template, now = str(record.msg)[:40], time.monotonic()
        since, lines = self._templates.pop(template, (now, 0))
        if now - since >= 60:
            since, lines = now, 0
        self._templates[template] = since, lines + 1
        while len(self._templates) > MOST_SOURCES:
            self._templates.popitem(last=False)
        return lines < LINES_A_MINUTE


FOREIGN_LOGGERS: Final = (
    "asyncio",
    "uvicorn.error",
    "engineio.server",
    "socketio.server",
    "sanic.error",
    "rasa.core.channels.channel",  # a web token that can't be read
)
"""Loggers of libraries that write a line, or a traceback, for each bad request of a stranger."""

_bounded: Final = LimitedLog()


def limit_foreign_logs() -> None:
    """Limit the loggers of libraries, so that strangers can't fill the disk through them."""
    for name in FOREIGN_LOGGERS:
        logging.getLogger(name).addFilter(_bounded)  # a second time does nothing
