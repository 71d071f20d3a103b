"""The share of the time that processes are up, and what a run finds that had no faults or no servers."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rasa_handoff.testing.waiting import eventually
from tests.chaos import uptime
from tests.chaos.book import Book
from tests.chaos.chaos_run import check_faults
from tests.chaos.uptime import LEAST, Uptime


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path)) as book:
        yield book


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uptime, "EVERY", 0.01)
    monkeypatch.setattr(uptime, "SLOW", 0.2)


async def up() -> float:
    return 1.0


async def half() -> float:
    return 0.5


async def refuses() -> float:
    raise ConnectionRefusedError


async def slow() -> float:
    await asyncio.sleep(0.25)
    return 1.0


async def test_what_refuses_or_answers_late_is_not_up() -> None:
    async with Uptime({"up": up, "half": half, "refuses": refuses, "slow": slow}) as measured:
        await eventually(lambda: len(measured.shares()) == 4)
        assert measured.shares() == pytest.approx({"up": 1.0, "half": 0.5, "refuses": 0.0, "slow": 0.0})


async def test_a_run_is_void_if_a_kind_of_process_was_mostly_down(book: Book) -> None:
    async with Uptime({"desk": half, "Rasa": up}) as measured:
        await eventually(lambda: len(measured.shares()) == 2)
    check_faults(book, {}, {}, measured.shares())
    assert LEAST > 0.5
    assert [(kind, who) for kind, who, _ in book.findings] == [("void", "desk")]


def test_a_kind_of_fault_that_could_never_be_made_is_found(book: Book) -> None:
    done = {"a poisoned entry on a lane": 3, "desk: kill -9": 3, "Rasa: kill -9": 1}
    check_faults(book, done, {"a poisoned entry on a lane": 3, "desk: kill -9": 1}, {})
    assert [(kind, who) for kind, who, _ in book.findings] == [("no fault", "a poisoned entry on a lane")]
