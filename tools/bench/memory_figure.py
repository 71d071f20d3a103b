"""The figure ``memory``: what a live conversation needs in both processes, beside an idle python-socketio connection.

Ten thousand conversations would take a quarter of an hour to begin. So one is held, its rows are copied in both databases and in
the tracker while nothing runs, and then each of the copies goes on with a message. Customers are on ``rest``.
"""

import contextlib
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rasa_handoff.testing.waiting import eventually
from tools.bench.bench import Bench
from tools.bench.measure import Row, at_most
from tools.bench.measuring_people import few_at_a_time
from tools.bench.plain import PlainHops
from tools.bench.plain_rasa import RestCustomers, Trackers
from tools.bench.stack import Scene, Setup

WARM: Final = "warm"
"""A customer whose messages let both processes allocate what one conversation needs."""
WARM_UP: Final = 200
"""Messages of that customer."""
COPIED: Final = "conversation-00000"
"""The conversation that is copied; its id is found in the rows."""
DATABASES: Final = ("relay.db", "desk.db", "tracker.db")
WRITTEN_WITHIN: Final = 90.0
"""Seconds after which the tracker has all messages; by default they are collected for thirty."""


@dataclass(frozen=True)
class Held:
    """The result of the run in which a conversation was held: its folder, its handoff, and the memory of both processes."""

    folder: Path
    handoff_id: str
    memory: Mapping[str, int]


async def memory(bench: Bench) -> list[Row]:
    """Measure the memory of both processes with one conversation and with many."""
    count, connections = bench.sizes.conversations, bench.sizes.connections
    held = await _hold_one(bench)
    names = copy_conversation(held, count)
    async with (
        bench.scene("memory", Setup(again=held.folder, settings=bench.settings)) as scene,
        RestCustomers(scene.stack.url) as customers,
    ):
        scene.agent.answers = False
        await few_at_a_time(lambda name: customers.say(name, "Are you still there?"), names)
        await eventually(lambda: scene.agent.counts["message"] >= count, what="the customers' messages at the desk")
        await _at_rest(scene, [WARM, *names], 1 + WARM_UP + 2 * count)
        many = scene.stack.memory()
    idle = await _idle_connection(bench, connections)
    what = f"memory per live conversation, {count:,} of them, beside an idle connection"
    return [
        Row(f"{what}: {name}", "KB", (many[name] - held.memory[name]) / count / 1000, idle / 1000, samples, (target,))
        for name, target in (("Rasa", at_most(20, "KB")), ("server", at_most(40, "KB")))
        for samples in [(count, connections)]
    ]


async def _hold_one(bench: Bench) -> Held:
    """Hold the conversation that is copied, and one with many messages."""
    async with (
        bench.scene("memory", Setup(settings=bench.settings)) as scene,
        RestCustomers(scene.stack.url) as customers,
    ):
        folder = scene.stack.folder
        for name, messages in ((WARM, WARM_UP), (COPIED, 1)):
            await customers.say(name, "/execute_handoff")
            handoff_id, _ = await scene.agent.arrival(name)
            await scene.agent.take(handoff_id)
            for number in range(messages):
                await customers.say(name, f"message {number}")
        await scene.at_rest(WRITTEN_WITHIN)
        for name in (WARM, COPIED):
            await customers.say(name, "")  # fetches the agent's answers, which would wait in each copy
        await _at_rest(scene, [WARM, COPIED], 2 + WARM_UP + 1)
        return Held(folder, handoff_id, scene.stack.memory())


async def _at_rest(scene: Scene, names: Sequence[str], messages: int) -> None:
    """Wait until the tracker has so many messages of these customers, and nothing happens any more."""
    trackers = Trackers(scene.stack.folder)
    await eventually(
        lambda: trackers.said(names) >= messages, WRITTEN_WITHIN, what=f"{messages:,} messages in the tracker"
    )
    await scene.at_rest(WRITTEN_WITHIN)


async def _idle_connection(bench: Bench, count: int) -> float:
    """Return the bytes that a python-socketio server needs for an idle connection."""
    async with PlainHops(bench.folder) as plain:
        await plain.customer("first")
        before = plain.memory()["A"]
        await plain.all(plain.customer, [f"c{number}" for number in range(count)])
        return (plain.memory()["A"] - before) / count


def copy_conversation(held: Held, count: int) -> list[str]:
    """Copy the conversation until there are ``count``, and return the customers' names; nothing may run on the databases."""
    names = [f"conversation-{number:05}" for number in range(count)]
    handoffs = [held.handoff_id, *(f"{number:032x}" for number in range(1, count))]
    for database in DATABASES:
        print(f"  copying a conversation in {database}", file=sys.stderr, flush=True)
        with contextlib.closing(sqlite3.connect(held.folder / database)) as connection, connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                _copy_rows(connection, table, list(zip(names, handoffs, strict=True)))
    return names


def _copy_rows(connection: sqlite3.Connection, table: str, ids: Sequence[tuple[str, str]]) -> None:
    """Copy the rows of a table that have the ids of the first pair, with those of each other pair."""
    columns = connection.execute(f"PRAGMA table_info('{table}')").fetchall()
    numbered = [kind.upper() == "INTEGER" and key == 1 for _, _, kind, _, _, key in columns]
    name, handoff_id = ids[0]
    placeholders = ", ".join("?" * len(columns))
    for row in connection.execute(f'SELECT * FROM "{table}"').fetchall():
        if any(isinstance(value, str) and (name in value or handoff_id in value) for value in row):
            copies = [_copy(row, numbered, ids[0], other) for other in ids[1:]]
            connection.executemany(f'INSERT INTO "{table}" VALUES ({placeholders})', copies)


def _copy(row: Sequence[Any], numbered: Sequence[bool], ids: tuple[str, str], others: tuple[str, str]) -> list[Any]:
    """Return a row with other ids; a number that SQLite gives is left to it."""
    copied: list[Any] = []
    for value, is_number in zip(row, numbered, strict=True):
        if isinstance(value, str):
            for old, new in zip(ids, others, strict=True):
                value = value.replace(old, new)
        copied.append(None if is_number else value)
    return copied
