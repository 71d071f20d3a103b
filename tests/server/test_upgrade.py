"""A database that an older version wrote."""

import contextlib
import sqlite3

from .peers import until

NEW = {"handoffs": ("ahead", "reminders", "asked", "heard"), "outbox": ("holder", "held_until")}


def make_old(file):
    """Schema 1: without what came with schema 2."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        for table, columns in NEW.items():
            for column in columns:
                database.execute(f"alter table {table} drop column {column}")
        database.execute("drop table timer")
        database.execute("drop table probe")
        database.execute("update meta set value = '1' where key = 'schema'")


async def test_its_conversations_go_on_and_end_by_themselves_too(server, relay, desk, database):
    thandi, karoo = await desk(), await relay()
    handoff, waiting = await karoo.initiate(), await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await until(lambda: karoo.told(handoff)[-1].get("text") == "hello")
    await server.stop()
    make_old(database.removeprefix("sqlite:///"))
    await server.start(grace=30.0)
    await until(lambda: len(thandi.all("ready")) == 2 and len(karoo.all("welcome")) == 2)
    assert [one["reminders"] for one in thandi.all("ready")[1]["mine"]] == [0]
    await thandi.say(handoff, "after the upgrade")
    await until(lambda: karoo.told(handoff)[-1].get("text") == "after the upgrade")
    server.ahead += 86401
    for one in (handoff, waiting):
        await until(lambda one=one: karoo.statuses(one)[-1] == "failed")
