"""What was said in a live chat is added to the tracker without reading it, on a real SQL store; and never twice."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rasa.core.brokers.sql import SQLEventBroker
from rasa.core.tracker_store import InMemoryTrackerStore, SQLTrackerStore, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, AgentUttered, ConversationPaused, Event, SessionStarted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy import event

from rasa_handoff.channel.compat.tracker_store import access
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials

DOMAIN = Domain.empty()
MARK = '"handoff_entry": '
PAUSE = {"handoff_id": "h", "handoff_message_id": None, "handoff_entry": "pause"}


def said(id: str, text: str = "hello") -> UserUttered:
    return UserUttered(text, metadata={"handoff_id": "h", "handoff_message_id": id, "handoff_entry": "customer"})


def first(id: str) -> str:
    return f'"handoff_message_id": "{id}"'


def tracker_of(*events: Event) -> DialogueStateTracker:
    tracker = DialogueStateTracker("thabo", [])
    for one in events:
        tracker.update(one)
    return tracker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLTrackerStore]:
    one = SQLTrackerStore(DOMAIN, dialect="sqlite", db=str(tmp_path / "tracker.db"))
    yield one
    one.engine.dispose()


async def paused(store: TrackerStore) -> None:
    """Save a conversation whose handoff has begun."""
    await store.save(
        tracker_of(
            ActionExecuted("action_session_start"),
            SessionStarted(),
            ActionExecuted("action_listen"),
            UserUttered("a person, please"),
            ConversationPaused(metadata=PAUSE),
        )
    )


async def texts(store: TrackerStore) -> list[str]:
    tracker = await store.retrieve("thabo")
    assert tracker is not None
    return [one.text for one in tracker.events if isinstance(one, UserUttered | AgentUttered)]


async def test_new_events_are_added_without_reading_the_others(store: SQLTrackerStore) -> None:
    await paused(store)
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *about: statements.append(about[2]))
    assert await access(store).append(tracker_of(said("m-1"), said("m-2", "are you there")), MARK, first("m-1"))
    reads = [one for one in statements if one.startswith("SELECT")]
    assert len(reads) == 1
    assert "LIMIT" in reads[0]
    assert await texts(store) == ["a person, please", "hello", "are you there"]


async def test_what_was_perhaps_added_before_is_left_to_who_reads_the_tracker(store: SQLTrackerStore) -> None:
    await paused(store)
    one = access(store)
    assert await one.append(tracker_of(said("m-1"), said("m-2")), MARK, first("m-1"))
    assert not await one.append(tracker_of(said("m-1"), said("m-2")), MARK, first("m-1"))
    assert await texts(store) == ["a person, please", "hello", "hello"]


async def test_a_tracker_without_the_handoff_is_read(store: SQLTrackerStore) -> None:
    assert not await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))
    await store.save(tracker_of(ActionExecuted("action_listen"), UserUttered(f'he wrote {MARK}"customer"')))
    assert not await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))


async def test_a_projects_own_kind_of_the_store_writes_in_its_own_way(tmp_path: Path) -> None:
    """It overrides something else than reading and saving, such as how a session is opened."""
    opened: list[str] = []

    class Own(SQLTrackerStore):
        def session_scope(self) -> Any:
            opened.append("own")
            return super().session_scope()

    store = Own(DOMAIN, dialect="sqlite", db=str(tmp_path / "own.db"))
    await paused(store)
    opened.clear()
    assert await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))
    assert opened == ["own", "own"], "to look for a copy, and to write"
    assert await texts(store) == ["a person, please", "hello"]
    store.engine.dispose()


async def test_another_store_is_read() -> None:
    store = InMemoryTrackerStore(DOMAIN)
    await paused(store)
    assert not await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))


async def test_the_event_broker_gets_what_is_new_once(tmp_path: Path) -> None:
    broker = SQLEventBroker(dialect="sqlite", db=str(tmp_path / "broker.db"))
    store = SQLTrackerStore(DOMAIN, dialect="sqlite", db=str(tmp_path / "tracker.db"), event_broker=broker)
    await paused(store)
    assert await access(store).append(tracker_of(said("m-1"), said("m-2")), MARK, first("m-1"))
    with broker.session_scope() as session:
        assert session.query(broker.SQLBrokerEvent).count() == 7
    store.engine.dispose()
    broker.engine.dispose()


async def test_a_store_that_can_not_be_written_is_unreachable_and_has_nothing(store: SQLTrackerStore) -> None:
    await paused(store)

    def refuse(*about: Any) -> None:
        if about[2].startswith("INSERT"):
            raise OSError("disk full")

    event.listen(store.engine, "before_cursor_execute", refuse)
    with pytest.raises(Unreachable, match="disk full"):
        await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))
    event.remove(store.engine, "before_cursor_execute", refuse)
    assert await access(store).append(tracker_of(said("m-1")), MARK, first("m-1"))
    assert await texts(store) == ["a person, please", "hello"]


@pytest.fixture
async def live(small_model: Path, tmp_path: Path) -> AsyncIterator[tuple[RasaServer, ScriptedAgent, str]]:
    """A live chat of Thabo's on rest with Thandi, and its handoff's id."""
    server = DeskServer(tmp_path)
    email = server.add_agent("Thandi")
    async with (
        server,
        RasaServer(small_model, tmp_path, credentials(server.url, tmp_path)) as rasa,
        ScriptedAgent(server.url, email) as thandi,
    ):
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        await rasa.texts("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await eventually(lambda: rasa.channel.relay.conversation("thabo").state is Control.LIVE)
        yield rasa, thandi, handoff_id


async def in_tracker(rasa: RasaServer) -> Sequence[Event]:
    tracker = await rasa.app.ctx.agent.tracker_store.retrieve_full_tracker("thabo")
    return list(tracker.events)


async def test_a_live_chat_costs_no_reading_of_the_tracker_and_is_whole_in_it(
    live: tuple[RasaServer, ScriptedAgent, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rasa, thandi, handoff_id = live
    relay = rasa.channel.relay
    await rasa.texts("so you are Thandi")  # fetches the notices, which are rendered with the tracker's slots
    await relay.flush("tracker", "thabo")
    reads: list[str] = []
    store = rasa.app.ctx.agent.tracker_store._tracker_store
    real = store._retrieve

    async def counted(sender_id: str, **more: Any) -> Any:
        reads.append(sender_id)
        return await real(sender_id, **more)

    monkeypatch.setattr(store, "_retrieve", counted)
    for number in range(3):
        await rasa.texts(f"question {number}")
        assert (await thandi.say(handoff_id, f"answer {number}"))["ok"]
        await eventually(lambda: asyncio.ensure_future(relay.waiting_entries("customer", "thabo")))
    await relay.flush("tracker", "thabo")
    assert reads == []
    monkeypatch.undo()
    await rasa.texts("thank you")
    await thandi.resolve(handoff_id)
    await eventually(lambda: relay.conversation("thabo").state is Control.BOT)
    words = [one.text for one in await in_tracker(rasa) if isinstance(one, UserUttered | AgentUttered)]
    live_words = [text for text in words if text and text.startswith(("question", "answer", "thank"))]
    assert live_words == [*(f"{who} {n}" for n in range(3) for who in ("question", "answer")), "thank you"]
    assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_what_waited_for_a_turn_that_began_a_session_is_of_that_session(
    live: tuple[RasaServer, ScriptedAgent, str],
) -> None:
    rasa, *_ = live
    await rasa.channel.relay.flush("tracker", "thabo")
    agent, event = rasa.app.ctx.agent, said("m-9", "still there?")
    store = access(agent.tracker_store)
    async with agent.lock_store.lock("thabo"):
        waiting = asyncio.create_task(Bot(rasa.app).append("thabo", [event], MARK, first("m-9")))
        tracker = await store.retrieve("thabo")
        assert tracker is not None
        tracker.update(SessionStarted())
        await store.save(tracker)
    assert await waiting
    tracker = await store.retrieve("thabo")
    assert tracker is not None
    assert "still there?" in [one.text for one in tracker.events if isinstance(one, UserUttered)]


async def test_a_batch_that_was_written_and_comes_again_is_in_the_tracker_once(
    live: tuple[RasaServer, ScriptedAgent, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rasa, *_ = live
    relay = rasa.channel.relay
    await relay.flush("tracker", "thabo")
    assert relay._dispatcher is not None
    target: Any = relay._dispatcher._targets["tracker"]
    real, batches = target.deliver, []

    async def written_but_not_told(lane: str, entries: Any) -> Any:
        answer = await real(lane, entries)
        batches.append(len(entries))
        if len(batches) == 1:
            raise Unreachable("The process was killed before it could note that.")
        return answer

    monkeypatch.setattr(target, "deliver", written_but_not_told)
    for number in range(3):
        await rasa.texts(f"question {number}")
    await eventually(lambda: len(batches) > 1)
    await relay.flush("tracker", "thabo")
    words = [one.text for one in await in_tracker(rasa) if isinstance(one, UserUttered)]
    assert [text for text in words if text and text.startswith("question")] == [f"question {n}" for n in range(3)]
