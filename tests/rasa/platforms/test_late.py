"""A bot that isn't done when the answer has to go out: the rest follows, by the next answer or by Kommunicate's REST API."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rasa.core.processor import MessageProcessor

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.test_database import NOT_TAKEN
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings
from tests.rasa.platforms.late_messages import keep_late, late_messages
from tests.rasa.platforms.rest_api import RestApi


async def say_too_late(
    kommunicate: Kommunicate, text: str, done: Callable[[], Any] | Callable[[], Awaitable[Any]]
) -> None:
    """The turn takes longer than the answer may: somebody else has Rasa's lock."""
    async with kommunicate.rasa.app.ctx.agent.lock_store.lock("4711"):
        assert await kommunicate.say(text) == []
    await eventually(done)
    await eventually(lambda: not kommunicate.rasa.channel._answering.work._under_way)


async def test_it_goes_out_with_the_next_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/suggest", lambda: late_messages(rasa))
        replies = await kommunicate.texts("/handoff_carry_on")
        assert replies[:2] == [
            "A message can be simple as a plain text",
            "A message can be a actionable message containing metadata",
        ]
        assert "simple" not in str(await late_messages(rasa)), "once"


async def test_a_handoff_takes_effect_with_the_next_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/give_up", lambda: late_messages(rasa))
        (reply,) = await kommunicate.say("are you there?")
        assert (reply["message"], reply["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})
        assert (await rasa.tracker("4711"))["paused"], "only now the platform knows whose it is"


async def test_it_is_said_by_the_api_at_once(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/suggest", lambda: len(api.calls) == 2)
        assert api.said[0] == "A message can be simple as a plain text"
        last = api.calls[-1]
        assert (last.path, last.user) == ("/rest/ws/message/v2/send", "shop-bot")
        assert (last.body["groupId"], last.body["metadata"]["templateId"]) == (4711, "6")
        assert not await late_messages(rasa)


async def test_a_handoff_to_an_agent_is_an_assignment(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        await say_too_late(Kommunicate(rasa), "/thandi_please", lambda: len(api.calls) == 2)
        assert api.said == ["I'll fetch Thandi."]
        assert "metadata" not in api.calls[0].body
        assert api.assignees == {"4711": "thandi@example.com"}
        assert not await late_messages(rasa)


async def test_a_handoff_to_a_team_waits_for_the_next_answer(
    platform_model: Path, tmp_path: Path, api: RestApi
) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/silently", lambda: late_messages(rasa))
        assert len(api.said) == 1
        assert await kommunicate.say("hello") == [{"message": "", "metadata": {"KM_ASSIGN_TEAM": "77"}}]


async def test_what_the_api_refuses_waits_for_the_next_answer(
    platform_model: Path, tmp_path: Path, api: RestApi
) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    api.refuse(503, 503, 503)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/give_up", lambda: late_messages(rasa))
        (reply,) = await kommunicate.say("hello")
        assert (reply["message"], reply["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})
        assert len(api.calls) == 3, "tried, and not for ever"


async def test_what_works_a_moment_later_is_said_once(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    api.refuse(503, 429)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        await say_too_late(Kommunicate(rasa), "/greet", lambda: api.said)
        assert (api.said, len(api.calls)) == (["Hello."], 3)
        assert not await late_messages(rasa)


@pytest.mark.parametrize("refusal", [504, 0])
async def test_a_message_that_may_have_been_taken_is_not_sent_again(
    platform_model: Path, tmp_path: Path, api: RestApi, refusal: int
) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    api.refuse(refusal)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        await say_too_late(Kommunicate(rasa), "/greet", lambda: late_messages(rasa))
        assert len(api.calls) == 1


async def test_an_engaged_agent_gets_it_by_the_next_answer(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    api.engaged.add("thandi@example.com")
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/thandi_please", lambda: late_messages(rasa))
        assert api.said == ["I'll fetch Thandi."]
        assert await kommunicate.say("hello") == [{"message": "", "metadata": {"KM_ASSIGN_TO": "thandi@example.com"}}]


async def test_nothing_late_is_lost_when_the_next_answer_is_late_too(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await kommunicate.say("/give_up") == []
            assert await kommunicate.say("are you there?") == []
        await eventually(lambda: not rasa.channel._answering.work._under_way)
        (reply,) = await kommunicate.say("hello?")
        assert (reply["message"], reply["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})


async def test_a_call_that_comes_again_takes_nothing_that_waits(kommunicate: Kommunicate) -> None:
    asked = kommunicate.body("hello")
    await kommunicate.call(asked)
    left_words = [{"message": "Welcome."}]
    await keep_late(kommunicate.rasa, "4711", left_words)
    assert await kommunicate.call(asked) == [{"message": "Hello."}]
    assert await kommunicate.texts("hello") == ["Welcome.", "Hello."]


async def test_the_call_whose_answer_hands_over_late_may_come_again(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/give_up", lambda: late_messages(rasa))
        asked = kommunicate.body("are you there?")
        replies = await kommunicate.call(asked)
        assert replies[0]["metadata"] == {"KM_ASSIGN_TO": ""}
        assert await kommunicate.call(asked) == replies
    async with RasaServer(platform_model, tmp_path, settings()) as rasa:
        assert await Kommunicate(rasa).call(asked) == replies, "after a restart too"
        assert (await rasa.tracker("4711"))["paused"]


async def test_what_came_too_late_is_not_in_the_repeated_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        asked = kommunicate.body("/give_up")
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await kommunicate.call(asked) == []
        await eventually(lambda: late_messages(rasa))
        assert await kommunicate.call(asked) == []
        assert (await kommunicate.say("are you there?"))[0]["metadata"] == {"KM_ASSIGN_TO": ""}
        assert await kommunicate.texts("hello") == ["Hello."], "handed over once"


async def test_what_the_api_has_said_is_not_in_the_repeated_answer(
    platform_model: Path, tmp_path: Path, api: RestApi
) -> None:
    own = settings(answer_seconds=1.0, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        asked = kommunicate.body("/greet")
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await kommunicate.call(asked) == []
        await eventually(lambda: not rasa.channel._answering.work._under_way)
        assert (api.said, await kommunicate.call(asked)) == (["Hello."], [])


async def test_what_was_given_before_the_turn_failed_is_not_said_again(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        await keep_late(rasa, "4711", [{"message": "Welcome."}])
        with pytest.MonkeyPatch.context() as patch:
            async with rasa.app.ctx.agent.lock_store.lock("4711"):
                assert await kommunicate.texts("hello") == ["Welcome."]
                patch.setattr(MessageProcessor, "log_message", None)
            await eventually(lambda: not rasa.channel._answering.work._under_way)
        assert await kommunicate.texts("hello") == [NOT_TAKEN, "Hello."], "what failed too late for its answer is said"


async def test_one_of_our_bots_that_was_to_get_it_is_no_person(kommunicate: Kommunicate) -> None:
    await keep_late(kommunicate.rasa, "4711", [{"message": "", "metadata": {"KM_ASSIGN_TO": "shop-bot"}}])
    assert (await kommunicate.texts("hello"))[-1] == "Hello."
