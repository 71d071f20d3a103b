"""Deadlines come later on a machine that is slow or busy, but not without an end."""

import asyncio
import time

import pytest

from rasa_handoff.testing import slowness as measuring
from rasa_handoff.testing import waiting


@pytest.mark.parametrize(
    ("work", "waiting_for_a_processor", "factor"),
    [(0.5, 0.0, 1.0), (1.0, 2.0, 1.0), (3.0, 0.0, 3.0), (1.0, 5.0, 2.5), (100.0, 100.0, measuring.MOST)],
    ids=["a quick machine", "the suite alone", "a slow one", "a busy one", "one that hangs"],
)
def test_the_factor_is_that_of_the_worse_and_bounded(
    work: float, waiting_for_a_processor: float, factor: float
) -> None:
    assert measuring.scale(work * measuring.REFERENCE, waiting_for_a_processor) == pytest.approx(factor)


def test_the_speed_is_measured_once_and_the_load_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measuring.slowness()
    monkeypatch.setattr(measuring, "_seconds", lambda: pytest.fail("measured again"))
    for busy in (0.0, 1e6):
        monkeypatch.setattr("os.getloadavg", lambda busy=busy: (busy, busy, busy))
        assert 1.0 <= measuring.slowness() <= measuring.MOST
    assert measuring.slowness() == measuring.MOST


async def test_what_is_awaited_is_given_as_much_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "slowness", lambda: 3.0)
    assert await waiting.within(asyncio.sleep(0.15, "there"), 0.1) == "there"
    with pytest.raises(AssertionError, match=r"never: it didn't come within 0\.03 s"):
        await waiting.within(asyncio.sleep(10), 0.01, what="never")


async def test_a_condition_is_waited_for_as_much_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "slowness", lambda: 3.0)
    begun = time.monotonic()
    assert await waiting.eventually(lambda: time.monotonic() - begun > 0.2, seconds=0.1)
    with pytest.raises(AssertionError, match=r"never: still False after 0\.3 s"):
        await waiting.eventually(lambda: False, seconds=0.1, what="never")


async def test_a_failure_shows_the_condition_and_its_last_value() -> None:
    seen: list[int] = []

    async def three() -> list[int]:
        seen.append(len(seen))
        return seen[3:]

    assert await waiting.eventually(three) == [3]
    with pytest.raises(AssertionError, match=r"lambda: seen\[100_000:\].*: still \[\] after"):
        await waiting.eventually(lambda: seen[100_000:], seconds=0.01)
    with pytest.raises(AssertionError, match=r"lambda: seen and None.*: still None after"):
        waiting.eventually_blocking(lambda: seen and None, seconds=0.01)
    assert waiting.eventually_blocking(lambda: seen) == [0, 1, 2, 3]
