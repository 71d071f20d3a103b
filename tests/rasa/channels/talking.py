"""What the tests of this folder have customers and agents do, and what was heard."""

from collections.abc import Sequence

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import Customer


def in_order(words: Sequence[str], received: Sequence[str]) -> bool:
    """Return whether the words were heard in this order, whatever was heard between."""
    everything = "\n".join(received)
    begin = 0
    for word in words:
        found = everything.find(word, begin)
        if found < 0:
            return False
        begin = found + len(word)
    return True


async def take(rasa: RasaServer, agent: ScriptedAgent, customer: Customer) -> str:
    """Have the agent take the customer's handoff, and return its id once the relay knows."""
    conversation = await agent.take_next()
    assert conversation["short_id"] == short_id(customer.conversation_id), conversation
    await eventually(lambda: rasa.channel.relay.conversation(customer.conversation_id).agent is not None)
    return str(conversation["handoff_id"])


async def live(page: ScriptedCustomer, agent: ScriptedAgent) -> str:
    """Have the page ask for a person and the agent take it, and return the handoff's id."""
    assert await page.say_with_id("I give up completely") == {"ok": True}
    conversation = await agent.take_next()
    assert conversation["short_id"] == short_id(page.session)
    await page.hears("Thandi is here")
    return str(conversation["handoff_id"])


async def resolve(agent: ScriptedAgent, handoff_id: str) -> None:
    """Have the agent resolve."""
    answer = await agent.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
    assert answer["ok"], answer


async def give_back(rasa: RasaServer, agent: ScriptedAgent, customer: Customer, handoff_id: str) -> None:
    """Have the agent resolve, and wait until the bot is active again."""
    await resolve(agent, handoff_id)
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))


def heard_from_customer(agent: ScriptedAgent, handoff_id: str) -> list[str]:
    """Return what the agent has heard from the customer, in order."""
    messages = [data for name, data in agent.received if name == "message" and data["handoff_id"] == handoff_id]
    return [data["text"] for data in messages if data["speaker"] == "customer"]
