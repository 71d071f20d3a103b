"""A caller on twilio_voice, and a customer who changes channels."""

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from tests.rasa.channels.channel_customers import OnCallback, OnRest, OnTwilioVoice
from tests.rasa.channels.talking import give_back, in_order, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_call_stays_up_while_an_agent_thinks(rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent) -> None:
    caller = OnTwilioVoice(rasa, vendors, id="+2798")
    await caller.ask("I give up completely")
    handoff_id = await take(rasa, thandi, caller)
    await caller.ask("are you there?")
    assert await caller.ask("my order is late") == []
    assert "<Gather" in caller.answers[-1]
    await give_back(rasa, thandi, caller, handoff_id)
    assert in_order(["Thandi has ended the chat", "back with me"], await caller.silent())


async def test_a_silent_caller_hears_what_waits(rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent) -> None:
    caller = OnTwilioVoice(rasa, vendors, id="+2799")
    await caller.ask("hello")
    assert await caller.silent() == ["Hello."], "with the bot it is as Rasa does it"
    await caller.ask("I give up completely")
    handoff_id = await take(rasa, thandi, caller)
    await thandi.say(handoff_id, "One moment.", id="voice")
    await thandi.hears("message.status", message_id="voice", status="waiting")
    assert in_order(["Thandi is here", "One moment."], await caller.silent())
    await thandi.hears("message.status", message_id="voice", status="delivered")
    assert await caller.silent() == []
    assert "<Gather" in caller.answers[-1]
    await give_back(rasa, thandi, caller, handoff_id)
    assert in_order(["Thandi has ended the chat", "back with me"], await caller.silent())


async def test_what_waits_moves_along_to_another_channel(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    on_rest, on_callback = OnRest(rasa, vendors, id="100"), OnCallback(rasa, vendors, id="100")
    await on_rest.ask("I give up completely")
    handoff_id = await take(rasa, thandi, on_rest)
    await thandi.say(handoff_id, "Over there?", id="moved")
    await thandi.hears("message.status", message_id="moved", status="waiting")
    await on_callback.say("I am here now")
    await on_callback.hears("Over there?")
    await thandi.hears("message.status", message_id="moved", status="delivered")
    await give_back(rasa, thandi, on_callback, handoff_id)
    await on_callback.hears("back with me")
