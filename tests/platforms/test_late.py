"""A bot that isn't done when the answer has to go out: the rest follows, by the next answer or by Kommunicate's REST API."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from tests.platforms.caller import Kommunicate, settings
from tests.support.ports import free_port
from tests.support.rasa_server import RasaServer
from tests.support.waiting import until


class RestApi:
    """Stands in for services.kommunicate.io: notes the calls, answers with ``status``."""

    def __init__(self, port: int) -> None:
        self.url, self.status = f"http://127.0.0.1:{port}", 200
        self.calls: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        heads = (request.headers["Api-Key"], request.headers["Of-User-Id"])
        self.calls.append({"path": request.path, "heads": heads, "body": body, "query": dict(request.query)})
        return web.json_response({}, status=self.status)

    def said(self) -> list[str]:
        return [call["body"]["message"] for call in self.calls if call["path"].endswith("/send")]


@pytest.fixture
async def api() -> AsyncIterator[RestApi]:
    port = free_port()
    stand_in, app = RestApi(port), web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield stand_in
    await runner.cleanup()


async def say_too_late(kommunicate: Kommunicate, text: str, done: Callable[[], Any]) -> None:
    """The turn takes longer than the answer may: somebody else has Rasa's lock."""
    async with kommunicate.rasa.app.ctx.agent.lock_store.lock("4711"):
        assert await kommunicate.say(text) == []
    await until(done)
    await until(lambda: not kommunicate.rasa.channel._work._under_way)


def left(rasa: RasaServer) -> Any:
    return rasa.channel._answers._late


async def test_it_goes_out_with_the_next_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=0.2)) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/suggest", lambda: left(rasa))
        told = await kommunicate.texts("/handoff_carry_on")
        assert told[:2] == [
            "A message can be simple as a plain text",
            "A message can be a actionable message containing metadata",
        ]
        assert not left(rasa) or "simple" not in str(left(rasa)), "once"


async def test_a_handoff_takes_effect_with_the_next_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=0.2)) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/give_up", lambda: left(rasa))
        (told,) = await kommunicate.say("are you there?")
        assert (told["message"], told["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})
        assert (await rasa.tracker("4711"))["paused"], "only now the platform knows whose it is"


async def test_it_is_said_by_the_api_at_once(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=0.2, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/suggest", lambda: len(api.calls) == 2)
        assert api.said()[0] == "A message can be simple as a plain text"
        last = api.calls[-1]
        assert (last["path"], last["heads"]) == ("/rest/ws/message/v2/send", ("key", "shop-bot"))
        assert (last["body"]["groupId"], last["body"]["metadata"]["templateId"]) == (4711, "6")
        assert not left(rasa)


async def test_a_handoff_to_an_agent_is_an_assignment(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(answer_seconds=0.2, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        await say_too_late(Kommunicate(rasa), "/thandi_please", lambda: len(api.calls) == 2)
        assert api.said() == ["I'll fetch Thandi."]
        assert "metadata" not in api.calls[0]["body"]
        assert api.calls[1]["path"] == "/rest/ws/group/assignee/change"
        assert api.calls[1]["query"]["assignee"] == "thandi@example.com"
        assert not left(rasa)


async def test_a_handoff_to_a_team_waits_for_the_next_answer(
    platform_model: Path, tmp_path: Path, api: RestApi
) -> None:
    own = settings(answer_seconds=0.2, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/silently", lambda: left(rasa))
        assert len(api.said()) == 1
        assert await kommunicate.say("hello") == [{"message": "", "metadata": {"KM_ASSIGN_TEAM": "77"}}]


async def test_what_the_api_refuses_waits_for_the_next_answer(
    platform_model: Path, tmp_path: Path, api: RestApi
) -> None:
    own = settings(answer_seconds=0.2, api_key="key", api_url=api.url)
    api.status = 503
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        await say_too_late(kommunicate, "/give_up", lambda: left(rasa))
        (told,) = await kommunicate.say("hello")
        assert (told["message"], told["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})


async def test_nothing_late_is_lost_when_the_next_answer_is_late_too(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=0.2)) as rasa:
        kommunicate = Kommunicate(rasa)
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await kommunicate.say("/give_up") == []
            assert await kommunicate.say("are you there?") == []
        await until(lambda: not rasa.channel._work._under_way)
        (told,) = await kommunicate.say("hello?")
        assert (told["message"], told["metadata"]) == ("our agents will get back to you", {"KM_ASSIGN_TO": ""})
