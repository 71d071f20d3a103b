"""A project's own actions on a platform: they revert, restart and pause as they like, and say things in odd shapes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.platforms import Customer, FarPlatform
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.handoff.test_database import NOT_TAKEN
from tests.rasa.platforms.test_contract import Endpoint, Function, Kommunicate
from tests.support.scripted_actions import ActionServer

MARKER: dict[str, Any] = {"text": "Passing you on.", "custom": {"handoff": {"department": "billing"}}}
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
    "words": [{"event": "user", "text": "hello", "parse_data": {"intent": {"name": "greet"}}}],
}


@pytest.fixture
async def actions() -> AsyncIterator[ActionServer]:
    async with ActionServer() as server:
        yield server


@pytest.fixture(params=[Kommunicate, Function, Endpoint])
def far(request: pytest.FixtureRequest) -> FarPlatform:
    return request.param()


@pytest.fixture
async def rasa(
    far: FarPlatform, platform_model: Path, tmp_path: Path, actions: ActionServer
) -> AsyncIterator[RasaServer]:
    async with RasaServer(platform_model, tmp_path, {far.channel: far.settings()}, actions.endpoints) as server:
        yield server


async def test_a_marker_hands_over_whatever_its_turn_does_to_the_tracker(
    far: FarPlatform, rasa: RasaServer, actions: ActionServer
) -> None:
    for name, events in TURNS.items():
        customer = Customer(far, rasa, name)
        assert (await customer.says("hello")).texts == ("Hello.",)
        actions.will(MARKER, events=events)
        replies = await customer.says("/remind", id=f"{name}-asks")
        assert (name, replies.to) == (name, far.billing)
        assert "Passing you on." in replies.texts
        assert (await customer.tracker())["paused"], name
        assert (await customer.says("/remind", id=f"{name}-asks")).to == far.billing, "the call comes again"
        assert (await customer.says("hello")).texts[-1] == "Hello.", name
        assert not (await customer.tracker())["paused"], name


async def test_a_pause_of_the_projects_own_stays_one(far: FarPlatform, rasa: RasaServer, actions: ActionServer) -> None:
    customer = Customer(far, rasa, "thabo")
    actions.will({"text": "One moment."}, events=["pause"])
    assert (await customer.says("/remind")).texts == ("One moment.",)
    for _ in range(2):
        assert (await customer.says("hello")).texts == ()
    assert (await customer.tracker())["paused"]


async def test_buttons_that_are_texts_are_shown_and_can_be_pressed(
    far: FarPlatform, rasa: RasaServer, actions: ActionServer
) -> None:
    customer = Customer(far, rasa, "thabo")
    actions.will({"text": "Sure?", "buttons": ["Yes", {"title": "No", "payload": "/greet"}]})
    assert (await customer.says("/remind")).titles == ("Yes", "No")
    assert (await customer.says("No")).texts == ("Hello.",)
    actions.will({"text": "Sure?", "buttons": ["Hello", None, 5]})
    await customer.says("/remind")
    await customer.says("Hello")
    assert (await customer.messages())[-1] == "Hello"


async def test_an_action_that_fails_without_a_word_is_told(
    far: FarPlatform, rasa: RasaServer, actions: ActionServer
) -> None:
    customer = Customer(far, rasa, "thabo")
    actions.will(status=500)
    assert (await customer.says("/remind")).texts == (NOT_TAKEN,)
    actions.will({"text": "Done."})
    assert (await customer.says("/remind")).texts == ("Done.",)


async def test_a_message_of_any_shape_arrives(far: FarPlatform, rasa: RasaServer, actions: ActionServer) -> None:
    customer = Customer(far, rasa, "thabo")
    for odd in (0, 4.5, True, ["red", 2], {"colour": "red"}):
        await customer.says(odd)
    assert await customer.messages() == ["0", "4.5", "true", '["red", 2]', '{"colour": "red"}']
