"""Changes that wait for the tracker store: they outlive their process, and one that can't be saved holds up no other."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from rasa.core.lock_store import InMemoryLockStore
from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, ConversationPaused, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy import func, select

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.platforms.later_writer import LaterWriter
from rasa_handoff.platforms.memory import Memory
from rasa_handoff.platforms.memory_tables import waiting
from rasa_handoff.platforms.tracker_changes import (
    HandOver,
    KeepTurn,
    LeaveToPeople,
    Note,
    Resume,
    TrackerChange,
    TrackerChanges,
)
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.testing.waiting import eventually


class Picky(InMemoryTrackerStore):
    """A project's own store that can't write a tracker in which the bot has said "bad", and nothing while it is away."""

    away = False

    async def save(self, tracker: DialogueStateTracker) -> None:
        if self.away:
            raise ConnectionError("The store is away.")
        if any(isinstance(event, BotUttered) and event.text == "bad" for event in tracker.events):
            raise ValueError("A value can't be written.")
        await super().save(tracker)


@pytest.fixture
def bot() -> Bot:
    metadata = SimpleNamespace(model_id="model", assistant_id="assistant")
    processor = SimpleNamespace(domain=Domain.empty(), model_metadata=metadata)
    agent = SimpleNamespace(processor=processor, tracker_store=Picky(Domain.empty()), lock_store=InMemoryLockStore())
    return Bot(SimpleNamespace(ctx=SimpleNamespace(agent=agent)))


@pytest.fixture
async def memory(database_url: str) -> AsyncIterator[Memory]:
    one = Memory("kommunicate", database_url)
    await one.open()
    yield one
    await one.close()


def writer(bot: Bot, memory: Memory) -> LaterWriter:
    return LaterWriter(bot, memory, TrackerChanges(bot, "kommunicate", IntentSettings()))


def says(text: str) -> KeepTurn:
    return KeepTurn(events=[BotUttered(text).as_dict()])


async def said(bot: Bot) -> list[str]:
    return [event.text or "" for event in (await bot.tracker("thabo")).events if isinstance(event, BotUttered)]


async def test_a_change_that_can_not_be_saved_is_dropped_and_the_others_are_made(
    bot: Bot, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    later = writer(bot, memory)
    for text in ("good", "bad", "good too"):
        await later.keep("thabo", says(text))
    await later.written("thabo", 5)
    assert not await later.has_kept("thabo")
    assert caplog.text.count("it is dropped") == 1
    await later.keep("thabo", says("later"))
    await later.written("thabo", 5)
    assert await said(bot) == ["good", "good too", "later"]
    await later.close()


async def test_what_a_process_leaves_is_made_by_the_next_one_in_order(
    bot: Bot, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    bot.agent.tracker_store.away = True
    memory = Memory("kommunicate", database_url)
    await memory.open()
    later = writer(bot, memory)
    for text in ("one", "two"):
        assert await later.change("thabo", says(text)) is None
    await later.close()
    await memory.close()
    assert "lost" not in caplog.text
    bot.agent.tracker_store.away = False
    memory = Memory("kommunicate", database_url)
    await memory.open()
    later = writer(bot, memory)
    await later.open()

    async def all_are_made() -> bool:
        query = select(func.count()).select_from(waiting)
        return await memory.database.write(lambda connection: connection.execute(query).scalar_one()) == 0

    await eventually(all_are_made)
    assert await said(bot) == ["one", "two"]
    await later.close()
    await memory.close()


CHANGES: dict[str, tuple[list[Any], TrackerChange]] = {
    "a turn": ([], says("hello")),
    "a note": ([], Note(message_id="m1", text="hello", at=1.0)),
    "a handoff": (
        [ActionExecuted("action_listen"), UserUttered("help", message_id="m1")],
        HandOver(handoff_id="h1", message_id="m1", at=1.0, parting="utter_bye", response={"text": "Bye."}),
    ),
    "a handoff whose message was taken back": (
        [],
        HandOver(handoff_id="h1", message_id="m1", at=1.0, response={"text": "Bye."}),
    ),
    "a handoff outside a turn": ([], LeaveToPeople(handoff_id="h1", at=1.0)),
    "a return": ([ConversationPaused(metadata={"handoff_id": "h1"})], Resume(handoff_id="h1")),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_that_is_made_twice_changes_nothing_the_second_time(bot: Bot, name: str) -> None:
    before, change = CHANGES[name]
    changes = TrackerChanges(bot, "kommunicate", IntentSettings())
    tracker = DialogueStateTracker.from_events("thabo", before)
    changes.make(tracker, change)
    once = [event.as_dict() for event in tracker.events]
    assert len(once) > len(before)
    changes.make(tracker, change)
    assert [event.as_dict() for event in tracker.events] == once


async def test_a_return_of_an_earlier_handoff_does_not_end_a_later_one(bot: Bot) -> None:
    changes = TrackerChanges(bot, "kommunicate", IntentSettings())
    tracker = DialogueStateTracker.from_events("thabo", [ConversationPaused(metadata={"handoff_id": "h2"})])
    changes.make(tracker, Resume(handoff_id="h1"))
    assert tracker.is_paused()
