"""One row that can't be handled stops nobody else: when a relay greets, an agent comes or goes, the server starts."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from rasa_handoff.core.assignment_events import AgentLeft, CustomerEnded
from rasa_handoff.server.app import create_app
from rasa_handoff.server.run import running
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.testing.waiting import eventually

pytestmark = pytest.mark.sqlite


def run_sql(database: str, statement: str, *values: Any) -> list[Any]:
    """Run a statement on the server's database, past the server, and return its rows."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


async def test_an_entry_that_lacks_what_it_needs_keeps_no_relay_out(server, relay, desk, opened):
    """It is set aside, its lane goes on, and the relay is let in with all its other handoffs."""
    thandi, karoo = await desk(), await relay()
    bad, good = await karoo.initiate(), await karoo.initiate()
    await thandi.take(bad)
    await thandi.take(good)
    await eventually(lambda: karoo.deliveries(bad) and karoo.deliveries(good))
    await karoo.close()
    await thandi.say(bad, "poisoned")
    await thandi.say(bad, "after it")
    await thandi.say(good, "hello")
    await server.stop()
    (key, body), *_ = run_sql(server.database, "select key, body from outbox where lane = ? order by key", bad)
    poisoned = {name: value for name, value in json.loads(body).items() if name != "payload"}
    run_sql(server.database, "update outbox set body = ? where key = ?", json.dumps(poisoned), key)
    await server.start()
    last = len(karoo.deliveries(good))
    odd = [{"handoff_id": "not an id", "last": 1}, {"handoff_id": good, "last": "x"}, 5, "an-id-alone"]
    under_way = [*odd, {"handoff_id": bad, "last": last}, {"handoff_id": good, "last": last}]
    back = await relay(open=under_way)
    assert {one["handoff_id"] for one in back.all("welcome")[0]["open"]} == {bad, good}
    await eventually(lambda: [one["text"] for one in back.all("message") if one["handoff_id"] == good] == ["hello"])
    await eventually(lambda: [one["text"] for one in back.all("message") if one["handoff_id"] == bad] == ["after it"])
    assert run_sql(server.database, "select lane, reason from dead_letter") == [
        (bad, "Its body can't be read: 'payload' is missing.")
    ]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an event of one handoff raise, after it has written something."""

    def choose(handoff_id: str, kind: type) -> None:
        apply = UnitOfWork.apply

        def picky(unit: UnitOfWork, record: Any, event: Any) -> Any:
            after = apply(unit, record, event)
            if record.handoff_id == handoff_id and isinstance(event, kind):
                raise KeyError("something that this row lacks")
            return after

        monkeypatch.setattr(UnitOfWork, "apply", picky)

    return choose


async def test_an_agent_who_goes_is_noted_in_all_handoffs_but_the_bad_one(server, relay, desk, poison):
    thandi, karoo = await desk(), await relay()
    bad, good = await karoo.initiate(), await karoo.initiate()
    await thandi.take(bad)
    await thandi.take(good)
    poison(bad, AgentLeft)
    await thandi.close()
    await eventually(
        lambda: run_sql(server.database, "select 1 from timer where kind = 'agent_gone' and key = ?", good)
    )
    assert not run_sql(server.database, "select 1 from timer where kind = 'agent_gone' and key = ?", bad)
    await eventually(lambda: karoo.all("availability")[-1:] and not karoo.all("availability")[-1]["staffed"])


async def test_a_start_ends_the_windows_of_the_process_before_but_the_bad_one(server, relay, desk, poison):
    thandi, karoo = await desk(), await relay()
    bad, good = await karoo.initiate(), await karoo.initiate()
    await thandi.take(good)
    await server.stop()
    run_sql(server.database, "update handoffs set side = 'tkinter'")
    poison(bad, CustomerEnded)
    async with running(create_app(server.database)):
        assert run_sql(server.database, "select handoff_id, stage from handoffs order by stage") == [
            (good, "ended"),
            (bad, "queued"),
        ]
