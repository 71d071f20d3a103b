"""Logs without forged lines and without ids that open a conversation.

1. ``log = get_log(__name__)`` in every module: values that were handed to it are escaped and cut, whoever wrote them.
2. A conversation's id is shown by :func:`short_id`: knowing the id may be all it takes to use the conversation.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 500
"""Characters of a value in a log line."""
DIGITS: Final = 8


def short_id(conversation_id: object) -> str:
    """The first digits of its SHA-256: the same id has the same ones, and they open nothing."""
    return hashlib.sha256(str(conversation_id).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def escaped(value: object, longest: int = LONGEST) -> str:
    """The value as it may stand in a log line: printable, on one line, cut.

    >>> escaped("thabo\\n[ERROR] all is lost")
    'thabo\\\\n[ERROR] all is lost'
    """
    shown = str(value)
    if len(shown) > longest:
        shown = shown[:longest] + "…"
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in shown)


class _Shown:
    """Stands for a value in a log line."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return escaped(self._value)

    def __repr__(self) -> str:
        return escaped(repr(self._value))


class _Escape(logging.Filter):
    """Changes the values of a record before anybody formats it."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = (record.args,) if isinstance(record.args, Mapping) else record.args or ()
        record.args = tuple(each if isinstance(each, int | float) else _Shown(each) for each in args)
        return True


_ESCAPE: Final = _Escape()


def get_log(name: str) -> logging.Logger:
    """The module's logger."""
    log = logging.getLogger(name)
    if _ESCAPE not in log.filters:
        log.addFilter(_ESCAPE)
    return log
