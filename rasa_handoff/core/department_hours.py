"""A department's opening hours, and what becomes of a customer who asks for it outside of them."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from rasa_handoff.core.opening_hours import OpeningHours, read_hours, write_hours
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.values import Value

MESSAGE: Final = "message"
BOT: Final = "bot"
LONGEST_TEXT: Final = 1_000
CLOSED: Final = "closed"


class DepartmentHours(Value, frozen=True, kw_only=True):
    """When a department is open. ``text``: what customers are told while it is closed, in place of the bot's own words.

    ``then``: what they can do outside the hours: leave a ``message``, go back to the ``bot`` only, or else be passed to the
    department of this name.
    """

    hours: OpeningHours
    then: str = MESSAGE
    text: str | None = None

    @property
    def overflow(self) -> str | None:
        """The department that takes its conversations while it is closed; None if none does."""
        return None if self.then in (MESSAGE, BOT) else self.then

    def state_in_words(self, now: float) -> str:
        """Return whether it is open, and until when, for whoever runs the desk."""
        state = self.hours.state(now)
        open_or_closed = "open" if state.is_open else "closed"
        if state.until is None:
            return f"{open_or_closed} now, for {'two weeks' if state.is_open else 'a year'} at least"
        until = datetime.fromtimestamp(state.until, ZoneInfo(self.hours.zone))
        return f"{open_or_closed} now, until {until:%A %Y-%m-%d %H:%M} ({self.hours.zone})"

    def written(self) -> dict[str, Any]:
        """Return the hours as :func:`read_department_hours` reads them."""
        closed = {"then": self.then, **({} if self.text is None else {"text": self.text})}
        return {**write_hours(self.hours), CLOSED: closed}


def read_department_hours(written: Any) -> DepartmentHours:
    """Return the hours that are written as :func:`~rasa_handoff.core.opening_hours.read_hours` says, with ``closed`` beside them.

    ``closed: {then: message, text: "We're back on Monday."}``; both may be left out.

    Raises:
        SettingsError: something can't be read; the sentence says what, and how to write it.
    """
    if not isinstance(written, Mapping):
        raise SettingsError("Opening hours need a time_zone and a week.")
    closed = written.get(CLOSED) or {}
    if not isinstance(closed, Mapping) or not set(closed) <= {"then", "text"}:
        raise SettingsError(f"'{CLOSED}' is a table of 'then' and 'text': closed: {{then: {MESSAGE}}}.")
    then, text = closed.get("then") or MESSAGE, closed.get("text") or None
    if not isinstance(then, str):
        raise SettingsError(f"'then' is {MESSAGE}, {BOT}, or the name of the department that takes over.")
    if text is not None and (not isinstance(text, str) or len(text) > LONGEST_TEXT):
        raise SettingsError(f"The 'text' for customers is a text of at most {LONGEST_TEXT} characters.")
    hours = read_hours({key: value for key, value in written.items() if key != CLOSED})
    return DepartmentHours(hours=hours, then=then, text=text)


def as_stored(own: DepartmentHours) -> str:
    """Return the hours as the database keeps them."""
    return json.dumps(own.written(), ensure_ascii=False)


@lru_cache(maxsize=1_000)
def from_stored(stored: str | None) -> DepartmentHours | None:
    """Return the hours that the database has; None if the department has none, and is always open."""
    return None if stored is None else read_department_hours(json.loads(stored))
