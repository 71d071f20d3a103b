"""Which trackers in memory count as the newest, and what a store is asked without loading one."""

import asyncio
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rasa.core.nlg.callback import CallbackNaturalLanguageGenerator
from rasa.core.nlg.response import TemplatedNaturalLanguageGenerator
from rasa.core.tracker_store import InMemoryTrackerStore, SQLTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ConversationPaused,
    ConversationResumed,
    Event,
    Restarted,
    SessionStarted,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig

from rasa_handoff.channel import trackers_in_memory
from rasa_handoff.channel.compat import event_types
from rasa_handoff.channel.compat.response_slots import shows_slots
from rasa_handoff.channel.compat.tracker_questions import is_known, may_be_paused
from rasa_handoff.channel.compat.tracker_store import access
from rasa_handoff.channel.trackers_in_memory import note_stored

MARK = {"handoff_id": "h", "handoff_message_id": "m-1", "handoff_entry": "customer"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLTrackerStore]:
    one = SQLTrackerStore(Domain.empty(), dialect="sqlite", db=str(tmp_path / "tracker.db"))
    yield one
    one.engine.dispose()


def tracker_of(*events: Any) -> DialogueStateTracker:
    tracker = DialogueStateTracker("thabo", [])
    for event in events:
        tracker.update(event)
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


async def turn_under_way(store: SQLTrackerStore) -> DialogueStateTracker:
    """Return the tracker of a turn of this task, which has heard something that isn't saved yet."""
    tracker = tracker_of(*session("hello"))
    await access(store).save(tracker)
    note_stored(tracker)
    access(store).in_memory.note_turn(tracker)
    tracker.update(UserUttered("a person, please"))
    return tracker


async def test_a_turn_renders_with_its_own_tracker_though_another_task_reads_it(store: SQLTrackerStore) -> None:
    tracker, memory = await turn_under_way(store), access(store).in_memory
    read = await store.retrieve("thabo")
    assert read is not None

    async def read_by_http() -> None:
        note_stored(read)
        memory.note_turn(read)

    await asyncio.create_task(read_by_http())
    assert memory.to_render("thabo") is tracker
    assert memory.to_render("sipho") is None


async def test_after_a_turn_the_newest_tracker_is_rendered_with(store: SQLTrackerStore) -> None:
    """The turn's task goes on, and so does its tracker: it must not hide what was written since."""
    tracker, one = await turn_under_way(store), access(store)
    await one.save(tracker)
    note_stored(tracker)
    assert one.in_memory.to_render("thabo") is tracker
    resumed = await store.retrieve("thabo")
    assert resumed is not None
    resumed.update(ConversationResumed())
    await one.save(resumed)
    assert one.in_memory.to_render("thabo") is resumed
    resumed.update(UserUttered("a", metadata={**MARK, "handoff_message_id": "m-0"}))
    await one.save(resumed)
    assert await one.append(tracker_of(UserUttered("b", metadata=MARK)), '"handoff_entry": ', '"m-1"')
    assert one.in_memory.to_render("thabo") is None


async def test_a_tracker_of_two_sessions_has_the_slots_of_the_last(store: SQLTrackerStore) -> None:
    one, tracker = access(store), tracker_of(*session("hello"), *session("back again"))
    await one.save(tracker)
    assert one.in_memory.to_render("thabo") is tracker


# What is known without a tracker

CHANGES: tuple[type[Event], ...] = (ConversationPaused, ConversationResumed, Restarted, SessionStarted)


@pytest.mark.parametrize(
    "kinds", product(CHANGES, repeat=2), ids=lambda kinds: "-".join(kind.type_name for kind in kinds)
)
async def test_a_paused_tracker_is_known_by_its_latest_event(
    store: SQLTrackerStore, kinds: tuple[type[Event], ...]
) -> None:
    await store.save(tracker_of(*session("hello"), *(kind() for kind in kinds), UserUttered("hello")))
    tracker = await store.retrieve("thabo")
    assert tracker is not None
    assert await access(store).ask_in_time(may_be_paused, "thabo") is tracker.is_paused()


async def test_what_a_turn_took_back_is_read(store: SQLTrackerStore) -> None:
    assert await access(store).ask_in_time(may_be_paused, "thabo") is False
    await store.save(tracker_of(*session("hello"), ConversationResumed(), UserUtteranceReverted()))
    assert await access(store).ask_in_time(may_be_paused, "thabo") is True


async def test_a_conversation_is_known_by_one_event(store: SQLTrackerStore) -> None:
    assert await access(store).ask_in_time(is_known, "thabo") is False
    await store.save(tracker_of(ActionExecuted("action_listen")))
    assert await access(store).ask_in_time(is_known, "thabo") is True
    assert await access(store).ask_in_time(is_known, "thab") is False


async def test_another_store_is_not_asked() -> None:
    store = InMemoryTrackerStore(Domain.empty())
    assert await access(store).ask_in_time(is_known, "thabo") is None


@pytest.mark.parametrize(
    ("variations", "shows"),
    [
        ([{"text": "Hello."}], False),
        ([{"text": "You are number {position}."}], False),
        ([{"text": "You are number {position}, {name}."}], True),
        ([{"text": "Hello."}, {"text": "Hello, {name}.", "channel": "rest"}], True),
        ([{"text": "Hello.", "buttons": [{"title": "I'm {name}", "payload": "/greet"}]}], True),
        ([{"text": "Hello.", "condition": [{"type": "slot", "name": "name", "value": "Thabo"}]}], True),
        ([{"custom": {"a": [{"b": "{name}"}]}}], True),
    ],
)
def test_a_response_that_shows_no_slot_needs_no_tracker(variations: list[dict[str, Any]], shows: bool) -> None:
    nlg = TemplatedNaturalLanguageGenerator({"utter_queued": variations})
    assert shows_slots(nlg, "utter_queued", {"position": 1}) is shows


def test_a_generator_of_the_projects_own_gets_the_tracker() -> None:
    class Own(TemplatedNaturalLanguageGenerator):
        pass

    assert shows_slots(Own({"utter_queued": [{"text": "Hello."}]}), "utter_queued", {})
    assert shows_slots(CallbackNaturalLanguageGenerator(EndpointConfig("http://127.0.0.1")), "utter_queued", {})


def test_types_of_events_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[Any] = []
    found = Event.resolve_by_type
    monkeypatch.setattr(
        Event, "resolve_by_type", staticmethod(lambda *given: (searches.append(given), found(*given))[1])
    )
    event_types.PATCHES.apply()
    try:
        assert [Event.resolve_by_type("user") for _ in range(2)] == [UserUttered, UserUttered]
        assert [Event.resolve_by_type("unheard", SessionStarted) for _ in range(2)] == [SessionStarted] * 2
        with pytest.raises(ValueError, match="unheard"):
            Event.resolve_by_type("unheard")
    finally:
        event_types.PATCHES.restore()
    assert [name for name, *_ in searches] == ["user", "unheard", "unheard", "unheard"]
