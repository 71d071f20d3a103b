"""A message that can't be delivered is never silent: it waits, with the reason; after a time it has failed, and the next has
its turn."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import PUSHED, Customer, OnCallback, OnRest
from tests.rasa.channels.conftest import all_channels
from tests.rasa.channels.talking import give_back, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(loop_scope="package")
async def rasa(serve: Callable[..., RasaServer], vendors: Vendors) -> AsyncIterator[RasaServer]:
    """A server that loses patience soon."""
    server = serve({"callback": all_channels(vendors)["callback"]}, bot_id="impatient")
    server.credentials["rasa_handoff.HandoffChannel"]["delivery_timeout"] = 1.0
    async with server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def test_what_a_vendor_does_not_take_for_too_long_has_failed(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnCallback(rasa, broken, id="impatient")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    broken.failing.add("callback")
    await thandi.say(handoff_id, "One.", id="impatient1")
    await thandi.say(handoff_id, "Two.", id="impatient2")
    for id in ("impatient1", "impatient2"):
        waits = await thandi.hears("message.status", message_id=id, status="waiting")
        assert "callback doesn't take it now" in waits["reason"]
    for id in ("impatient1", "impatient2"):
        failed = await thandi.hears("message.status", message_id=id, status="failed")
        assert failed["reason"].startswith("Tried for 1 s: callback doesn't take it now")
    broken.failing.clear()
    await thandi.say(handoff_id, "Three.", id="impatient3")
    await thandi.hears("message.status", message_id="impatient3", status="delivered")
    assert [text for text in customer.received_texts() if text in ("One.", "Two.", "Three.")] == ["Three."]
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_a_vendor_that_takes_the_connection_and_never_answers_is_given_up(
    serve: Callable[..., RasaServer], broken: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    """Neither another customer of the channel nor one of another channel waits for it."""
    channels = {name: all_channels(broken)[name] for name in {kind.channel, "rest"}}
    server = serve(channels, bot_id=f"silent-{kind.channel}")
    server.credentials["rasa_handoff.HandoffChannel"]["delivery_timeout"] = 3.0
    async with server as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        customer = kind(rasa, broken, id="77", place=f"{kind.channel}-77")
        await customer.say("I give up completely")
        handoff_id = await take(rasa, thandi, customer)
        await customer.hears("Thandi is here")
        broken.silent.add(kind.channel)
        await thandi.say(handoff_id, "One.", id=f"silent-{kind.channel}")
        waits = await thandi.hears("message.status", message_id=f"silent-{kind.channel}", status="waiting")
        assert f"{kind.channel} hasn't answered for 3 s" in waits["reason"]
        failed = await thandi.hears("message.status", message_id=f"silent-{kind.channel}", status="failed")
        assert failed["reason"].startswith("Tried for 3 s:")
        assert await OnRest(rasa, broken, id="78").ask("hello") == ["Hello."]
        broken.silent.clear()
        await thandi.say(handoff_id, "Two.", id=f"again-{kind.channel}")
        await thandi.hears("message.status", message_id=f"again-{kind.channel}", status="delivered")
        await give_back(rasa, thandi, customer, handoff_id)
