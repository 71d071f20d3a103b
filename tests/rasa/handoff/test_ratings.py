"""Customers say what they think of a chat, on a page and on rest, with a person and afterwards; the bot hears nothing of it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rasa_handoff.core.control import Control
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually

GOOD = '/handoff_rate{"score": 5, "comment": "Quick"}'
BAD = '/handoff_rate{"score": 7}'


@pytest.fixture
async def thabo(rasa: RasaServer) -> AsyncIterator[ScriptedCustomer]:
    async with ScriptedCustomer(rasa.url, acks=True) as customer:
        yield customer


def state(rasa: RasaServer) -> Control:
    return rasa.channel.relay.conversation("thabo").state


async def live(rasa: RasaServer, thandi: ScriptedAgent) -> str:
    handoff_id = str((await thandi.take_next())["handoff_id"])
    await eventually(lambda: state(rasa) is Control.LIVE)
    return handoff_id


async def ended(rasa: RasaServer, thandi: ScriptedAgent, handoff_id: str) -> None:
    assert (await thandi.resolve(handoff_id))["ok"]
    await eventually(lambda: state(rasa) is Control.BOT)


def ratings(thandi: ScriptedAgent) -> list[str]:
    return [one["text"] for one in thandi.all("message") if one["text"].startswith("The customer gave")]


async def untouched(rasa: RasaServer) -> None:
    """Check that neither Rasa's tracker nor the dead letters know of a rating."""
    assert "handoff_rate" not in json.dumps(await rasa.events())
    assert await rasa.channel.relay.count_dead_letters() == 0


@pytest.mark.every_database
async def test_a_page_rates_the_chat_while_it_goes_on_and_after_it(
    rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent
) -> None:
    assert (await thabo.say_with_id(GOOD))["ok"], "there was no handoff: nothing happens"
    await thabo.say_with_id("/execute_handoff")
    handoff_id = await live(rasa, thandi)
    assert (await thabo.say_with_id('/handoff_rate{"score": 3}'))["ok"]
    await thandi.hears("message", handoff_id=handoff_id, text="The customer gave 3 of 5.", speaker="system")
    await ended(rasa, thandi, handoff_id)
    await thabo.hears("back with me")
    count = len(thabo.texts)
    for _ in range(2):
        assert (await thabo.say_with_id(GOOD, "r-1"))["ok"], "sent again, it counts once"
    assert (await thabo.say_with_id('/handoff_rate{"score": 1}'))["ok"], "another one counts too"
    await thandi.hears("message", handoff_id=handoff_id, text="The customer gave 1 of 5.")
    assert ratings(thandi) == [
        "The customer gave 3 of 5.",
        "The customer gave 5 of 5: Quick",
        "The customer gave 1 of 5.",
    ]
    await thabo.say_with_id("hello")
    await eventually(lambda: len(thabo.texts) > count)
    assert thabo.texts[count:] == ["Hello."]
    await untouched(rasa)


async def test_what_is_no_rating_is_refused_and_the_bot_never_gets_it(
    rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent
) -> None:
    refused = await thabo.say_with_id(BAD)
    assert (refused["ok"], refused["code"], refused["error"]) == (False, "invalid", "'score' must be at most 5.")
    await thabo.say_with_id("/execute_handoff")
    handoff_id = await live(rasa, thandi)
    assert (await thabo.say_with_id(BAD))["code"] == "invalid"
    await thabo.say_with_id("still here")
    await thandi.hears("message", text="still here")
    assert ratings(thandi) == []
    await thabo.say(BAD)
    await thabo.hears("I couldn't pass that on")
    await ended(rasa, thandi, handoff_id)
    await untouched(rasa)


async def test_on_rest_it_is_a_message_too(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    async def post(text: str, **more: Any) -> Any:
        body = {"sender": "thabo", "message": text, **more}
        async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
            return answer.status, await answer.json()

    status, refusal = await post(BAD)
    assert (status, refusal["code"], refusal["error"]) == (400, "invalid", "'score' must be at most 5.")
    await post("/execute_handoff")
    handoff_id = await live(rasa, thandi)
    await ended(rasa, thandi, handoff_id)
    await post("hello")  # fetches what was said at the end
    named = {"metadata": {"handoff_after": None, "handoff_message_id": "r-1"}}
    for _ in range(2):
        assert (await post(GOOD, **named))[0] == 200
    assert (await post('/handoff_rate{"score": 2}'))[0] == 200
    await thandi.hears("message", text="The customer gave 2 of 5.")
    assert ratings(thandi) == ["The customer gave 5 of 5: Quick", "The customer gave 2 of 5."]
    await untouched(rasa)


async def test_a_page_without_acknowledgements_rates_once(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """Its ids mean something for a minute only; a copy within it is known."""
    async with ScriptedCustomer(rasa.url) as page:
        await page.say("/execute_handoff")
        handoff_id = await live(rasa, thandi)
        for _ in range(2):
            assert (await page.say_with_id(GOOD, "r-1"))["ok"]
        assert (await page.say_with_id('/handoff_rate{"score": 2}', "r-1"))["ok"]
        await thandi.hears("message", text="The customer gave 2 of 5.")
        assert ratings(thandi) == ["The customer gave 5 of 5: Quick", "The customer gave 2 of 5."]
        await ended(rasa, thandi, handoff_id)
