"""Vendors who call twice and vendors who are told twice: at least once, and known again by the vendor's own keys."""

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import FETCHED, PUSHED, Customer, OnCallback, OnHangouts, OnMattermost
from tests.rasa.channels.talking import give_back, heard_from_customer, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

WITH_IDS = [*(kind for kind in PUSHED if kind is not OnCallback), OnHangouts]
"""Those whose vendor gives each message an id."""


@pytest.mark.parametrize("kind", WITH_IDS, ids=lambda kind: kind.channel)
async def test_a_vendor_that_calls_again_is_heard_once(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id=f"87{WITH_IDS.index(kind)}", place=f"{kind.channel}-87")
    await customer.say("hello")
    await customer.again()
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    for text in ("One.", "Two."):
        await customer.say(text)
        await customer.again()
    await customer.say("Three.")
    await thandi.hears("message", handoff_id=handoff_id, text="Three.")
    assert heard_from_customer(thandi, handoff_id) == ["One.", "Two.", "Three."]
    await give_back(rasa, thandi, customer, handoff_id)
    await customer.again()
    said = [event["text"] for event in await rasa.events(customer.conversation_id) if event["event"] == "user"]
    assert said.count("hello") == 1
    assert said.count("Three.") == 1


@pytest.mark.parametrize(
    ("kind", "key"), [(OnCallback, "id"), (OnMattermost, "pending_post_id")], ids=["callback", "mattermost"]
)
async def test_words_told_again_carry_the_same_key(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent, kind: type[Customer], key: str
) -> None:
    customer = kind(rasa, broken, id="88", place=f"{kind.channel}-88")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    broken.answers_lost = True
    await thandi.say(handoff_id, "Once?", id=f"{kind.channel}-88")
    await eventually(lambda: customer.received_texts().count("Once?") > 1, what="told again, since no answer came")
    broken.answers_lost = False
    await thandi.hears("message.status", message_id=f"{kind.channel}-88", status="delivered")
    keys = {call.body[key] for call in customer.calls() if customer.text(call) == "Once?"}
    assert len(keys) == 1
    assert all(call.body.get(key) not in keys for call in customer.calls() if customer.text(call) != "Once?")
    await give_back(rasa, thandi, customer, handoff_id)


def test_only_channels_without_message_ids_are_left_out() -> None:
    assert {kind.channel for kind in (*PUSHED, *FETCHED)} - {kind.channel for kind in WITH_IDS} == {
        "callback",
        "rest",
        "rasa",
        "twilio_voice",
    }
