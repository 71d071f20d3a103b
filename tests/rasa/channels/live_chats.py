"""A live chat on any channel: what the agent says with parts, and what the front end or the vendor gets of it."""

import itertools
import json
import time
from typing import Any
from xml.etree import ElementTree

from rasa_handoff.core.control import Control
from rasa_handoff.protocol.channel_capabilities import OWN, WHATSAPP, ChannelCapabilities
from rasa_handoff.protocol.events import AgentSaid
from rasa_handoff.protocol.message_parts import AnyPart, in_words
from rasa_handoff.relay.relay import CUSTOMER
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import FETCHED, PUSHED, Customer, Fetching, OnTwilio
from tests.rasa.channels.talking import give_back, take
from tests.rasa.channels.vendors import Call, Vendors

NUMBERS = itertools.count(1)
KINDS = {kind.channel: kind for kind in reversed((*PUSHED, *FETCHED))}  # of two on one channel the first


class OnPost(Customer):
    """A customer on the channel of a project's own."""

    channel = "post"

    def request(self, text: str) -> dict[str, Any]:
        return {"sender": self.id, "message": text}

    def at(self, call: Call) -> str:
        return str(call.body["to"])


class OnPage:
    """A customer on the web chat, with a page that acknowledges."""

    channel = "socketio"

    def __init__(self, rasa: RasaServer, id: str) -> None:
        self.page = ScriptedCustomer(rasa.url, id, acks=True)
        self.id = self.conversation_id = id

    async def say(self, text: str) -> None:
        assert await self.page.say_with_id(text) == {"ok": True}


class LiveChat:
    """A live chat of one customer: ``able`` is its channel's row."""

    def __init__(self, able: ChannelCapabilities, rasa: RasaServer, vendors: Vendors, agent: ScriptedAgent) -> None:
        self.able, self.rasa, self.agent = able, rasa, agent
        id = f"88{next(NUMBERS)}{int(time.time())}"  # Telegram's are numbers
        if able.name == "socketio":
            self.customer: Any = OnPage(rasa, id)
        elif able is WHATSAPP:
            self.customer = OnTwilio(rasa, vendors, id=f"whatsapp:+{id}")
        elif able is OWN:
            self.customer = OnPost(rasa, vendors, id=id, place=f"room-{id}")
        else:
            self.customer = KINDS[able.name](rasa, vendors, id=id, place=f"room-{id}")

    @property
    def relay(self) -> Any:
        return self.rasa.channel.relay

    @property
    def conversation(self) -> Any:
        return self.relay.conversation(self.customer.conversation_id)

    async def begin(self) -> "LiveChat":
        """Ask for a person, who takes it."""
        if isinstance(self.customer, OnPage):
            await self.customer.page.__aenter__()
        await self.customer.say("I give up completely")
        self.handoff_id = await take(self.rasa, self.agent, self.customer)
        await self.got_all()
        return self

    async def end(self) -> None:
        """Give the conversation back to the bot."""
        if self.conversation.state is not Control.BOT:
            await give_back(self.rasa, self.agent, self.customer, self.handoff_id)
        if isinstance(self.customer, OnPage):
            await self.customer.page.__aexit__()

    async def agent_says(self, *parts: AnyPart, fetch: bool = True) -> list[dict[str, Any]]:
        """Have the agent say this, and return the messages that the vendor or the front end got."""
        before = len(self.got())
        here = {"conversation_id": self.customer.conversation_id, "handoff_id": self.handoff_id}
        said = AgentSaid(
            **here, id=f"a{next(NUMBERS)}", text=in_words(parts), at=time.time(), agent="Thandi", parts=parts
        )
        await self.relay.apply(said)
        if fetch:
            await self.got_all()
        return self.got()[before:]

    async def got_all(self) -> None:
        """Wait until the customer has got all that was said; where nothing is pushed, they ask for it."""
        if isinstance(self.customer, Fetching):
            await self.customer.ask("go on")
        await self.relay.flush(CUSTOMER, self.customer.conversation_id)

    def got(self) -> list[dict[str, Any]]:
        """Return all messages so far."""
        if isinstance(self.customer, OnPage):
            return self.customer.page.messages
        if isinstance(self.customer, Fetching):
            return [message for answer in self.customer.answers for message in self._in_answer(answer)]
        return [call.body for call in self.customer.calls()]

    def _in_answer(self, answer: str) -> list[dict[str, Any]]:
        if self.able.name == "twilio_voice":
            return [{"text": say.text or ""} for say in ElementTree.fromstring(answer).iter("Say")]
        read = json.loads(answer)
        return read if isinstance(read, list) else [read] if read else []

    def texts(self, messages: list[dict[str, Any]]) -> list[str]:
        """Return the texts that a customer reads, without those of pictures, files, buttons and cards."""
        named = ("text", "Body", "message")
        found = [value for one in messages for name in named if isinstance(value := one.get(name), str)]
        inner = [one["message"].get("text") for one in messages if isinstance(one.get("message"), dict)]
        return [text for text in (*found, *inner) if text]

    async def agent_hears(self, text: str) -> None:
        """Wait until the agent has read this from the customer."""
        await self.agent.hears("message", handoff_id=self.handoff_id, text=text, speaker="customer")

    async def settled(self) -> None:
        await eventually(lambda: not self.relay.delivers(CUSTOMER, self.customer.conversation_id))
