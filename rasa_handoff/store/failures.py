"""Failed deliveries: this module alone decides whether an entry is tried again or set aside.

- *wait*: the receiver will fetch it; nothing has failed (:class:`Waits`).
- *retry later*: it may work later; the other side, a vendor or a database is unreachable or busy.
- *reject*: it will fail each time; the other side refused it, or its content is invalid. It becomes a dead letter at once.
- *unforeseen*: unknown. It is tried a bounded number of times and then set aside, so that a bug of ours, of a project's channel
  or of a vendor's client never blocks the entries behind it.

:func:`isolated` isolates failures in a loop: one unreadable row or failing conversation doesn't stop the others.
"""

import asyncio
import contextlib
import enum
import json
import logging
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, StatementError

from rasa_handoff.protocol.errors import Refused, StoreError, Unreachable, Waits
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)


class Failure(enum.Enum):
    """The classes of failed deliveries."""

    WAIT = "wait"
    RETRY_LATER = "retry later"
    REJECT = "reject"
    UNFORESEEN = "unforeseen"


RETRIED: Final = (Unreachable, StoreError, *TROUBLES, OSError, asyncio.TimeoutError)
REJECTED: Final = (Refused, DataError, IntegrityError, ProgrammingError, StatementError)
WRONG: Final = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
)
"""Errors of code that got something it can't handle: few tries are enough."""

LEAST_TRIES: Final = 10
"""An entry whose failures are unforeseen is set aside only after this many tries, and :data:`LEAST_SECONDS`: a project's own
channel may raise anything while its vendor restarts."""
LEAST_SECONDS: Final = 15.0
"""Seconds from the first failure of such an entry until it may be set aside."""
MOST_TRIES_OF_WRONG: Final = 3
"""Tries of an entry whose failure is one of :data:`WRONG`; then it is set aside."""


def meaning_of(problem: BaseException) -> Failure:
    """Return the class of a failed delivery by its exception."""
    if isinstance(problem, Waits):
        return Failure.WAIT
    if isinstance(problem, RETRIED):
        return Failure.RETRY_LATER
    return Failure.REJECT if isinstance(problem, REJECTED) else Failure.UNFORESEEN


def is_over(problem: BaseException, tries: int, seconds: float) -> bool:
    """Return whether an entry that raises this was tried enough. ``seconds``: since its first failure."""
    if meaning_of(problem) is Failure.REJECT:
        return True
    # A JSONDecodeError is no such error: it may come from the error page of a vendor that is away.
    if isinstance(problem, WRONG) and not isinstance(problem, json.JSONDecodeError):
        return tries >= MOST_TRIES_OF_WRONG
    return tries >= LEAST_TRIES and seconds >= LEAST_SECONDS


def log_set_aside(entry: Entry, problem: BaseException) -> None:
    """Log that an entry was set aside; with a traceback if the failure was unforeseen."""
    trace = problem if meaning_of(problem) is Failure.UNFORESEEN else None
    log.error(
        "'%s' for the %s in %s can't be delivered and was set aside: %s",
        entry.name,
        entry.target,
        short_id(entry.lane),
        reason_of(problem),
        exc_info=trace,
    )


def reason_of(problem: BaseException) -> str:
    """Return the reason of a failure, in one line."""
    if isinstance(problem, Refused):
        return str(problem)
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:500]


@contextlib.contextmanager
def isolated(log: logging.Logger, message: str, *about: object) -> Iterator[None]:
    """Keep a failure apart from the other items of a loop: log ``message`` with the traceback, and let the loop go on.

    Raises:
        StoreError, Unreachable: the database or the other side can't be used now, which affects every item.
    """
    try:
        yield
    except (StoreError, Unreachable, *TROUBLES):
        raise
    except Exception:
        log.exception(message, *about)
