"""How often a turn reads the tracker: as often as Rasa does for it, and once more for what a handoff writes into it."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.events import (
    ActionExecuted,
    ConversationPaused,
    ConversationResumed,
    Event,
    FollowupAction,
    SessionStarted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel import trackers_in_memory
from rasa_handoff.channel.compat.processor import predict_next
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials

CountReads = Callable[[RasaServer], list[str]]
"""Counts what a server reads: returns the conversations whose tracker was read, in order."""


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> CountReads:
    def count(rasa: RasaServer) -> list[str]:
        counted: list[str] = []
        store = stored(rasa)
        real = store._retrieve

        async def counting(sender_id: str, **more: Any) -> Any:
            counted.append(sender_id)
            return await real(sender_id, **more)

        monkeypatch.setattr(store, "_retrieve", counting)
        return counted

    return count


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeskServer]:
    async with DeskServer(tmp_path) as server:
        yield server


@pytest.fixture
async def agent(desk: DeskServer) -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent(desk.url, desk.add_agent("Thandi")) as agent:
        yield agent


@pytest.fixture
async def rasa(small_model: Path, tmp_path: Path, desk: DeskServer, agent: ScriptedAgent) -> AsyncIterator[RasaServer]:
    """A bot with an agent at the desk."""
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        yield rasa


@pytest.fixture
def reads(rasa: RasaServer, count_reads: CountReads) -> list[str]:
    return count_reads(rasa)


@pytest.fixture
def nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every tracker have been saved long ago."""
    monkeypatch.setattr(trackers_in_memory, "RECENT_SECONDS", -1.0)


def stored(rasa: RasaServer) -> Any:
    return rasa.app.ctx.agent.tracker_store._tracker_store


def is_waiting(rasa: RasaServer) -> bool:
    return rasa.channel.relay.conversation("thabo").state is Control.WAITING


async def talked(rasa: RasaServer, *more: Callable[[], Event]) -> None:
    """Store a conversation that no process has looked at since its start."""
    tracker = DialogueStateTracker("thabo", [])
    listens = partial(ActionExecuted, "action_listen")
    for make in (partial(ActionExecuted, "action_session_start"), SessionStarted, listens, *more):
        tracker.update(make())
    await stored(rasa).save(tracker)


async def test_plain_rasa_reads_it_once(small_model: Path, tmp_path: Path, count_reads: CountReads) -> None:
    """The reference of the tests below."""
    async with RasaServer(small_model, tmp_path, {"rest": None}) as plain:
        reads = count_reads(plain)
        for _ in range(2):
            assert await plain.texts("hello") == ["Hello."]
        assert reads == ["thabo"] * 2


async def test_an_ordinary_turn_reads_it_once(rasa: RasaServer, reads: list[str]) -> None:
    """Also the first one, which looks for a handoff that the relay has forgotten."""
    for _ in range(2):
        assert await rasa.texts("hello") == ["Hello."]
    assert reads == ["thabo"] * 2


async def test_the_first_turn_since_the_start_reads_it_once(rasa: RasaServer, reads: list[str]) -> None:
    await talked(rasa, ConversationPaused, ConversationResumed)
    assert await rasa.texts("hello") == ["Hello."]
    assert reads == ["thabo"]


async def test_a_pause_is_read_to_know_whose_it_is(rasa: RasaServer, reads: list[str]) -> None:
    asks = partial(UserUttered, "/execute_handoff", {"name": "execute_handoff"})
    await talked(rasa, asks, ConversationPaused)
    assert await rasa.texts("hello") == ["Hello."], "nobody has the conversation: the bot goes on"
    assert reads == ["thabo"] * 3, "the look at the pause, its end, and Rasa for the turn"


@pytest.mark.parametrize("before", [["hello"], []], ids=["later", "first of all"])
async def test_a_turn_that_shows_the_options_reads_it_once(
    rasa: RasaServer, reads: list[str], before: list[str]
) -> None:
    for text in before:
        await rasa.texts(text)
    del reads[:]
    answers = await rasa.say("/provide_handoff_options")
    assert any(answer.get("buttons") for answer in answers)
    assert reads == ["thabo"]


