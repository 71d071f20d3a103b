"""Opening hours: when a department is open, and when it opens or closes next.

They are written as a team says them: by weekday in the local time of a time zone, with other hours on single dates. A period
belongs to the day on which it begins, also one that ends after midnight, so a holiday doesn't cut off the evening before.

Where clocks are changed, local times mean what RFC 5545 says of them: one that comes twice is the first of the two, and one that
is left out is as much later as is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.reopening import WEEKDAYS
from rasa_handoff.protocol.values import Value

DAY: Final = 24 * 60
LOOKED_AHEAD: Final = 400
"""Days that are looked at for the next opening; what is further away isn't said."""
LONGEST_OPEN: Final = 14 * DAY * 60.0
"""Seconds for which a department is looked at that is open now: one that always is would cost as much as all days ahead."""
MOST_PERIODS: Final = 10
"""Periods of one day."""
MOST_DATES: Final = 1_000
"""Dates with hours of their own."""
LONGEST_TITLE: Final = 100
_PERIOD: Final = re.compile(r"(\d{1,2}):(\d\d)\s*[-–]\s*(\d{1,2}):(\d\d)", re.ASCII)
EXAMPLE: Final = "'08:00-17:00', or '22:00-02:00' for one that ends after midnight"


class Period(Value, frozen=True):
    """A time of a day, in minutes after its midnight. ``end``: up to 48 hours, if it ends on the next day."""

    begin: int
    end: int

    def __str__(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end if self.end <= DAY else self.end - DAY)}"


class DateHours(Value, frozen=True):
    """The hours of a single date in place of its weekday's, such as a holiday's. ``title``: what customers may read, or empty."""

    periods: tuple[Period, ...] = ()
    title: str = ""


class OpenState(Value, frozen=True):
    """Whether it is open, and until when (seconds since 1970) that stays so; None: for longer than is looked at."""

    is_open: bool
    until: float | None


