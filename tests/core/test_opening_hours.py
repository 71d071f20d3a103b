"""Opening hours: weeks, holidays, nights and changed clocks, in several time zones."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasa_handoff.core.opening_hours import OpeningHours, read_hours, write_hours
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.reopening import WEEKDAYS

ZONES = ("Africa/Johannesburg", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
OFFICE = {name: ["08:00-12:00", "13:00-17:00"] for name in WEEKDAYS[:5]}


def hours(zone: str = "Africa/Johannesburg", week: Any = None, dates: Any = None) -> OpeningHours:
    return read_hours({"time_zone": zone, "week": OFFICE if week is None else week, "dates": dates or {}})


def at(local: str, zone: str = "Africa/Johannesburg", fold: int = 0) -> float:
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def state(own: OpeningHours, local: str, fold: int = 0) -> tuple[bool, str | None]:
    """Return whether it is open at this local time, and until when in local time."""
    found = own.state(at(local, own.zone, fold))
    until = found.until and datetime.fromtimestamp(found.until, ZoneInfo(own.zone)).strftime("%Y-%m-%d %H:%M%z")
    return found.is_open, until and until.removesuffix("+0200") if own.zone == ZONES[0] else until


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-27 07:59", (False, "2026-11-27 08:00")),
        ("2026-11-27 08:00", (True, "2026-11-27 12:00")),
        ("2026-11-27 12:00", (False, "2026-11-27 13:00")),
        ("2026-11-27 16:59:59", (True, "2026-11-27 17:00")),
        ("2026-11-27 17:00", (False, "2026-11-30 08:00")),  # Friday evening
        ("2026-11-29 10:00", (False, "2026-11-30 08:00")),
    ],
)
def test_a_week(now: str, expected: tuple[bool, str]) -> None:
    assert state(hours(), now) == expected


def test_a_date_has_its_own_hours_and_its_title() -> None:
    own = hours(
        dates={
            "2026-12-24": ["08:00-11:00"],
            "2026-12-25": {"title": "Christmas Day"},
            "2026-12-26": {"title": "a sale", "periods": ["10:00-14:00"]},
        }
    )
    assert state(own, "2026-12-24 10:00") == (True, "2026-12-24 11:00")
    assert state(own, "2026-12-25 10:00") == (False, "2026-12-26 10:00")
    assert state(own, "2026-12-26 12:00") == (True, "2026-12-26 14:00")
    titles = [own.title(at(f"2026-12-{day} 10:00")) for day in (24, 25, 26, 28)]
    assert titles == ["", "Christmas Day", "a sale", ""]


def test_a_night_goes_on_into_a_holiday_and_not_out_of_it() -> None:
    own = hours(week={name: ["22:00-02:00"] for name in WEEKDAYS}, dates={"2027-01-01": {"title": "New Year's Day"}})
    assert state(own, "2026-12-31 23:59") == (True, "2027-01-01 02:00")
    assert state(own, "2027-01-01 01:59") == (True, "2027-01-01 02:00")
    assert state(own, "2027-01-01 23:00") == (False, "2027-01-02 22:00")
    assert state(own, "2027-01-02 01:00") == (False, "2027-01-02 22:00")


def test_days_that_meet_at_midnight_are_one_span() -> None:
    own = hours(week={"saturday": ["00:00-24:00"], "sunday": ["00:00-24:00"], "monday": ["00:00-06:00"]})
    assert state(own, "2026-11-28 12:00") == (True, "2026-11-30 06:00")


def test_always_and_never() -> None:
    always = hours(week={name: ["00:00-24:00"] for name in WEEKDAYS})
    assert state(always, "2026-11-28 12:00") == (True, None)
    a_week = hours(week={}, dates={f"2026-12-{day:02}": ["00:00-24:00"] for day in range(1, 8)})
    assert state(a_week, "2026-12-03 12:00") == (True, "2026-12-08 00:00")
    assert state(a_week, "2026-11-28 12:00") == (False, "2026-12-01 00:00")
    a_month = hours(week={}, dates={f"2026-12-{day:02}": ["00:00-24:00"] for day in range(1, 31)})
    assert state(a_month, "2026-11-28 12:00") == (False, "2026-12-01 00:00")
    assert state(a_month, "2026-12-01 12:00") == (True, None)
    assert state(a_month, "2026-12-29 12:00") == (True, "2026-12-31 00:00")
    assert state(hours(week={}), "2026-11-28 12:00") == (False, None)
    assert hours(week={}).opens(at("2026-11-28 12:00")) is None
    assert hours().opens(at("2026-11-27 09:00")) == at("2026-11-27 09:00")


def test_summer_time_in_berlin() -> None:
    """On 2027-03-28 the hour from 02:00 is left out, on 2026-10-25 it comes twice."""
    own = hours("Europe/Berlin", {name: ["02:30-10:00"] for name in WEEKDAYS})
    assert state(own, "2027-03-28 01:59") == (False, "2027-03-28 03:30+0200")
    assert state(own, "2027-03-28 03:30") == (True, "2027-03-28 10:00+0200")
    assert state(own, "2026-10-25 02:29") == (False, "2026-10-25 02:30+0200")
    assert state(own, "2026-10-25 02:10", fold=1) == (True, "2026-10-25 10:00+0100")
    office = hours("Europe/Berlin")
    assert office.state(at("2027-03-26 18:00", "Europe/Berlin")).until == at("2027-03-29 08:00", "Europe/Berlin")


def test_a_night_over_the_change_to_winter_time_in_new_york() -> None:
    """On 2026-11-01 the hour from 01:00 comes twice: the night ends with the first."""
    own = hours("America/New_York", {"saturday": ["22:00-01:30"]})
    assert state(own, "2026-10-31 23:00") == (True, "2026-11-01 01:30-0400")
    assert state(own, "2026-11-01 01:15", fold=1) == (False, "2026-11-07 22:00-0500")


@pytest.mark.parametrize(
    ("written", "word"),
    [
        (None, "time_zone"),
        ({"time_zone": "Mars/Olympus", "week": {}}, "Mars/Olympus"),
        ({"time_zone": "../../etc/passwd", "week": {}}, "time_zone"),
        ({"week": {}}, "time_zone"),
        ({"time_zone": "Africa/Johannesburg", "weeks": {}}, "weeks"),
        ({"time_zone": "Africa/Johannesburg", "week": {"maandag": []}}, "maandag"),
        ({"time_zone": "Africa/Johannesburg", "week": []}, "tables"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": "08:00-17:00"}}, "list"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": ["8-17"]}}, "'8-17'"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": ["08:00-08:00"]}}, "08:00-08:00"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": ["08:60-09:00"]}}, "08:60"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": ["24:00-25:00"]}}, "24:00-25:00"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": [8]}}, "8"),
        ({"time_zone": "Africa/Johannesburg", "week": {"monday": ["08:00-10:00", "09:00-11:00"]}}, "overlap"),
        ({"time_zone": "Africa/Johannesburg", "dates": {"25.12.2026": []}}, "25.12.2026"),
        ({"time_zone": "Africa/Johannesburg", "dates": {"2026-02-30": []}}, "2026-02-30"),
        ({"time_zone": "Africa/Johannesburg", "dates": {"2026-12-25": {"title": "x" * 101}}}, "title"),
    ],
)
def test_what_can_not_be_read_is_said(written: Any, word: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_hours(written)
    assert word in str(refused.value)


clocks = st.integers(0, 24 * 60 - 1)


@st.composite
def days(draw: st.DrawFn) -> list[str]:
    times = sorted(draw(st.sets(clocks, max_size=6)))
    pairs = zip(times[::2], times[1::2], strict=False)
    return [f"{one // 60:02}:{one % 60:02}-{other // 60:02}:{other % 60:02}" for one, other in pairs]


@given(
    st.sampled_from(ZONES),
    st.lists(days(), min_size=7, max_size=7),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
)
def test_it_stays_as_it_is_until_it_is_said_to_change(zone: str, week: list[list[str]], now: datetime) -> None:
    own = hours(zone, dict(zip(WEEKDAYS, week, strict=True)))
    assert read_hours(write_hours(own)) == own
    moment = now.replace(tzinfo=ZoneInfo("UTC")).timestamp()
    found = own.state(moment)
    if found.until is None:
        assert found.is_open or not any(week)
        return
    assert found.until > moment
    between = moment + (found.until - moment) / 3
    assert own.state(between) == found
    assert own.state(found.until).is_open is not found.is_open
    local = datetime.fromtimestamp(moment, ZoneInfo(zone))
    if (local + timedelta(days=2)).utcoffset() == (local - timedelta(days=2)).utcoffset():  # no clock is changed nearby
        minute = local.hour * 60 + local.minute
        assert found.is_open is any(one.begin <= minute < one.end for one in own.week[local.weekday()])