@pytest.mark.parametrize("before", [["hello"], []], ids=["later", "first of all"])
async def test_options_in_a_turn_show_what_it_has_just_heard(
    rasa: RasaServer, reads: list[str], before: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are shown before Rasa saves the tracker. Every text fills the slot ``last_words``."""
    responses = rasa.app.ctx.agent.processor.nlg.responses
    monkeypatch.setitem(responses, "utter_greet", [{"text": "Hello.", "custom": {"handoff_options": {}}}])
    monkeypatch.setitem(responses, "utter_handoff_carry_on", [{"text": "You said {last_words}"}])
    for text in before:
        await rasa.texts(text)
    del reads[:]
    (shown,) = await rasa.say("/greet")
    assert shown["buttons"][-1]["title"] == "You said /greet"
    assert reads == ["thabo"]


@pytest.mark.parametrize("before", [["hello"], []], ids=["later", "first of all"])
async def test_a_handoff_reads_it_for_its_turn_and_for_the_pause(
    rasa: RasaServer, reads: list[str], before: list[str]
) -> None:
    for text in before:
        await rasa.texts(text)
    del reads[:]
    texts = await rasa.texts("/execute_handoff")
    assert texts, "the customer hears that they wait"
    assert is_waiting(rasa)
    await rasa.channel.relay.flush("tracker", "thabo")
    assert reads == ["thabo"] * 2, "Rasa for the turn, and the pause"
    assert (await stored(rasa).retrieve("thabo")).is_paused()


async def test_a_pushed_notice_of_a_handoff_reads_it_no_more(
    rasa: RasaServer, reads: list[str], agent: ScriptedAgent
) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await page.say("/execute_handoff")
        await eventually(lambda: page.messages, what="the notice that they wait")
        assert (await agent.take_next())["short_id"] == short_id("thabo")
        await rasa.channel.relay.flush("tracker", "thabo")
    assert reads == ["thabo"] * 2, "Rasa for the turn, and the pause"


@pytest.mark.usefixtures("nothing_in_memory")
async def test_a_live_chat_reads_it_for_the_return_alone(
    rasa: RasaServer, reads: list[str], agent: ScriptedAgent
) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await page.say("/execute_handoff")
        handoff_id = str((await agent.take_next())["handoff_id"])
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
        await rasa.channel.relay.flush("tracker", "thabo")
        del reads[:]
        await page.say("are you there")
        await agent.hears("message", text="are you there")
        await agent.say(handoff_id, "Here I am.")
        await page.hears("Here I am.")
        await rasa.channel.relay.flush("tracker", "thabo")
        assert reads == []
        await agent.resolve(handoff_id)
        await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
        await rasa.channel.relay.flush("customer", "thabo")
    assert reads == ["thabo"]


@pytest.mark.parametrize(("followup", "expected"), [(None, "utter_greet"), ("utter_things", "utter_things")])
async def test_a_look_at_what_the_bot_would_say_leaves_the_tracker_as_it_was(
    rasa: RasaServer, monkeypatch: pytest.MonkeyPatch, followup: str | None, expected: str
) -> None:
    """It looks at the tracker itself: a copy of a long one takes more than the prediction."""
    await rasa.texts("hello")
    processor = rasa.app.ctx.agent.processor
    tracker = await processor.get_tracker("thabo")
    tracker.update(UserUttered("hello", {"name": "greet", "confidence": 1.0}))
    if followup is not None:
        tracker.update(FollowupAction(followup))
    before, slots, copies = [event.as_dict() for event in tracker.events], tracker.current_slot_values(), 0
    copy = DialogueStateTracker.copy

    def counted(copied: DialogueStateTracker) -> DialogueStateTracker:
        nonlocal copies
        copies += copied is tracker
        return copy(copied)

    monkeypatch.setattr(DialogueStateTracker, "copy", counted)
    for _ in range(2):
        action, _ = predict_next(processor, tracker)
        assert (action, tracker.followup_action) == (expected, followup)
    assert [event.as_dict() for event in tracker.events] == before
    assert tracker.current_slot_values() == slots
    assert copies == 0
