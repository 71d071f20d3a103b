"""A handoff through each channel's own webhook: what the agent says reaches the customer where they are."""

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import FETCHED, PUSHED, Customer, Fetching
from tests.rasa.channels.talking import give_back, in_order, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

MARKERS = ("handoff", "gave up", "be kind")
"""What of the marker's payload in the small bot's ``utter_marker`` would show."""


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_the_agents_words_are_pushed(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id="81", place=f"{kind.channel}-room")
    await customer.say("I give up completely")
    await customer.hears("Wait a moment.")
    await customer.hears("number 1 in the queue")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    await thandi.say(handoff_id, "One.", id=f"{kind.channel}1")
    await thandi.say(handoff_id, "Two.", id=f"{kind.channel}2")
    await eventually(
        lambda: in_order(["Thandi is here", "One.", "Two."], customer.received_texts()),
        what=str(customer.received_texts()),
    )
    await thandi.hears("message.status", message_id=f"{kind.channel}2", status="delivered")
    await customer.say("thank you")
    await thandi.hears("message", handoff_id=handoff_id, text="thank you")
    await give_back(rasa, thandi, customer, handoff_id)
    await customer.hears("back with me")
    assert not [marker for marker in MARKERS if marker in customer.raw()], customer.raw()


@pytest.mark.parametrize("kind", FETCHED, ids=lambda kind: kind.__name__)
async def test_where_nothing_can_be_pushed_it_comes_first_with_the_next_request(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Fetching]
) -> None:
    customer = kind(rasa, vendors, id=f"{kind.__name__} 82")
    assert in_order(["Wait a moment.", "number 1 in the queue"], await customer.ask("I give up completely"))
    handoff_id = await take(rasa, thandi, customer)
    await thandi.say(handoff_id, "One.", id=f"{kind.__name__}1")
    await thandi.say(handoff_id, "Two.", id=f"{kind.__name__}2")
    await thandi.hears("message.status", message_id=f"{kind.__name__}1", status="waiting")
    assert in_order(["Thandi is here", "One.", "Two."], await customer.ask("are you there?"))
    await thandi.hears("message.status", message_id=f"{kind.__name__}2", status="delivered")
    await give_back(rasa, thandi, customer, handoff_id)
    assert in_order(["Thandi has ended the chat", "back with me", "Hello."], await customer.ask("hello"))
    assert not [marker for marker in MARKERS if marker in customer.raw()], customer.raw()


@pytest.mark.parametrize("kind", [*PUSHED, *FETCHED], ids=lambda kind: kind.__name__)
async def test_a_marker_that_is_wrong_does_not_show_either(
    rasa: RasaServer, vendors: Vendors, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id="83", place=f"{kind.__name__}-83")
    await customer.say("try the wrong marker")
    await customer.hears("I can't pass you on to a person for this")
    await customer.say("hello")
    await customer.hears("Hello.")
    assert "handoff" not in customer.raw()
    assert "departmnt" not in customer.raw()


@pytest.mark.parametrize("kind", [*PUSHED, *FETCHED], ids=lambda kind: kind.__name__)
async def test_the_options_are_offered(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id="84", place=f"{kind.__name__}-84")
    await customer.say("/provide_handoff_options")
    await eventually(lambda: "Carry on" in customer.raw() or "carry on" in customer.raw(), what=customer.raw())
