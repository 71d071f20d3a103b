"""All of Rasa's channels hosted at once: each at its ordinary address, each known to Rasa as if it stood alone."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from rasa.core.channels import BUILTIN_CHANNELS

from rasa_handoff.protocol.channel_capabilities import STOCK_CHANNELS
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import FETCHED, PUSHED, Customer, OnRest, OnTelegram
from tests.rasa.channels.talking import give_back
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

HOSTED = sorted(STOCK_CHANNELS)


async def test_the_stock_channels_are_all_of_rasas_but_cmdline() -> None:
    assert set(STOCK_CHANNELS) == set(BUILTIN_CHANNELS) - {"cmdline"}


async def test_all_fourteen_are_hosted(rasa: RasaServer) -> None:
    assert sorted(rasa.channel.channels) == HOSTED
    assert len(HOSTED) == 14


@pytest.mark.parametrize("name", HOSTED)
async def test_each_answers_at_its_ordinary_address(rasa: RasaServer, name: str) -> None:
    async with rasa.http.get(f"{rasa.url}/webhooks/{name}/") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_rasa_finds_each_as_an_input_channel(rasa: RasaServer) -> None:
    assert [channel.name() for channel in rasa.app.ctx.input_channels] == ["handoff", *HOSTED]
    for name, channel in rasa.channel.channels.items():
        assert isinstance(channel, BUILTIN_CHANNELS[name])


async def test_a_reminder_finds_the_latest_channel(rasa: RasaServer, vendors: Vendors) -> None:
    customer = OnTelegram(rasa, vendors, id="71")
    await customer.say("hello")
    await customer.hears("Hello.")
    trigger = f"{rasa.url}/conversations/71/trigger_intent?output_channel=latest"
    async with rasa.http.post(trigger, json={"name": "greet"}) as answer:
        assert answer.status == 200, await answer.text()
    await eventually(lambda: customer.received_texts() == ["Hello.", "Hello."])


async def test_telegram_is_told_where_to_call(rasa: RasaServer, vendors: Vendors) -> None:
    def announced() -> list[Any]:
        return [call.body.get("url") for call in vendors.calls if call.path.lower().endswith("setwebhook")]

    await eventually(announced)
    assert announced() == ["https://127.0.0.1/hook"]


@pytest.fixture
def outputs(rasa: RasaServer) -> Iterator[list[Any]]:
    """The output channels with which messages come to Rasa, in order."""
    agent, seen = rasa.app.ctx.agent, []
    original = agent.handle_message

    async def handle_message(message: Any) -> Any:
        seen.append(message.output_channel)
        return await original(message)

    agent.handle_message = handle_message
    yield seen
    del agent.handle_message


TYPES = {
    "slack": "SlackBot",
    "callback": "CallbackOutput",
    "telegram": "TelegramOutput",
    "facebook": "MessengerBot",
    "twilio": "TwilioOutput",
    "webexteams": "WebexTeamsBot",
    "rocketchat": "RocketChatBot",
    "mattermost": "MattermostBot",
    "botframework": "BotFramework",
    "rest": "CollectingOutputChannel",
    "rasa": "CollectingOutputChannel",
    "hangouts": "HangoutsOutput",
    "twilio_voice": "TwilioVoiceCollectingOutputChannel",
}


@pytest.mark.parametrize("kind", [*PUSHED, *FETCHED], ids=lambda kind: kind.__name__)
async def test_the_bot_sees_rasas_own_output_channel(
    rasa: RasaServer, vendors: Vendors, outputs: list[Any], kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id="72", place="72")
    await customer.say("hello")
    assert await customer.hears("Hello.")
    (output,) = outputs
    expected = "QueueOutputChannel" if kind.__name__ == "OnRestStream" else TYPES[kind.channel]
    assert type(output).__name__ == expected
    assert type(output).__module__.startswith("rasa.core.channels.")


async def test_telegram_keeps_customers_apart_who_write_at_once(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, outputs: list[Any]
) -> None:
    one, two, other = (OnTelegram(rasa, vendors, id=id) for id in ("731", "732", "733"))
    await asyncio.gather(one.say("I give up completely"), other.say("hello"), two.say("I give up completely"))
    assert len({id(output) for output in outputs}) == 1, "Rasa shares one output; without that this test shows nothing"
    conversations = [await thandi.take_next(), await thandi.take_next()]
    assert {conversation["short_id"] for conversation in conversations} == {short_id("731"), short_id("732")}
    for customer in (one, two):
        handoff_id = next(one["handoff_id"] for one in conversations if one["short_id"] == short_id(customer.id))
        await thandi.say(handoff_id, f"To {customer.id}.")
        await customer.hears(f"To {customer.id}.")
        await give_back(rasa, thandi, customer, handoff_id)
        await customer.hears("back with me")
    assert other.received_texts() == ["Hello."]
    assert [text for text in one.received_texts() if text.startswith("To ")] == ["To 731."]
    assert "handoff" not in one.raw() + two.raw()


async def test_rest_answers_as_ever(rasa: RasaServer, vendors: Vendors) -> None:
    customer = OnRest(rasa, vendors, id="75")
    await customer.ask("show me things")
    (answer,) = customer.answers
    assert "The red one" in answer
