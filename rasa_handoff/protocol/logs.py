"""Logging without forged lines, and without ids that give access to a conversation.

1. Every module uses ``log = get_log(__name__)``, which escapes and cuts all values of a log line.
2. A conversation's id is logged by :func:`short_id`, because the id alone may be enough to use the conversation.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 500
"""Characters of a value in a log line."""
DIGITS: Final = 8
"""Hexadecimal digits of a short id."""


def short_id(conversation_id: object) -> str:
    """Return the first digits of the id's SHA-256: the same for the same id, and of no use to an attacker."""
    return hashlib.sha256(str(conversation_id).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def escaped(value: object, longest: int = LONGEST) -> str:
    """Return the value for a log line: printable, on one line, cut.

    >>> escaped("thabo\\n[ERROR] all is lost")
    'thabo\\\\n[ERROR] all is lost'
    """
    shown = str(value)
    if len(shown) > longest:
        shown = shown[:longest] + "…"
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in shown)


class _EscapedValue:
    """Wraps a value of a log line, and escapes it when it is formatted."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return escaped(self._value)

    def __repr__(self) -> str:
        return escaped(repr(self._value))


class _Escape(logging.Filter):
    """Wraps the values of a record before it is formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = (record.args,) if isinstance(record.args, Mapping) else record.args or ()
        record.args = tuple(each if isinstance(each, int | float) else _EscapedValue(each) for each in args)
        return True


_ESCAPE: Final = _Escape()


def get_log(name: str) -> logging.Logger:
    """Return the logger of a module."""
    log = logging.getLogger(name)
    if _ESCAPE not in log.filters:
        log.addFilter(_ESCAPE)
    return log
