"""Changes that wait for the tracker store: one that can't be saved is dropped, and the others are made."""

from types import SimpleNamespace
from typing import Any

import pytest
from rasa.core.lock_store import InMemoryLockStore
from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import BotUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.later_writer import LaterWriter


class Picky(InMemoryTrackerStore):
    """A project's own store that can't write a tracker in which the bot has said "bad"."""

    async def save(self, tracker: DialogueStateTracker) -> None:
        if any(isinstance(event, BotUttered) and event.text == "bad" for event in tracker.events):
            raise ValueError("A value can't be written.")
        await super().save(tracker)


@pytest.fixture
def bot() -> Bot:
    metadata = SimpleNamespace(model_id="model", assistant_id="assistant")
    processor = SimpleNamespace(domain=Domain.empty(), model_metadata=metadata)
    agent = SimpleNamespace(processor=processor, tracker_store=Picky(Domain.empty()), lock_store=InMemoryLockStore())
    return Bot(SimpleNamespace(ctx=SimpleNamespace(agent=agent)))


def says(text: str) -> Any:
    return lambda tracker: tracker.update(BotUttered(text))


async def test_a_change_that_can_not_be_saved_is_dropped_and_the_others_are_made(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    later = LaterWriter(bot)
    for text in ("good", "bad", "good too"):
        later.keep("thabo", says(text))
    await later.written("thabo", 5)
    assert not await later.has_kept("thabo")
    assert caplog.text.count("it is dropped") == 1
    later.keep("thabo", says("later"))
    await later.written("thabo", 5)
    said = [event.text for event in (await bot.tracker("thabo")).events if isinstance(event, BotUttered)]
    assert said == ["good", "good too", "later"]
    await later.close()
