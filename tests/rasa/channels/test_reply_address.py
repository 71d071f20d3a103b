"""Where replies go: the conversation's place, also after Rasa was restarted; and what a slow vendor holds up: nobody else."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import (
    PUSHED,
    Customer,
    OnBotFramework,
    OnCallback,
    OnMattermost,
    OnRest,
    OnSlack,
)
from tests.rasa.channels.conftest import all_channels
from tests.rasa.channels.talking import give_back, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

SLOW = 0.3
"""Seconds a slow vendor takes."""


async def test_slack_replies_in_the_thread_of_the_last_message(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnSlack(rasa, vendors, id="U91", place="C91")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await thandi.say(handoff_id, "Here.", id="slack-here")
    await customer.hears("Here.")
    customer.place, customer.thread = "C92", "18.2"
    await customer.say("I am over here")
    await thandi.hears("message", handoff_id=handoff_id, text="I am over here")
    await thandi.say(handoff_id, "There.", id="slack-there")
    await customer.hears("There.")
    places = {
        call.body.get("text"): (call.body["channel"], call.body["thread_ts"])
        for call in vendors.to("slack")
        if call.body.get("text") in ("Here.", "There.")
    }
    assert places == {"Here.": ("C91", "17.1"), "There.": ("C92", "18.2")}
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("pressed", ["/execute_handoff", "/handoff_wait", "disconnect"])
async def test_a_button_or_the_leaving_word_moves_the_place_too(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, pressed: str
) -> None:
    customer = OnSlack(rasa, vendors, id=f"U93{pressed[-1]}", place="C91")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    customer.place, customer.thread = "C92", "18.2"
    await customer.say(pressed)
    await thandi.say(handoff_id, f"There, {pressed[-1]}.", id=f"slack-there-{pressed[-1]}")
    await customer.hears(f"There, {pressed[-1]}.")
    places = [call.body["channel"] for call in vendors.to("slack") if call.body.get("text") == f"There, {pressed[-1]}."]
    assert places == ["C92"]
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("kind", [OnSlack, OnBotFramework, OnMattermost, OnCallback], ids=lambda kind: kind.channel)
async def test_the_place_is_known_after_a_restart(
    serve: Callable[..., RasaServer],
    vendors: Vendors,
    thandi: ScriptedAgent,
    tmp_path: Path,
    kind: type[Customer],
) -> None:
    channels = {kind.channel: all_channels(vendors)[kind.channel]}
    async with serve(channels, tmp_path, bot_id="restarted") as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        customer = kind(rasa, vendors, id="93", place=f"{kind.channel}-93")
        await customer.say("I give up completely")
        handoff_id = await take(rasa, thandi, customer)
        await customer.hears("Thandi is here")
    await thandi.say(handoff_id, "Still here?", id=f"{kind.channel}-93")
    async with serve(channels, tmp_path, bot_id="restarted") as rasa:
        customer.rasa = rasa
        await customer.hears("Still here?")
        assert customer.received_texts().count("Still here?") == 1
        if kind is OnSlack:
            assert customer.calls()[-1].body["thread_ts"] == OnSlack.thread
        if kind is OnBotFramework:
            assert customer.calls()[-1].body["from"] == {"id": "bot"}
        await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: kind.channel)
async def test_a_slow_vendor_holds_up_nobody_else(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id="94", place=f"{kind.channel}-94")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    vendors.delay = SLOW
    try:
        other = OnRest(rasa, vendors, id="95")
        arrived = vendors.next_arrival(kind.channel)
        await thandi.say(handoff_id, "Slowly.", id=f"{kind.channel}-94")
        await asyncio.wrap_future(arrived)
        assert await other.ask("hello") == ["Hello."]
        assert "Slowly." not in customer.received_texts(), "the vendor had answered before the other customer was"
        await customer.hears("Slowly.")
    finally:
        vendors.delay = 0
    await give_back(rasa, thandi, customer, handoff_id)
