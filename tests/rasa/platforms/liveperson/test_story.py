"""One customer's story by each surface: greet, ask, be handed over to a department, be talked to, come back to the bot.

What agent and customer say to each other passes by the bot: LivePerson calls it again with a welcome.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings
from tests.rasa.platforms.liveperson.runtime import NODE, Runtime

Say = Callable[[str | None, dict[str, Any] | None], Awaitable[tuple[list[str], Any]]]
"""The customer's words, or None and the event of a welcome; the bot's texts, and the transfer's skill."""


def by_function(liveperson: LivePerson, runtime: Runtime) -> Say:
    async def say(message: str | None, event: dict[str, Any] | None = None) -> tuple[list[str], Any]:
        answer = (await runtime.invoke(liveperson.payload(message, event)))["result"]
        words = [
            one.get("structuredContent", one).get("message") if isinstance(one, dict) else one
            for one in answer["messages"]
        ]
        return [one for one in words if one], answer["context"].get("actionParameters", {}).get("skill")

    return say


def by_endpoint(liveperson: LivePerson) -> Say:
    async def say(message: str | None, event: dict[str, Any] | None = None) -> tuple[list[str], Any]:
        if event is None:
            answer = await liveperson.tell(str(message))
        else:
            _, answer = await liveperson.event({"type": "START", "data": {}, "context": {"lpEvent": event}})
        words, skill = [], None
        for one in (item["data"] for item in answer["response"]):
            words.append(one.get("structuredContent", one).get("message") if "messageAudience" not in one else None)
            skill = skill or one.get("parameters", {}).get("skillName")
        return [one for one in words if one], skill

    return say


@pytest.mark.parametrize("surface", ["callback", "async", "endpoint"])
async def test_the_story(platform_model: Path, tmp_path: Path, surface: str) -> None:
    if surface != "endpoint" and NODE is None:
        pytest.skip("needs node 20 or newer on PATH")
    own = settings(transfer_note=True, welcome_back="/handoff_carry_on")
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        liveperson = LivePerson(rasa)
        version = 1 if surface == "callback" else 2
        runtime = Runtime(tmp_path / "function", version, f"{liveperson.base}/webhook", "open sesame")
        say = by_endpoint(liveperson) if surface == "endpoint" else by_function(liveperson, runtime)

        assert await say(None, {"isWelcomeEvent": True}) == (["Welcome."], None)
        assert await say("hello", None) == (["Hello."], None)
        assert await say("I want to move", None) == (["Which street?"], None)
        assert await say("Church Road 17", None) == (["Which town?"], None)
        assert await say("Durban", None) == (["Moved to Church Road 17 in Durban."], None)
        assert await say("/provide_handoff_options", None) == (["Who would you like to talk to?"], None)
        words, skill = await say("Billing", None)
        assert "asked for a person" in words[0]
        assert skill == "Billing"
        assert (await rasa.tracker("c-1"))["paused"], "LivePerson's people talk to the customer"
        talked = {"isWelcomeEvent": True, "lastConsumerMessage": "thank you, Thandi"}
        assert await say(None, talked) == (["Gladly. What can I do for you?"], None)
        assert await say("good morning", None) == (["Hello."], None)
        tracker = await rasa.tracker("c-1")
        assert (tracker["paused"], tracker["slots"]["handoff_outcome"]) == (False, "resolved")
