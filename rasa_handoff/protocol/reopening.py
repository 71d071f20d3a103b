"""What customers are told while it is closed: when somebody is there again, in their words.

The words are responses of the domain, so that a project changes or translates them: a day, a time, a sentence around them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rasa_handoff.protocol import names
from rasa_handoff.protocol.values import Availability, Department, find_department

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
A_WEEK: Final = timedelta(days=7)


class OpeningWords(NamedTuple):
    """The response that says when it opens, the one with the weekday's name, and the other values of the first."""

    response: str
    weekday: str
    values: dict[str, str]

    def text(self, text_of: Callable[[str], str]) -> str:
        """Return it in words. ``text_of``: returns the text of a response, with its placeholders."""
        text = text_of(self.response)
        for name, value in {**self.values, "weekday": text_of(self.weekday)}.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def closed_department(there: Availability, asked: str | None = None) -> Department | None:
    """Return the department of which customers are told when it opens; None if opening hours aren't why nobody is there.

    It is the one that was ``asked`` for, else the first to open, unless one is open and only nobody is there.
    """
    if asked is not None:
        found = find_department(there.departments, asked)
        return found if found is not None and _is_closed(found) else None
    if not there.departments or not all(_is_closed(one) for one in there.departments):
        return None
    return min(there.departments, key=lambda one: float("inf") if one.opens is None else one.opens)


def _is_closed(department: Department) -> bool:
    return not department.open and (department.opens is not None or department.closed_text is not None)


def takes_messages(there: Availability, asked: str | None = None) -> bool:
    """Return whether a message can be left: for the department that was asked for, else for any."""
    if asked is not None and (found := find_department(there.departments, asked)) is not None:
        return found.takes_messages
    return not there.departments or any(one.takes_messages for one in there.departments)


def opening_words(department: Department, now: float) -> OpeningWords | None:
    """Return when a department opens, as a customer is told it; None if that isn't known."""
    if department.opens is None:
        return None
    try:
        zone = ZoneInfo(department.zone or "UTC")
    except (ValueError, OSError, LookupError):  # the server's time zones may be newer
        return None
    opens, today = datetime.fromtimestamp(department.opens, zone), datetime.fromtimestamp(now, zone).date()
    values = {"time": opens.strftime("%H:%M"), "date": opens.date().isoformat()}
    weekday = names.WEEKDAY_RESPONSE.format(WEEKDAYS[opens.weekday()])
    if opens.date() == today:
        return OpeningWords(names.UTTER_OPENS_TODAY, weekday, values)
    if opens.date() == today + timedelta(days=1):
        return OpeningWords(names.UTTER_OPENS_TOMORROW, weekday, values)
    soon = opens.date() - today < A_WEEK
    return OpeningWords(names.UTTER_OPENS_SOON if soon else names.UTTER_OPENS_LATER, weekday, values)
