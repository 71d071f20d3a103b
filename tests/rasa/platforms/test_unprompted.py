"""What the bot says when nobody has called: a reminder, a triggered intent."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest
from rasa.core import jobs

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings
from tests.rasa.platforms.rest_api import RestApi


@pytest.fixture
async def with_api(platform_model: Path, tmp_path: Path, api: RestApi) -> AsyncIterator[Kommunicate]:
    async with RasaServer(platform_model, tmp_path, settings(api_key="key", api_url=api.url)) as rasa:
        yield Kommunicate(rasa)


async def trigger(kommunicate: Kommunicate, intent: str) -> None:
    url = f"{kommunicate.rasa.url}/conversations/4711/trigger_intent?output_channel=latest"
    async with kommunicate.rasa.http.post(url, json={"name": intent}) as answer:
        assert answer.status == 200


def idle(kommunicate: Kommunicate) -> bool:
    return not kommunicate.rasa.channel._answering.work._under_way


async def test_a_triggered_intent_is_said_by_the_api(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("hello")
    await trigger(with_api, "suggest")
    await eventually(lambda: len(api.said) == 2)
    assert api.said[0] == "A message can be simple as a plain text", "in order"
    assert {call.user for call in api.calls} == {"shop-bot"}


async def test_options_are_offered_from_outside_too(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("hello")
    with_api.will_say({"custom": {"handoff_options": {"priority": "urgent"}}})
    await trigger(with_api, "native")
    await eventually(lambda: api.said)
    assert api.said == ["Who would you like to talk to?"]
    assert "Billing" in [one["title"] for one in api.messages[0]["metadata"]["payload"]]
    (reply,) = await with_api.say("Billing")
    context = {"handoff": {"priority": "urgent"}}
    assert reply["metadata"] == {"KM_ASSIGN_TEAM": "77", "KM_CHAT_CONTEXT": context}


async def test_without_the_api_it_is_logged_and_said_with_the_next_answer(
    kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture
) -> None:
    await kommunicate.say("hello")
    await trigger(kommunicate, "welcome")
    await trigger(kommunicate, "opened_pricing")
    await eventually(lambda: idle(kommunicate))
    assert "1 messages for de650d61 are left for an answer: There is no api_key in the settings." in caplog.text
    assert await kommunicate.texts("hello") == ["Welcome.", "Shall I explain the prices?", "Hello."]
    assert await kommunicate.texts("hello") == ["Hello."]


async def test_an_api_that_is_away_loses_nothing(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("hello")
    api.refuse(503, 503, 503)
    await trigger(with_api, "welcome")
    await eventually(lambda: len(api.calls) == 3 and idle(with_api))
    assert await with_api.texts("hello") == ["Welcome.", "Hello."]


async def test_while_people_have_it_nothing_is_said(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("/give_up")
    await trigger(with_api, "welcome")
    assert await executed(with_api, "utter_welcome") == 200
    await eventually(lambda: idle(with_api))
    assert api.calls == []
    assert await with_api.texts("hello") == ["Hello."], "nor later"


async def executed(kommunicate: Kommunicate, action: str) -> int:
    url = f"{kommunicate.rasa.url}/conversations/4711/execute?output_channel=latest"
    async with kommunicate.rasa.http.post(url, json={"name": action}) as answer:
        return answer.status


async def test_a_handoff_from_outside_pauses_and_assigns(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("hello")
    await trigger(with_api, "thandi_please")
    await eventually(lambda: api.assignees)
    assert (api.said, api.assignees) == (["I'll fetch Thandi."], {"4711": "thandi@example.com"})
    await eventually(lambda: idle(with_api))
    assert (await with_api.rasa.tracker("4711"))["paused"]


async def test_a_handoff_from_outside_to_the_rules_waits_for_an_answer(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("hello")
    await trigger(with_api, "give_up")
    await eventually(lambda: api.said and idle(with_api))
    assert await with_api.say("hello") == [{"message": "", "metadata": {"KM_ASSIGN_TO": ""}}]
    assert (await with_api.rasa.tracker("4711"))["paused"]


class ActionServer:
    """Schedules a reminder when asked for any action."""

    def __init__(self) -> None:
        self.port = free_port()

    async def answer(self, request: web.Request) -> web.Response:
        soon = (datetime.now(timezone.utc) + timedelta(seconds=1)).isoformat()
        about = {"intent": "welcome", "entities": None, "name": "r", "kill_on_user_msg": False}
        return web.json_response({"events": [{"event": "reminder", "date_time": soon, **about}], "responses": []})

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_post("/webhook", self.answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        return f"http://127.0.0.1:{self.port}/webhook"

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()
        jobs.kill_scheduler()  # it is the process's, and belongs to this test's loop


async def fired(rasa: RasaServer) -> bool:
    return any(
        event.get("name") == "EXTERNAL: welcome" or "EXTERNAL: welcome" in str(event.get("text"))
        for event in await rasa.events("4711")
    )


async def test_a_reminder_is_said_by_the_api(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    """Rasa gives it the output channel of the turn that set it, whose answer has long gone out."""
    own = settings(api_key="key", api_url=api.url)
    async with ActionServer() as url:
        endpoints: dict[str, Any] = {"action_endpoint": {"url": url}}
        async with RasaServer(platform_model, tmp_path, own, endpoints) as rasa:
            assert await Kommunicate(rasa).say("/remind") == []
            await eventually(lambda: api.said == ["Welcome."])


async def test_a_reminder_is_silent_while_people_have_it(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(api_key="key", api_url=api.url)
    async with ActionServer() as url:
        endpoints: dict[str, Any] = {"action_endpoint": {"url": url}}
        async with RasaServer(platform_model, tmp_path, own, endpoints) as rasa:
            kommunicate = Kommunicate(rasa)
            await kommunicate.say("/remind")
            await kommunicate.say("/give_up")
            await eventually(lambda: fired(rasa))
            await eventually(lambda: idle(kommunicate))
            assert api.calls == []
            assert (await rasa.tracker("4711"))["paused"]
