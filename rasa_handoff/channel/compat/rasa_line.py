"""The line of Rasa that this folder was written for and tested with.

There is one: 3.6. Another line gets modules of its own for what it changes, chosen here, once, by the version read here.
"""

from functools import cache
from importlib.metadata import version
from typing import Final

from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

LINE: Final = (3, 6)
TESTED: Final = ("3.6.20", "3.6.21")
"""Tests run with the last one. In the first one, the parts of Rasa that are replaced or relied on have the same source."""


@cache
def installed() -> str:
    """Return the version of the installed Rasa."""
    return version("rasa")


@cache
def warn_of_untested_rasa() -> None:
    """Log a warning, once in a process, if the installed Rasa is none that this package was tested with."""
    if (sentence := warning_for(installed())) is not None:
        log.warning(sentence)


def warning_for(found: str) -> str | None:
    """Return a sentence about a version of Rasa that this package wasn't tested with; None for one that it was."""
    if found in TESTED:
        return None
    tested = f"rasa-handoff was tested with Rasa {' and '.join(TESTED)}"
    if tuple(found.split(".")[:2]) == tuple(map(str, LINE)):
        return f"Rasa {found} is installed, and {tested}: try a handoff before customers do."
    return (
        f"Rasa {found} is installed, and {tested}: install one of these, since parts of Rasa are replaced that differ."
    )
