"""What the tests of this folder say in one line."""

from collections.abc import Sequence

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import Customer


def in_order(words: Sequence[str], received: Sequence[str]) -> bool:
    """Whether the words were heard in this order, whatever was heard between."""
    everything = "\n".join(received)
    at = 0
    for word in words:
        found = everything.find(word, at)
        if found < 0:
            return False
        at = found + len(word)
    return True


async def taken(rasa: RasaServer, agent: ScriptedAgent, customer: Customer) -> str:
    """The agent takes the customer's handoff; returns its id once the relay knows."""
    conversation = await agent.take_next()
    assert conversation["short_id"] == short_id(customer.conversation_id), conversation
    await eventually(lambda: rasa.channel.relay.conversation(customer.conversation_id).agent is not None)
    return str(conversation["handoff_id"])


async def resolved(rasa: RasaServer, agent: ScriptedAgent, customer: Customer, handoff_id: str) -> None:
    """The agent resolves, and the bot is active again."""
    answer = await agent.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
    assert answer["ok"], answer
    await eventually(lambda: not rasa.channel.relay.silences_bot(customer.conversation_id))


def heard_from_customer(agent: ScriptedAgent, handoff_id: str) -> list[str]:
    """What the agent has heard from the customer, in order."""
    messages = [data for name, data in agent.received if name == "message" and data["handoff_id"] == handoff_id]
    return [data["text"] for data in messages if data["speaker"] == "customer"]
