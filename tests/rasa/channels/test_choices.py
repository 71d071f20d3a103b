"""A question with choices on channels with and without buttons, and what answers it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rasa_handoff.core.control import Control
from rasa_handoff.protocol.events import NobodyCame
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnTelegram, OnTwilio, OnWebexTeams
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

LINES = """I'm sorry, nobody has been free so far. What would you like to do?
1. Go on waiting
2. Leave a message
3. Back to the bot"""


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def nobody_waits_afterwards(thandi: ScriptedAgent) -> AsyncIterator[None]:
    """The desk is shared with other files, whose agents take whoever waits."""
    yield
    await eventually(lambda: not thandi.sees_a_queue)


async def asked(rasa: RasaServer, customer: Any) -> None:
    """The customer waits, and is asked what to do."""
    await customer.say("I give up completely")
    relay = rasa.channel.relay
    await eventually(lambda: relay.conversation(customer.conversation_id).state is Control.WAITING)
    handoff_id = relay.conversation(customer.conversation_id).handoff_id
    await relay.apply(NobodyCame(conversation_id=customer.conversation_id, handoff_id=handoff_id))
    await customer.hears("nobody has been free so far")


@pytest.mark.parametrize("kind", [OnTwilio, OnWebexTeams])
@pytest.mark.parametrize("answer", ["2", "Leave a message", "LEAVE A MESSAGE", "/handoff_leave_message"])
async def test_without_buttons_the_choices_are_numbered_lines(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: Any, answer: str
) -> None:
    name = f"{kind.channel}-{answer}".replace(" ", "").replace("/", "")
    customer = kind(rasa, vendors, id=name, place=name)
    await asked(rasa, customer)
    assert [text for text in customer.received_texts() if "/handoff" in text or "Leave a" in text] == [LINES]
    await customer.say(answer)
    await customer.hears("Please write your message now")
    await customer.say("disconnect")
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))


async def test_the_agent_reads_which_choices_were_shown(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnTwilio(rasa, vendors, id="+2777")
    await asked(rasa, customer)
    await customer.say("3")
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))
    said = [event.get("text") or "" for event in await rasa.events(customer.conversation_id)]
    assert any("[Go on waiting] [Leave a message] [Back to the bot]" in text for text in said)


async def test_a_message_is_left_without_any_button(rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent) -> None:
    customer = OnTwilio(rasa, vendors, id="+2788")
    await asked(rasa, customer)
    handoff_id = rasa.channel.relay.conversation(customer.conversation_id).handoff_id
    await customer.say("2")
    await customer.hears("Please write your message now")
    await customer.say("my parcel is wet")
    question = await customer.hears("Where can our people reach you?")
    assert question.endswith("\n1. Go on without")
    await customer.say("sms me at this number")
    await customer.hears("doesn't look like an e-mail address")
    await customer.say("1")
    await customer.hears("your message is with our people")
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))
    left = (await thandi.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    said = [message["text"] for message in left["messages"] if message["speaker"] == "customer"]
    assert (left["state"], said) == ("message", ["my parcel is wet", "sms me at this number"])


async def test_with_buttons_a_typed_choice_counts_too(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnTelegram(rasa, vendors, id="4711")
    await asked(rasa, customer)
    await customer.say("go on waiting")
    await customer.hears("Thank you for your patience")
    await customer.say("disconnect")
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))


@pytest.mark.parametrize("answer", ["2", "orders"])
async def test_the_options_are_chosen_by_number_or_title(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, answer: str
) -> None:
    customer = OnTwilio(rasa, vendors, id=f"+27{answer}")
    await customer.say("/provide_handoff_options")
    question = await customer.hears("Carry on with the bot")
    assert question.splitlines()[1:] == ["1. Billing", "2. Orders", "3. Carry on with the bot"]
    await customer.say(answer)
    await customer.hears("I've asked for a person")
    assert rasa.channel.relay.conversation(customer.conversation_id).department == "orders"
    await customer.say("disconnect")
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))
