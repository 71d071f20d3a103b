"""Slow isn't away: a tracker store that takes long is waited for or done without; one that is unreachable is said once."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rasa.core.tracker_store import InMemoryTrackerStore, SQLTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted
from sqlalchemy import event

from rasa_handoff.channel.compat import tracker_store
from rasa_handoff.channel.compat.tracker_store import access
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.testing.waiting import eventually

AWAY, BACK = "The tracker store can't be reached", "The tracker store is back."


class Sql:
    """A real SQL tracker store, on SQLite, whose statements take ``seconds`` and wait for ``go_on``.

    With a ``problem`` they fail: all of them, or only what writes if it ``can_be_read``.
    """

    def __init__(self, folder: Path) -> None:
        self.store = SQLTrackerStore(Domain.empty(), dialect="sqlite", db=str(folder / "tracker.db"))
        self.seconds, self.problem, self.can_be_read = 0.0, "", False
        self.go_on = threading.Event()
        self.go_on.set()
        event.listen(self.store.engine, "before_cursor_execute", self._before)

    def _before(self, _: Any, __: Any, statement: str, *more: Any) -> None:
        time.sleep(self.seconds)
        self.go_on.wait()
        if self.problem and (not self.can_be_read or statement.startswith("INSERT")):
            raise OSError(self.problem)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    one = Sql(tmp_path)
    yield one
    one.go_on.set()
    one.store.engine.dispose()


class Own(InMemoryTrackerStore):
    """A project's own store: each access takes the next of ``seconds``, and fails if ``problem`` says so when it began."""

    def __init__(self) -> None:
        super().__init__(Domain.empty())
        self.seconds: list[float] = []
        self.problem = ""

    async def retrieve(self, sender_id: str) -> Any:
        problem = self.problem
        await asyncio.sleep(self.seconds.pop(0) if self.seconds else 0)
        if problem:
            raise OSError(problem)
        return await super().retrieve(sender_id)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """A function that returns what was logged of the tracker store so far."""
    caplog.set_level(logging.INFO, "rasa_handoff")
    return lambda: [record.getMessage() for record in caplog.records if "tracker store" in record.getMessage()]


async def test_load_is_no_outage(sql: Sql, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many wait, each for longer than a silent store is waited for, and each gets an answer."""
    monkeypatch.setattr(tracker_store, "ANSWER_SECONDS", 0.5)
    one, sql.seconds = access(sql.store), 0.05
    began = time.monotonic()
    assert await asyncio.gather(*(one.retrieve_in_time(f"c{number}") for number in range(20))) == [None] * 20
    assert time.monotonic() - began > 0.9
    assert not one.away
    assert lines() == []


async def test_who_waits_but_a_moment_says_nothing_of_the_store(sql: Sql, lines: Any) -> None:
    """A notice does without its slots; nobody else does."""
    one, sql.seconds = access(sql.store), 0.3
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"didn't answer within 0\.1 s"):
            await one.retrieve_in_time("c", 0.1)
        assert not one.failing
        assert await one.retrieve_in_time("c") is None
    assert lines() == []


async def test_a_silent_store_is_said_after_long_and_once(
    sql: Sql, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first who waits gives up soon, the others at once; what nobody waits for goes on by itself."""
    monkeypatch.setattr(tracker_store, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(tracker_store, "LONG_SECONDS", 3.0)
    one = access(sql.store)
    sql.go_on.clear()
    writing = asyncio.ensure_future(one.retrieve("written later"))
    with pytest.raises(Unreachable):
        await one.retrieve_in_time("first")
    began = time.monotonic()
    for result in await asyncio.gather(
        *(one.retrieve_in_time(f"c{number}") for number in range(20)), return_exceptions=True
    ):
        assert isinstance(result, Unreachable)
    assert time.monotonic() - began < 0.2
    assert one.away
    assert lines() == [], "slow is told to customers, not to the log"
    await eventually(lines)
    assert not writing.done()
    sql.go_on.set()
    assert await writing is None
    assert await one.retrieve("another") is None
    assert not one.failing
    assert [line.partition(":")[0] for line in lines()] == [AWAY, BACK]


async def test_an_error_is_said_at_once_and_once_whoever_comes(sql: Sql, lines: Any) -> None:
    one, sql.problem = access(sql.store), "no route"
    for _ in range(2):
        found = await asyncio.gather(*(one.retrieve(f"c{number}") for number in range(20)), return_exceptions=True)
        assert all(isinstance(result, Unreachable) for result in found)
    sql.problem = ""
    await asyncio.gather(*(one.retrieve(f"c{number}") for number in range(20)))
    assert lines() == [f"{AWAY}: no route. Writes wait.", BACK]


async def test_what_was_asked_before_says_nothing_of_now(lines: Any) -> None:
    """An answer that was asked for before the failure is no return, nor a failure of before the return a new outage."""
    store = Own()
    one = access(store)
    store.seconds = [0.4]
    early = asyncio.ensure_future(one.retrieve("asked before it failed"))
    await asyncio.sleep(0)
    store.problem, store.seconds = "no route", [0.1, 0.8, 0.9]
    late = [asyncio.ensure_future(one.retrieve(f"asked while it was away {number}")) for number in range(3)]
    await eventually(lines)
    assert await early is None
    assert one.failing
    store.problem = ""
    assert await one.retrieve("asked afterwards") is None
    assert not one.failing
    assert all(isinstance(problem, Unreachable) for problem in await asyncio.gather(*late, return_exceptions=True))
    assert not one.failing
    assert lines() == [f"{AWAY}: no route. Writes wait.", BACK]


async def test_an_own_store_that_is_silent_is_said_once(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up by who waits, its accesses are called off; what isn't waited for is watched."""
    monkeypatch.setattr(tracker_store, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(tracker_store, "LONG_SECONDS", 0.8)
    store = Own()
    one, store.seconds = access(store), [60, 60, 60]
    with pytest.raises(Unreachable):
        await one.retrieve_in_time("c")
    assert (one.away, lines()) == (True, [])
    writing = asyncio.ensure_future(one.retrieve("written later"))
    await eventually(lines)
    assert len(lines()) == 1
    writing.cancel()
    store.seconds = []
    assert await one.retrieve("c") is None
    assert lines()[1:] == [BACK]


async def test_a_store_that_can_be_read_and_not_written_is_said_once(sql: Sql, lines: Any) -> None:
    """A full disk: what is read meanwhile doesn't make it whole."""
    one = access(sql.store)
    tracker = sql.store.init_tracker("thabo")
    tracker.update(ActionExecuted("action_listen"))
    sql.problem, sql.can_be_read = "database or disk is full", True
    for _ in range(3):
        with pytest.raises(Unreachable):
            await one.save(tracker)
        assert await one.retrieve("thabo") is None
        assert one.failing
    sql.problem = ""
    await one.save(tracker)
    assert not one.failing
    assert [line.partition(":")[0] for line in lines()] == [AWAY, BACK]
