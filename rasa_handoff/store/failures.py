"""What a failed delivery means, decided here and nowhere else: try again, or set aside.

- *wait*: the receiver will come and fetch it; nothing has failed (:class:`Waits`);
- *retry later*: it may work later: the other side, a vendor or a database is away or busy;
- *reject*: it will fail each time: the other side said no, or its content doesn't fit. At once it becomes a dead letter;
- *unforeseen*: nobody can tell. It is tried a bounded number of times and then set aside, so that a fault of ours, of a
  project's channel or of a vendor's client never holds up what comes after it.
"""

import asyncio
import enum
import json
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, StatementError

from rasa_handoff.store.engine import TROUBLES
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary.errors import Refused, StoreError, Unreachable, Waits
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)


class Failure(enum.Enum):
    """What it means."""

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
"""What code raises that was given something it can't handle: three tries are enough."""

MOST_TRIES: Final = 10
LONGEST_TRIED: Final = 15.0
"""Something unforeseen is tried so often, and for so many seconds: a project's own channel may raise anything while its vendor
restarts."""
MOST_TRIES_OF_WRONG: Final = 3


def meaning_of(problem: BaseException) -> Failure:
    """What this exception of a delivery means."""
    if isinstance(problem, Waits):
        return Failure.WAIT
    if isinstance(problem, RETRIED):
        return Failure.RETRY_LATER
    return Failure.REJECT if isinstance(problem, REJECTED) else Failure.UNFORESEEN


def is_over(problem: BaseException, tries: int, seconds: float) -> bool:
    """Whether what raises this was tried enough: so many times, the first so many seconds ago."""
    if meaning_of(problem) is Failure.REJECT:
        return True
    if isinstance(problem, WRONG) and not isinstance(
        problem, json.JSONDecodeError
    ):  # that may be a vendor's page of error
        return tries >= MOST_TRIES_OF_WRONG
    return tries >= MOST_TRIES and seconds >= LONGEST_TRIED


def log_set_aside(entry: Entry, problem: BaseException) -> None:
    """The one line in the log; with a traceback where nobody foresaw it."""
    trace = problem if meaning_of(problem) is Failure.UNFORESEEN else None
    log.error(
        "'%s' for the %s in %s can't be delivered and was set aside: %s",
        entry.name,
        entry.target,
        short_id(entry.lane),
        told(problem),
        exc_info=trace,
    )


def told(problem: BaseException) -> str:
    """The reason, in one line."""
    if isinstance(problem, Refused):
        return str(problem)
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:500]
