"""Customers count as away only after their last page has been closed for some seconds."""

import asyncio

import pytest

from rasa_handoff.testing.waiting import eventually


class Pages:
    """A presence and what it has reported. ``open``: the conversations with an open page."""

    def __init__(self) -> None:
        from rasa_handoff.channel.hosted.page_presence import PagePresence

        self.open: set[str] = set()
        self.reported: list[tuple[str, bool]] = []
        self.presence = PagePresence(self._is_open, self._report)

    async def _is_open(self, conversation_id: str) -> bool:
        return conversation_id in self.open

    async def _report(self, conversation_id: str, here: bool) -> None:
        self.reported.append((conversation_id, here))


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0.05)
    return Pages()


async def test_away_and_back_are_reported_once(pages: Pages) -> None:
    for _ in range(3):
        pages.presence.went("thabo")
    await eventually(lambda: pages.reported)
    pages.presence.went("thabo")
    assert pages.presence.is_away("thabo")
    for _ in range(2):
        await pages.presence.came("thabo")
    assert pages.reported == [("thabo", False), ("thabo", True)]
    assert not pages.presence.is_away("thabo")


async def test_a_reload_and_a_second_page_are_no_absence(pages: Pages) -> None:
    pages.presence.went("thabo")
    await pages.presence.came("thabo")
    pages.open.add("lindiwe")
    pages.presence.went("lindiwe")
    pages.presence.went("sipho")
    await eventually(lambda: pages.reported)  # sipho went last, so the others' time is over too
    assert pages.reported == [("sipho", False)]
    assert not pages.presence.is_away("lindiwe")


async def test_nobody_is_away_because_the_process_stops(pages: Pages) -> None:
    pages.presence.went("thabo")
    await pages.presence.close()
    pages.presence.went("sipho")  # Sanic closes its sockets later
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert pages.reported == []


async def test_the_time_counts_from_the_last_page_that_was_closed(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.presence.went("thabo")  # one of two pages
    await asyncio.sleep(0)
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 60)
    pages.presence.went("thabo")  # the other one, which is reloaded
    await asyncio.sleep(0)
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0.05)
    pages.presence.went("sipho")
    await eventually(lambda: pages.reported)
    assert pages.reported == [("sipho", False)]
    await pages.presence.came("thabo")
    assert pages.reported == [("sipho", False)]
