"""What customers are told outside opening hours, and what they can do then."""

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

from rasa_handoff.protocol.reopening import WEEKDAYS
from rasa_handoff.server import administration
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.test_triggers import buttons

LEAVE = ("Leave a message", "/handoff_leave_message")
OPENS = datetime.now(timezone.utc) + timedelta(days=2)
WHEN = f"on {WEEKDAYS[OPENS.weekday()].capitalize()} at 09:00"


async def close(rasa: RasaServer, desk: DeskServer, *names: str, **closed: Any) -> None:
    """Have these departments open in two days at nine, and wait until the relay knows."""
    written = {"time_zone": "UTC", "week": {WEEKDAYS[OPENS.weekday()]: ["09:00-10:00"]}, "closed": closed}
    for name in names:
        await asyncio.to_thread(administration.set_hours, desk.database, name, written)

    def known() -> bool:
        there = rasa.channel.desk.availability
        return there is not None and not any(one.open for one in there.departments if one.name in names)

    await eventually(known)


async def test_customers_are_told_when_somebody_is_there_again(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent
) -> None:
    await close(rasa, desk, "billing", "orders")
    for asked in ("/provide_handoff_options", "/execute_handoff", "I want to talk to a human"):
        said = await rasa.say(asked)
        assert said[-1]["text"] == (
            f"I'm sorry, we're closed right now. You can talk to a person again {WHEN}. I'm still here to help."
        )
        assert LEAVE in buttons(said)
    assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_for_one_department_another_is_offered(rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent) -> None:
    await close(rasa, desk, "orders")
    said = await rasa.say('/execute_handoff{"department": "orders"}')
    closed = f"I'm sorry, Orders is closed right now, and open again {WHEN}. Who would you like to talk to instead?"
    assert said[-1]["text"] == closed
    assert [title for title, _ in buttons(said)] == ["Billing", "Leave a message", "Carry on with the bot"]


async def test_a_text_of_the_departments_own_and_no_message(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent
) -> None:
    await close(rasa, desk, "billing", "orders", then="bot", text="We are at the book fair until Thursday.")
    for asked in ("/provide_handoff_options", "/execute_handoff"):
        said = await rasa.say(asked)
        assert said[-1]["text"] == "We are at the book fair until Thursday."
        assert LEAVE not in buttons(said)
