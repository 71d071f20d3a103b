"""When somebody is there again, in customers' words."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from rasa_handoff.presets.responses import preset_text
from rasa_handoff.protocol.reopening import WEEKDAYS, closed_department, opening_words, takes_messages
from rasa_handoff.protocol.values import Availability, Department

ZONE = "Africa/Johannesburg"


def at(local: str) -> float:
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(ZONE)).timestamp()


def closed(name: str = "billing", opens: str | None = "2026-11-30 08:00", **more: object) -> Department:
    return Department(name=name, open=False, opens=opens and at(opens), zone=ZONE, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-30 00:00", "today at 08:00"),
        ("2026-11-29 23:59", "tomorrow at 08:00"),
        ("2026-11-28 10:00", "on Monday at 08:00"),
        ("2026-11-24 10:00", "on Monday at 08:00"),
        ("2026-11-23 10:00", "on Monday, 2026-11-30, at 08:00"),
    ],
)
def test_the_time_is_said_as_people_say_it_in_the_departments_zone(now: str, expected: str) -> None:
    words = opening_words(closed(), at(now))
    assert words is not None
    assert words.text(lambda response: preset_text(response, {})) == expected


def test_what_is_not_known_is_not_said() -> None:
    assert opening_words(closed(opens=None), 0.0) is None
    assert opening_words(replace(closed(), zone="Mars/Olympus"), 0.0) is None
    assert all(preset_text(f"utter_handoff_{name}", {}) == name.capitalize() for name in WEEKDAYS)


def test_the_department_that_was_asked_for_is_told_else_the_first_to_open() -> None:
    late, early = closed("billing", "2026-12-01 08:00"), closed("orders", "2026-11-30 08:00")
    there = Availability(departments=(late, early))
    assert closed_department(there) is early
    assert closed_department(there, "billing") is late
    assert closed_department(there, "advice") is None
    unstaffed = Department(name="advice", staffed=False)
    assert closed_department(Availability(departments=(late, unstaffed))) is None, "nobody is there, but it is open"
    assert closed_department(Availability()) is None
    silent = Department(name="advice", open=False)
    assert closed_department(Availability(departments=(silent,))) is None, "nothing can be said of it"


def test_messages_are_taken_unless_the_department_gives_customers_back_to_the_bot() -> None:
    there = Availability(departments=(closed("billing", takes_messages=False), closed("orders")))
    assert not takes_messages(there, "billing")
    assert takes_messages(there, "orders")
    assert takes_messages(there)
    assert not takes_messages(Availability(departments=(closed(takes_messages=False),)))
    assert takes_messages(Availability())