class OpeningHours(Value, frozen=True):
    """The hours of a department. ``week``: the periods of each weekday, Monday first. ``dates``: those of single dates."""

    zone: str
    week: tuple[tuple[Period, ...], ...]
    dates: dict[str, DateHours] = {}

    def state(self, at: float) -> OpenState:
        """Return whether it is open at this time, and until when."""
        for begin, end in self._spans(at):
            if begin <= at < end:
                return OpenState(True, end if end - at < LONGEST_OPEN else None)
            if begin > at:
                return OpenState(False, begin)
        return OpenState(False, None)

    def opens(self, at: float) -> float | None:
        """Return when it is open next: this time itself if it is open; None if that isn't within what is looked at."""
        state = self.state(at)
        return at if state.is_open else state.until

    def title(self, at: float) -> str:
        """Return why the date of this time has hours of its own, such as the holiday's name; empty if it hasn't."""
        own = self.dates.get(datetime.fromtimestamp(at, ZoneInfo(self.zone)).date().isoformat())
        return own.title if own else ""

    def _spans(self, at: float) -> Iterator[tuple[float, float]]:
        """Yield when it is open, as instants in order; what meets is one span, and the last one if it is very long."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(at, zone).date()
        begin = end = None
        for number in range(-2, LOOKED_AHEAD):
            day = today + timedelta(days=number)
            for period in self._on(day):
                first, last = _instant(day, period.begin, zone), _instant(day, period.end, zone)
                if end is not None and begin is not None and first <= end:
                    end = max(end, last)
                    if end - at >= LONGEST_OPEN:
                        yield begin, end
                        return
                    continue
                if begin is not None and end is not None:
                    yield begin, end
                begin, end = first, last
        if begin is not None and end is not None:
            yield begin, end

    def _on(self, day: date) -> tuple[Period, ...]:
        own = self.dates.get(day.isoformat())
        return self.week[day.weekday()] if own is None else own.periods


def _instant(day: date, minutes: int, zone: ZoneInfo) -> float:
    """Return the instant of a local time. Python's ``fold=0`` is what RFC 5545 says, for both kinds of changes."""
    return (datetime.combine(day, time()) + timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp()


def read_hours(written: Any) -> OpeningHours:
    """Return the hours that are written as in settings and at the desk's pages.

    ``{"time_zone": "Africa/Johannesburg", "week": {"monday": ["08:00-17:00"]}, "dates": {"2026-12-25": {"title": "Family"}}}``: a
    weekday that isn't there is closed, and so is a date without ``periods``.

    Raises:
        SettingsError: something can't be read; the sentence says what, and how to write it.
    """
    if not isinstance(written, Mapping):
        raise SettingsError("Opening hours need a time_zone and a week.")
    unknown = [str(key) for key in written if key not in ("time_zone", "week", "dates")]
    if unknown:
        raise SettingsError(f"Opening hours know time_zone, week and dates, and not {unknown[0]!r}.")
    week, dates = written.get("week", {}), written.get("dates", {})
    if not isinstance(week, Mapping) or not isinstance(dates, Mapping) or len(dates) > MOST_DATES:
        raise SettingsError(
            f"'week' and 'dates' of opening hours are tables, of {MOST_DATES} dates at most: "
            "week: {monday: ['08:00-17:00']}."
        )
    for name in week:
        if name not in WEEKDAYS:
            raise SettingsError(f"{name!r} is no weekday. They are {', '.join(WEEKDAYS)}.")
    return OpeningHours(
        zone=_zone(written.get("time_zone")),
        week=tuple(_periods(week.get(name, ()), name) for name in WEEKDAYS),
        dates={_date(name): _date_hours(hours, str(name)) for name, hours in dates.items()},
    )


def write_hours(hours: OpeningHours) -> dict[str, Any]:
    """Return the hours as :func:`read_hours` reads them."""
    week = {name: [str(one) for one in periods] for name, periods in zip(WEEKDAYS, hours.week, strict=True) if periods}
    dates = {
        name: {"title": own.title, "periods": [str(one) for one in own.periods]}
        for name, own in sorted(hours.dates.items())
    }
    return {"time_zone": hours.zone, "week": week, "dates": dates}


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (ValueError, OSError, LookupError):
        raise SettingsError(
            f"{name!r} is no time_zone that is known here. Write one such as Africa/Johannesburg."
        ) from None


def _date(name: Any) -> str:
    try:
        return date.fromisoformat(str(name)).isoformat()  # YAML reads 2026-12-25 as a date by itself
    except ValueError:
        raise SettingsError(f"{str(name)!r} is no date. Write it as 2026-12-25.") from None


def _date_hours(written: Any, where: str) -> DateHours:
    if not isinstance(written, Mapping):
        return DateHours(_periods(written or (), where))
    title = written.get("title") or ""
    if not isinstance(title, str) or len(title) > LONGEST_TITLE:
        raise SettingsError(f"The title of {where} is a text of at most {LONGEST_TITLE} characters.")
    return DateHours(_periods(written.get("periods") or (), where), title)


def _periods(written: Any, where: str) -> tuple[Period, ...]:
    """Return the periods of a day, in order.

    Raises:
        SettingsError: one can't be read, or two overlap.
    """
    if isinstance(written, str) or not isinstance(written, Iterable):
        raise SettingsError(f"The hours of {where} are a list, such as [{EXAMPLE}].")
    periods = sorted((_period(one, where) for one in written), key=lambda one: one.begin)
    if len(periods) > MOST_PERIODS:
        raise SettingsError(f"{where} has {len(periods)} periods: at most {MOST_PERIODS} are taken.")
    for one, following in pairwise(periods):
        if following.begin < one.end:
            raise SettingsError(f"Two periods of {where} overlap: {one} and {following}.")
    return tuple(periods)


def _period(written: Any, where: str) -> Period:
    found = _PERIOD.fullmatch(written.strip()) if isinstance(written, str) else None
    begin, end = (0, 0) if found is None else (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3))
    is_clock = found is not None and int(found[2]) < 60 and int(found[4]) < 60 and begin < DAY and end <= DAY
    if not is_clock or begin == end:
        raise SettingsError(f"{written!r} on {where} is no period. Write {EXAMPLE}; a whole day is '00:00-24:00'.")
    return Period(begin, end if end > begin else end + DAY)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
