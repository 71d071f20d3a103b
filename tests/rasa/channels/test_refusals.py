"""A vendor that says no: for now, and the words come later; for good, and the agent is told."""

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import PUSHED, Customer
from tests.rasa.channels.talking import give_back, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_words_reach_the_customer_once_the_vendor_is_back(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, broken, id="96", place=f"{kind.channel}-96")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    refused = broken.refused
    broken.failing.add(kind.channel)
    await thandi.say(handoff_id, "One.", id=f"{kind.channel}-96-1")
    await thandi.say(handoff_id, "Two.", id=f"{kind.channel}-96-2")
    await eventually(lambda: broken.refused > refused + 1)
    assert "One." not in customer.received_texts()
    broken.failing.clear()
    await thandi.hears("message.status", message_id=f"{kind.channel}-96-2", status="delivered")
    assert [text for text in customer.received_texts() if text in ("One.", "Two.")] == ["One.", "Two."]
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_the_bot_does_not_overtake_what_waits_for_the_vendor(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, broken, id="98", place=f"{kind.channel}-98")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    broken.failing.add(kind.channel)
    await thandi.say(handoff_id, "One.", id=f"{kind.channel}-98-1")
    await thandi.hears("message.status", message_id=f"{kind.channel}-98-1", status="waiting")
    await give_back(rasa, thandi, customer, handoff_id)
    broken.failing.clear()
    await customer.say("hello")
    await customer.hears("One.")
    await customer.hears("Hello.")
    received = customer.received_texts()
    assert received.index("One.") < received.index("Hello."), received


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_the_agent_is_told_when_the_vendor_refuses(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, broken, id="97", place=f"{kind.channel}-97")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    broken.status = 200 if kind.channel == "slack" else 403  # Slack's no is in its answer
    broken.failing.add(kind.channel)
    await thandi.say(handoff_id, "One.", id=f"{kind.channel}-97-1")
    reported = await thandi.hears("message.status", message_id=f"{kind.channel}-97-1", status="failed")
    assert f"{kind.channel} refused it" in reported["reason"]
    assert "token" not in reported["reason"]
    broken.failing.clear()
    await thandi.say(handoff_id, "Two.", id=f"{kind.channel}-97-2")
    await thandi.hears("message.status", message_id=f"{kind.channel}-97-2", status="delivered")
    await give_back(rasa, thandi, customer, handoff_id)
