"""A project's own channels, named by dotted path: corrected and reached as the channels of Rasa that they are made from."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnRest
from tests.rasa.channels.own_channels import CounterInput, KioskInput
from tests.rasa.channels.talking import give_back, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

KIOSK, COUNTER = "tests.rasa.channels.own_channels.KioskInput", "tests.rasa.channels.own_channels.CounterInput"


@pytest_asyncio.fixture(loop_scope="package")
async def shop(serve: Callable[..., RasaServer]) -> AsyncIterator[RasaServer]:
    """A server that hosts both channels, and Rasa's socketio beside them."""
    kiosk = {"session_persistence": True, "socketio_path": "/kiosk.io"}
    async with serve({"socketio": None, KIOSK: kiosk, COUNTER: None}, bot_id="shop") as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def test_a_projects_own_channels_keep_their_classes(shop: RasaServer) -> None:
    channels = shop.channel.channels
    assert set(channels) == {"socketio", "kiosk", "counter"}
    assert isinstance(channels["kiosk"], KioskInput)
    assert type(channels["counter"]) is CounterInput


async def test_words_wait_for_a_customer_who_left_the_kiosk(shop: RasaServer, thandi: ScriptedAgent) -> None:
    async with ScriptedCustomer(shop.url, "kiosk1", path="kiosk.io") as page:
        await page.say("I give up completely")
        await page.hears("number 1 in the queue")
        conversation = await thandi.take_next()
        await page.hears("Thandi is here")
    await eventually(lambda: not shop.channel.channels["kiosk"].connected("kiosk1"))
    await thandi.say(conversation["handoff_id"], "Still there?", id="kiosk")
    await thandi.hears("message.status", message_id="kiosk", status="waiting")
    async with ScriptedCustomer(shop.url, "kiosk1", path="kiosk.io") as page:
        await page.hears("Still there?")
        await thandi.ask("resolve", handoff_id=conversation["handoff_id"], outcome="resolved", note=None, slots={})
        await page.hears("back with me")


async def test_at_the_counter_words_are_fetched(shop: RasaServer, vendors: Vendors, thandi: ScriptedAgent) -> None:
    customer = OnRest(shop, vendors, id="counter1")
    customer.channel = "counter"
    await customer.ask("I give up completely")
    handoff_id = await take(shop, thandi, customer)
    await thandi.say(handoff_id, "Next, please.", id="counter")
    await thandi.hears("message.status", message_id="counter", status="waiting")
    assert "Next, please." in await customer.ask("me")
    await give_back(shop, thandi, customer, handoff_id)
