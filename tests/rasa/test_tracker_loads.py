"""How often a turn reads the tracker: as often as Rasa does for it, and once more for what a handoff writes into it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rasa.core.tracker_store import SQLTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, SessionStarted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel import trackers_in_memory
from rasa_handoff.channel.compat.tracker_store import access
from rasa_handoff.core.control import Control
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials


class Reads(list[str]):
    """The conversations whose tracker was read, in order."""


@pytest.fixture
async def rasa(small_model: Path, tmp_path: Path) -> AsyncIterator[RasaServer]:
    """A bot with an agent at the desk, whose customer has said hello: the first message looks for a forgotten handoff."""
    server = DeskServer(tmp_path)
    email = server.add_agent("Thandi")
    async with (
        server,
        RasaServer(small_model, tmp_path, credentials(server.url, tmp_path)) as rasa,
        ScriptedAgent(server.url, email),
    ):
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        await rasa.texts("hello")
        yield rasa


@pytest.fixture
def reads(rasa: RasaServer, monkeypatch: pytest.MonkeyPatch) -> Reads:
    counted = Reads()
    store = rasa.app.ctx.agent.tracker_store._tracker_store
    real = store._retrieve

    async def counting(sender_id: str, **more: Any) -> Any:
        counted.append(sender_id)
        return await real(sender_id, **more)

    monkeypatch.setattr(store, "_retrieve", counting)
    return counted


async def test_an_ordinary_turn_reads_it_as_often_as_rasa(rasa: RasaServer, reads: Reads) -> None:
    assert (await rasa.texts("hello"))[-1] == "Hello."
    assert reads == ["thabo"]


async def test_a_turn_that_shows_the_options_reads_it_once(rasa: RasaServer, reads: Reads) -> None:
    answers = await rasa.say("/provide_handoff_options")
    assert any(answer.get("buttons") for answer in answers)
    assert reads == ["thabo"]


async def test_a_handoff_reads_it_for_its_turn_and_for_the_pause(rasa: RasaServer, reads: Reads) -> None:
    texts = await rasa.texts("/execute_handoff")
    assert texts, "the customer hears that they wait"
    assert rasa.channel.relay.conversation("thabo").state is Control.WAITING
    await rasa.channel.relay.flush("tracker", "thabo")
    tracker = await rasa.app.ctx.agent.tracker_store._tracker_store.retrieve("thabo")
    assert tracker.is_paused()
    assert reads == ["thabo"] * 3, "Rasa for the turn, the pause, and this test"


# Which trackers count as read


@pytest.fixture
def store(tmp_path: Path) -> SQLTrackerStore:
    return SQLTrackerStore(Domain.empty(), dialect="sqlite", db=str(tmp_path / "tracker.db"))


def tracker_of(*kinds: Any) -> DialogueStateTracker:
    tracker = DialogueStateTracker("thabo", [])
    for kind in kinds:
        tracker.update(kind)
    return tracker


def session(text: str) -> list[Any]:
    return [ActionExecuted("action_session_start"), SessionStarted(), UserUttered(text)]


async def test_what_was_saved_is_what_the_store_returns(store: SQLTrackerStore) -> None:
    one, tracker = access(store), tracker_of(*session("hello"))
    assert one.in_memory.saved_just_now("thabo") is None
    await one.save(tracker)
    saved, stored = one.in_memory.saved_just_now("thabo"), await store.retrieve("thabo")
    assert saved is not None
    assert stored is not None
    # Rasa's SQL store hides what is older than the session's start: the action that started it.
    assert [event.as_dict() for event in saved.events][1:] == [event.as_dict() for event in stored.events]


async def test_a_tracker_of_two_sessions_or_one_that_went_on_is_read(store: SQLTrackerStore) -> None:
    one, tracker = access(store), tracker_of(*session("hello"), *session("back again"))
    await one.save(tracker)
    assert one.in_memory.saved_just_now("thabo") is None
    single = tracker_of(*session("hello"))
    await one.save(single)
    single.update(UserUttered("not saved"))
    assert one.in_memory.saved_just_now("thabo") is None


async def test_an_old_one_and_one_that_was_appended_to_are_read(
    store: SQLTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = {"handoff_id": "h", "handoff_message_id": "m-1", "handoff_entry": "customer"}
    one = access(store)
    await one.save(tracker_of(*session("hello"), UserUttered("a", metadata={**mark, "handoff_message_id": "m-0"})))
    assert one.in_memory.saved_just_now("thabo") is not None
    assert await one.append(tracker_of(UserUttered("b", metadata=mark)), '"handoff_entry": ', '"m-1"')
    assert one.in_memory.saved_just_now("thabo") is None
    await one.save(tracker_of(*session("hello")))
    monkeypatch.setattr(trackers_in_memory, "RECENT_SECONDS", -1.0)
    assert one.in_memory.saved_just_now("thabo") is None
