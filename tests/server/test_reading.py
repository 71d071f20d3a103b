"""What an agent has read is told to the customer's side: by who has the conversation, at no cost of the database's."""

import contextlib
import sqlite3

import pytest
from msgspec.structs import replace

from rasa_handoff.protocol.desk_payloads import Summary
from rasa_handoff.protocol.values import Agent, Channel, Priority
from rasa_handoff.server.gateways.open_conversations import Owners
from rasa_handoff.testing.waiting import eventually


async def read(agent, handoff_id, id):
    return await agent.ask("read", handoff_id=handoff_id, id=id)


@pytest.mark.every_database("sqlite", "postgres-notify")
async def test_who_has_the_conversation_tells_what_they_have_read_and_nobody_else(relay, desk):
    thandi, sipho = await desk(), await desk("sipho")
    karoo, other = await relay(), await relay("another-bot")
    handoff_id = await karoo.initiate(department="billing")
    await karoo.say(handoff_id, "hello?", "m-1")
    for agent in (thandi, sipho):
        assert (await agent.ask("open", handoff_id=handoff_id, after=0))["ok"]
        assert (await read(agent, handoff_id, "too-early"))["ok"]
    assert (await thandi.take(handoff_id))["ok"]
    await sipho.hears("conversation", handoff_id=handoff_id, state="assigned")
    await read(sipho, handoff_id, "a-colleague")
    await read(thandi, "never-here", "m-1")
    await read(thandi, handoff_id, "m-1")
    await eventually(lambda: karoo.all("read"))
    assert (await thandi.transfer(handoff_id, "billing"))["ok"]
    await eventually(lambda: len(thandi.all("arrival")) == 2)
    await read(thandi, handoff_id, "given-away")
    assert (await sipho.take(handoff_id))["ok"]
    await eventually(lambda: thandi.shown(handoff_id)[-1]["state"] == "assigned")
    await read(thandi, handoff_id, "given-away")
    await read(sipho, handoff_id, "m-1")
    await eventually(lambda: len(karoo.all("read")) == 2)
    assert (await sipho.resolve(handoff_id))["ok"]
    await sipho.hears("conversation", handoff_id=handoff_id, state="ended")
    await read(sipho, handoff_id, "over")
    second = await karoo.initiate(department="billing")
    await thandi.take(second)
    await thandi.hears("conversation", handoff_id=second, state="assigned")
    await read(thandi, second, "the-last")
    await eventually(lambda: karoo.all("read")[-1]["id"] == "the-last")
    assert [body["id"] for body in karoo.all("read")] == ["m-1", "m-1", "the-last"]
    assert other.all("read") == []


@pytest.mark.parametrize(
    "payload", [None, {}, {"handoff_id": "h"}, {"handoff_id": "h", "id": ""}, {"handoff_id": 1, "id": "m"}]
)
async def test_nonsense_is_refused(desk, payload):
    answer = await (await desk()).call("read", payload)
    assert (answer["ok"], answer["code"]) == (False, "invalid")


@pytest.mark.sqlite
async def test_it_takes_no_transaction_also_after_a_restart(relay, desk, server, database):
    """While the database is locked for everybody, what was read is told all the same."""
    thandi, karoo = await desk(), await relay()
    handoff_id = await karoo.initiate()
    await thandi.take(handoff_id)
    await thandi.close()
    await karoo.close()
    await server.stop()
    await server.start()
    thandi, karoo = await desk(), await relay(open=[{"handoff_id": handoff_id}])
    assert (await thandi.ask("open", handoff_id=handoff_id, after=0))["ok"]
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as locked:
        locked.execute("BEGIN EXCLUSIVE")
        assert (await read(thandi, handoff_id, "m-1"))["ok"]
        await eventually(lambda: karoo.all("read") == [{"handoff_id": handoff_id, "id": "m-1"}])


def test_who_loses_sight_of_a_conversation_is_shown_its_end_and_its_owner_still_has_it():
    """Taken over from an agent who serves its department no more: for them alone it has ended."""
    owners = Owners()
    agent, nothing = (
        Agent(id="sipho", name="Sipho"),
        dict.fromkeys(("department", "reason", "language", "last", "words", "ended")),
    )
    times = {"queued_at": 1.0, "assigned_at": 2.0, "ahead": False, "reminders": 0, "customer_is_away": False}
    about = {"short_id": "decaf8a6", "title": "Thabo", "priority": Priority.NORMAL, "channel": Channel(name="rest")}
    assigned = Summary(handoff_id="h", bot_id="karoo", state="assigned", agent=agent, **about, **times, **nothing)
    owners.note(assigned, frozenset({"sipho"}))
    over = replace(assigned, state="ended")
    owners.note(over, frozenset({"thandi"}))
    assert (owners.bot_of("h", "sipho"), owners.bot_of("h", "thandi")) == ("karoo", None)
    owners.note(over, frozenset({"sipho", "thandi"}))
    assert owners.bot_of("h", "sipho") is None
    owners.note(assigned)
    owners.forget(["h", "unknown"])
    assert owners.bot_of("h", "sipho") is None
