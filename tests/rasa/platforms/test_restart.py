"""What a platform's channel knows after a restart of Rasa, on SQLite and on Postgres."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms import kommunicate_caller
from tests.rasa.platforms.kommunicate_caller import Kommunicate
from tests.rasa.platforms.late_messages import late_messages
from tests.rasa.platforms.liveperson import liveperson_caller
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, text_event
from tests.rasa.platforms.rest_api import RestApi

Start = Callable[..., AbstractAsyncContextManager[RasaServer]]


@pytest.fixture
def kommunicate_at(platform_model: Path, tmp_path: Path, database_url: str) -> Start:
    """Start Rasa with KommunicateChannel; each time it is the same project."""
    return lambda **more: RasaServer(
        platform_model, tmp_path, kommunicate_caller.settings(database=database_url, **more)
    )


@pytest.fixture
def liveperson_at(platform_model: Path, tmp_path: Path, database_url: str) -> Start:
    """Start Rasa with LivePersonChannel; each time it is the same project."""
    return lambda **more: RasaServer(
        platform_model, tmp_path, liveperson_caller.settings(database=database_url, **more)
    )


async def test_a_call_that_comes_again_has_the_same_answer_and_one_turn(kommunicate_at: Start) -> None:
    async with kommunicate_at() as rasa:
        asked = [Kommunicate(rasa).body(text) for text in ("/suggest", "/catalogue", "/give_up")]
        answers = [await Kommunicate(rasa).call(body) for body in asked]
    async with kommunicate_at() as rasa:
        kommunicate = Kommunicate(rasa)
        assert [await kommunicate.call(body) for body in asked] == answers
        assert len(await kommunicate.user_events()) == 3
        assert await kommunicate.texts("hello") == ["Hello."], "the bot has it again"


async def test_what_the_desk_was_asked_for_is_not_asked_for_again(kommunicate_at: Start, api: RestApi) -> None:
    async with kommunicate_at(api_key="key", api_url=api.url) as rasa:
        kommunicate = Kommunicate(rasa)
        asked = kommunicate.body(kommunicate.will_say({"text": "Bye.", "custom": {"handoff_close": True}}))
        answer = await kommunicate.call(asked)
        calls = len(api.calls)
    async with kommunicate_at(api_key="key", api_url=api.url) as rasa:
        assert await Kommunicate(rasa).call(asked) == answer
        assert len(api.calls) == calls == 2


async def test_what_came_too_late_goes_out_with_the_next_answer(kommunicate_at: Start) -> None:
    async with kommunicate_at(answer_seconds=1.0) as rasa:
        kommunicate = Kommunicate(rasa)
        asked = kommunicate.body("/give_up")
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await kommunicate.call(asked) == []
        await eventually(lambda: late_messages(rasa))
    async with kommunicate_at() as rasa:
        kommunicate = Kommunicate(rasa)
        assert await kommunicate.call(asked) == []
        (reply,) = await kommunicate.say("are you there?")
        assert (reply["message"], reply["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})
        assert (await rasa.tracker("4711"))["paused"]
        assert await kommunicate.texts("hello") == ["Hello."], "handed over once"


async def test_what_the_bot_says_outside_a_call_goes_out_with_the_next_answer(liveperson_at: Start) -> None:
    async with liveperson_at() as rasa:
        liveperson = LivePerson(rasa)
        asked = liveperson.payload("hello")
        assert (await liveperson.call(asked))["messages"] == ["Hello."]
        liveperson.will_say({"text": "Are you still there?", "buttons": [{"title": "Yes", "payload": "/greet"}]})
        url = f"{rasa.url}/conversations/c-1/trigger_intent?output_channel=latest"
        async with rasa.http.post(url, json={"name": "native"}) as triggered:
            assert triggered.status == 200
    async with liveperson_at() as rasa:
        liveperson = LivePerson(rasa)
        assert (await liveperson.call(asked))["messages"] == ["Hello."]
        reminded, said = await liveperson.messages("hello")
        assert reminded["structuredContent"]["quickReplies"]["replies"][0]["title"] == "Yes"
        assert said == "Hello."


async def test_a_whole_answer_of_livepersons_is_repeated(liveperson_at: Start) -> None:
    async with liveperson_at(transfer_note=True) as rasa:
        liveperson = LivePerson(rasa)
        asked = [liveperson.payload(text) for text in ("/suggest", "/catalogue", "/give_up")]
        answers = [await liveperson.call(body) for body in asked]
        assert answers[-1]["context"]["action"] == "TRANSFER"
    async with liveperson_at(transfer_note=True) as rasa:
        assert [await LivePerson(rasa).call(body) for body in asked] == answers


async def test_livepersons_attributes_are_known(liveperson_at: Start) -> None:
    sdes = {"authenticated": {"customerId": "77"}}
    async with liveperson_at() as rasa:
        assert await LivePerson(rasa).create({"sdes": sdes, "context": {}}) == 201
    async with liveperson_at() as rasa:
        liveperson = LivePerson(rasa)
        event = {"type": "TEXT", "data": {"message": "hello"}, "context": {"lpEvent": text_event("hello")}}
        status, _ = await liveperson.request("POST", f"{liveperson.conversation()}/events", event)
        assert status == 200, "not 404: nothing has to be created again"
        (said,) = await liveperson.user_events()
        assert said["metadata"]["liveperson"]["attributes"] == sdes
        assert await liveperson.create({"sdes": sdes}) == 409


async def test_a_handoff_that_the_tracker_store_did_not_take_is_known(kommunicate_at: Start) -> None:
    async with kommunicate_at() as rasa:
        await Kommunicate(rasa).say("hello")
        with away(rasa):
            assert (await Kommunicate(rasa).say("/give_up"))[0]["metadata"] == {"KM_ASSIGN_TO": ""}
            await rasa.channel.conversations.later.close()  # the process ends before the store is back
    async with kommunicate_at() as rasa:
        await eventually(lambda: is_paused(rasa))
        kommunicate = Kommunicate(rasa)
        assert [event["text"] for event in await kommunicate.user_events()] == ["hello", "/give_up"]
        assert await kommunicate.texts("hello") == ["Hello."]
        assert (await rasa.tracker("4711"))["slots"]["handoff_outcome"] == "resolved"


async def is_paused(rasa: RasaServer) -> bool:
    return bool((await rasa.tracker("4711"))["paused"])


@contextmanager
def away(rasa: RasaServer) -> Iterator[None]:
    """Keep the tracker store away."""

    def fail() -> Any:
        raise ConnectionError("The tracker store is away.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rasa.app.ctx.agent.tracker_store._tracker_store, "session_scope", fail)
        yield


@pytest.mark.sqlite
async def test_two_channels_share_one_file(platform_model: Path, tmp_path: Path) -> None:
    both = {**kommunicate_caller.settings(), **liveperson_caller.settings()}
    for _ in range(2):
        async with RasaServer(platform_model, tmp_path, both) as rasa:
            assert await Kommunicate(rasa).texts("hello") == await LivePerson(rasa).messages("hello") == ["Hello."]
    assert (tmp_path / "handoff-platform.db").stat().st_mode & 0o777 == 0o600
