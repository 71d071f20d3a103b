"""A project's own actions: they pause, revert and restart as they like, and a handoff comes of a marker all the same."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import is_paused
from tests.support.scripted_actions import ActionServer

MARKER: dict[str, Any] = {"text": "Passing you on.", "custom": {"handoff": {"reason": "asked"}}}
WRONG: dict[str, Any] = {"text": "Passing you on.", "custom": {"handoff": {"departmnt": "billing"}}}


@pytest.fixture
async def actions() -> AsyncIterator[ActionServer]:
    async with ActionServer() as server:
        yield server


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, actions: ActionServer, tmp_path: Path) -> AsyncIterator[RasaServer]:
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own, actions.endpoints) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def staffed(rasa: RasaServer) -> None:
    """Wait until the relay has heard that an agent is there."""
    desk = rasa.channel.desk
    await eventually(lambda: desk.availability is not None and desk.availability.staffed)


async def goes_on(rasa: RasaServer, sender: str) -> None:
    """Check that the bot answers what is said next, and what is said after it."""
    assert await rasa.texts("hello", sender) == ["Hello."]
    assert await rasa.texts("I want to move", sender) == ["Which street?"]
    assert (await rasa.texts("/restart", sender), await rasa.texts("hello", sender)) == ([], ["Hello."])


async def test_the_bot_goes_on_after_a_pause_of_which_nothing_came(rasa: RasaServer, actions: ActionServer) -> None:
    """An action pauses with its marker, as plain Rasa's recipe has it, and nobody is there; or its marker can't be read."""
    expected = {"nobody": (MARKER, "Passing you on."), "wrong": (WRONG, "I can't pass you on to a person for this")}
    for name, (response, text) in expected.items():
        actions.will(response, events=["pause"])
        assert text in "\n".join(await rasa.texts("/act", name))
        await goes_on(rasa, name)


async def test_a_project_that_pauses_by_itself_stays_paused(
    rasa: RasaServer, actions: ActionServer, thandi: ScriptedAgent
) -> None:
    """Whoever pauses without a handoff has a reason, and resumes."""
    await staffed(rasa)
    actions.will({"text": "One moment."}, events=["pause"])
    assert await rasa.texts("/act") == ["One moment."]
    for _ in range(3):
        assert await rasa.texts("hello") == []
    assert (await rasa.tracker())["paused"]
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/tracker/events", json={"event": "resume"}) as answer:
        assert answer.status == 200
    assert await rasa.texts("hello") != []


async def test_a_pause_of_the_projects_own_outlives_a_restart(
    rasa: RasaServer, actions: ActionServer, thandi: ScriptedAgent
) -> None:
    actions.will({"text": "One moment."}, events=["pause"])
    await rasa.texts("/act")
    own, folder, model, endpoints = rasa.credentials, rasa.folder, rasa.model, rasa.endpoints
    await rasa.__aexit__(None, None, None)
    async with RasaServer(model, folder, own, endpoints) as again:
        assert await again.texts("hello") == []
        assert await again.texts("hello") == []
    await rasa.__aenter__()


TURNS: dict[str, list[Any]] = {
    "nothing": [],
    "revert": ["rewind"],
    "restart": ["restart"],
    "session": ["session_started"],
    "restart-and-session": ["restart", "session_started", {"event": "action", "name": "action_listen"}],
    "reset": ["reset_slots"],
    "pause": ["pause"],
    "pause-and-revert": ["pause", "rewind"],
    "revert-and-pause": ["rewind", "pause"],
    "resume": ["resume"],
    "words-of-its-own": [{"event": "user", "text": "hello", "parse_data": {"intent": {"name": "greet"}}}],
    "follow-up": [{"event": "followup", "name": "utter_greet"}],
}


async def test_a_marker_hands_over_whatever_its_turn_does_to_the_tracker(
    rasa: RasaServer, actions: ActionServer, thandi: ScriptedAgent
) -> None:
    """And the agent sees what was said before it."""
    await staffed(rasa)
    for name, events in TURNS.items():
        await rasa.texts("hello", name)
        actions.will(MARKER, events=events)
        await rasa.texts("/act", name)
        assert rasa.channel.relay.silences_bot(name), name
        await eventually(lambda name=name: is_paused(rasa, name), what=f"the pause of {name}")
        conversation = await thandi.take_next()
        assert conversation["short_id"] == short_id(name)
        reported = [(line["speaker"], line["text"]) for line in conversation["transcript"]]
        assert reported[:2] == [("customer", "hello"), ("bot", "Hello.")], name
        answer = await thandi.ask(
            "resolve", handoff_id=conversation["handoff_id"], outcome="resolved", note=None, slots={}
        )
        assert answer["ok"], answer
        await eventually(lambda name=name: not rasa.channel.relay.silences_bot(name))
        assert (await rasa.texts("hello", name))[-1] == "Hello.", name
