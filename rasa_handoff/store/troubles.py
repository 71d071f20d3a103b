"""The meaning of a database's errors: whether work may be tried again, and whether others would fail as well."""

from typing import Final

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, TimeoutError

from rasa_handoff.store.identity import TooOld
from rasa_handoff.store.row_waits import MustWait
from rasa_handoff.store.sqlite import DatabaseInUse

TROUBLES: Final = (OperationalError, InterfaceError, InternalError, TimeoutError, DatabaseInUse, TooOld)
"""Errors of a database that is locked, full or unreachable: nothing was committed, and it may be tried again."""

CONTENDED: Final = ("40P01", "40001", "23505")
"""Postgres' codes of a transaction that another process got in the way of: deadlock, serialization failure, and a row that both
have added. It is tried again, and then sees what the other one did."""
LOCKED: Final = "55P03"
"""Postgres' code of a lock that wasn't to be had: another process stands still, or somebody holds a table."""


def no_response(seconds: float) -> Exception:
    """Return the error of work whose database said nothing for so long."""
    problem: Exception = TimeoutError(f"the database said nothing for {seconds:g} s")
    return problem


def is_contended(problem: Exception) -> bool:
    """Return whether a transaction failed because of another process's."""
    return _code(problem) in CONTENDED


def is_locked(problem: Exception) -> bool:
    """Return whether a transaction failed because it didn't get a lock in time."""
    return _code(problem) == LOCKED


def waits_for_row(problem: Exception) -> bool:
    """Return whether a transaction failed because another process, or other work of this one, is busy with its rows."""
    return isinstance(problem, MustWait) or is_locked(problem)


def is_lasting(problem: Exception) -> bool:
    """Return whether a transaction failed because of the whole database, as far as is known, and not of some rows."""
    return _code(problem) not in (*CONTENDED, LOCKED) and not isinstance(problem, MustWait)


def is_lost(problem: BaseException) -> bool:
    """Return whether the connection was lost."""
    return bool(getattr(problem, "connection_invalidated", False))


def first_line(problem: Exception) -> str:
    """Return the first line of what the driver says, without its full stop."""
    return str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")


def _code(problem: Exception) -> str | None:
    """Return Postgres' code of an error."""
    drivers = getattr(problem, "orig", None)
    return getattr(drivers, "pgcode", None) or getattr(drivers, "sqlstate", None)
