"""Outside a department's hours its conversations are refused or go elsewhere; relays hear when it opens and closes."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from rasa_handoff.core.department_hours import read_department_hours
from rasa_handoff.protocol.errors import HandoffError, SettingsError
from rasa_handoff.protocol.reopening import WEEKDAYS
from rasa_handoff.server import administration
from rasa_handoff.testing.waiting import eventually

TOMORROW = datetime.now(timezone.utc) + timedelta(days=1)
OPENS = TOMORROW.replace(hour=9, minute=0, second=0, microsecond=0)


async def set_hours(server, name, then="message", text=None, week=None):
    """Have the department open tomorrow at nine, if nothing else is said."""
    week = {WEEKDAYS[OPENS.weekday()]: ["09:00-10:00"]} if week is None else week
    written = {"time_zone": "UTC", "week": week, "closed": {"then": then, "text": text}}
    await asyncio.to_thread(administration.set_hours, server.database, name, written)


def department(relay, name="billing"):
    """Return the department as the relay was told last."""
    known = [*relay.all("welcome"), *relay.all("availability")][-1]
    return next((one for one in known["departments"] if one["name"] == name), None)


async def closed(relay, name="billing"):
    await eventually(lambda: not department(relay, name)["open"])
    return department(relay, name)


async def test_a_closed_department_is_refused_and_taken_when_it_opens(server, relay, desk):
    await desk()
    karoo = await relay()
    assert department(karoo)["open"]
    await set_hours(server, "billing", text="We are at the book fair.")
    shut = await closed(karoo)
    assert (shut["opens"], shut["zone"], shut["takes_messages"]) == (OPENS.timestamp(), "UTC", True)
    assert shut["closed_text"] == "We are at the book fair."
    answer = await karoo.call("handoff.initiate", karoo.offer(department="billing"))
    assert (answer["code"], answer["error"]) == ("nobody_available", "Billing is closed now.")
    assert (await karoo.call("handoff.initiate", karoo.offer(department="orders")))["ok"]
    server.ahead = OPENS.timestamp() - datetime.now(timezone.utc).timestamp() + 60
    await eventually(lambda: department(karoo)["open"], seconds=20)
    assert department(karoo)["opens"] is None
    assert (await karoo.call("handoff.initiate", karoo.offer(department="billing")))["ok"]
    server.ahead += 3_600
    await closed(karoo)
    await asyncio.to_thread(administration.set_hours, server.database, "billing", None)
    await eventually(lambda: department(karoo)["open"])


async def test_another_department_takes_over_if_it_is_open_itself(server, relay, desk):
    await desk()
    karoo = await relay()
    await set_hours(server, "billing", then="orders")
    await closed(karoo)
    answer = await karoo.call("handoff.initiate", karoo.offer(department="billing"))
    assert (answer["ok"], answer["elsewhere"]["name"]) == (True, "orders")
    await set_hours(server, "orders", then="billing")
    await closed(karoo, "orders")
    assert (await karoo.call("handoff.initiate", karoo.offer(department="billing")))["code"] == "nobody_available"


async def test_nobody_is_asked_for_anybody_while_all_are_closed(server, relay, desk):
    await desk()
    karoo = await relay()
    await set_hours(server, "billing", then="bot")
    assert not (await closed(karoo))["takes_messages"]
    assert (await karoo.call("handoff.initiate", karoo.offer()))["ok"]
    await set_hours(server, "orders")
    await closed(karoo, "orders")
    answer = await karoo.call("handoff.initiate", karoo.offer())
    assert (answer["code"], answer["error"]) == ("nobody_available", "Every department is closed now.")
    left = await karoo.call("handoff.initiate", {**karoo.offer(department="orders"), "left": True})
    assert left["ok"], "a message can be left whenever it is"


async def test_hours_name_departments_that_are_there(server):
    for name, then, word in (
        ("advice", "bot", "advice"),
        ("billing", "advice", "advice"),
        ("billing", "billing", "itself"),
    ):
        with pytest.raises(HandoffError, match=word):
            await set_hours(server, name, then=then)


@pytest.mark.parametrize(
    ("closed", "word"),
    [("message", "table"), ({"when": 1}, "table"), ({"then": 5}, "'then'"), ({"text": "x" * 1_001}, "1000 characters")],
)
def test_what_becomes_of_customers_is_read_with_a_sentence(closed, word):
    with pytest.raises(SettingsError, match=word):
        read_department_hours({"time_zone": "UTC", "week": {}, "closed": closed})
