"""The bot ends a conversation, and front ends learn whom the customer has."""

from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials

pytestmark = pytest.mark.every_database


async def test_after_the_bot_ended_it_a_new_session_begins(rasa: RasaServer) -> None:
    await rasa.texts("hello")
    assert await rasa.say("/finish") == [{"recipient_id": "thabo", "text": "Goodbye."}]
    assert await sessions(rasa) == 1
    assert await rasa.texts("hello") == ["Hello."]
    assert await sessions(rasa) == 2
    assert await rasa.texts("hello") == ["Hello."]
    assert await sessions(rasa) == 2


async def sessions(rasa: RasaServer) -> int:
    return [event["event"] for event in await rasa.events()].count("session_started")


async def test_a_trigger_may_end_it_and_no_marker_is_shown(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await page.say("hello")
        await page.hears("Hello.")
        for intent, words in (("give_up", "Wait a moment."), ("finish", "Goodbye.")):
            trigger = f"{rasa.url}/conversations/thabo/trigger_intent?output_channel=latest"
            async with rasa.http.post(trigger, json={"name": intent}) as answer:
                assert answer.status == 200, await answer.text()
            await page.hears(words)
        over = {"session_id": "thabo", "active": "closed", "agent": None}
        await eventually(lambda: ("handoff_state", over) in page.received)
        assert "handoff_close" not in str(page.received)
        assert not rasa.channel.relay.under_way


async def test_a_page_learns_that_it_is_over(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await page.say("/finish")
        await page.hears("Goodbye.")
        over = {"session_id": "thabo", "active": "closed", "agent": None}
        await eventually(lambda: ("handoff_state", over) in page.received)
        assert "handoff_close" not in str(page.received)


async def test_a_mailbox_learns_whom_its_customer_has(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, state_messages=["rest"])) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        waiting = await rasa.say("/execute_handoff")
        assert states(waiting) == [("waiting", None)]
        assert "number 1" in waiting[1]["text"]
        handoff_id = (await thandi.take_next())["handoff_id"]
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
        assert states(await rasa.say("are you there?")) == [("person", "Thandi")]
        resolved = await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        assert resolved["ok"], resolved
        await eventually(lambda: not rasa.channel.relay.under_way)
        back = await rasa.say("hello")
        assert states(back) == [("bot", None)]
        assert back[-1]["text"] == "Hello."
        assert states(await rasa.say("/finish")) == [("closed", None)]


def states(answers: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    reported = [answer["custom"]["handoff_state"] for answer in answers if "custom" in answer]
    return [(state["active"], state["agent"]) for state in reported]
