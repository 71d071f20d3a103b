"""A foreign live-agent server that speaks Botlhale's protocol (docs/adapters/botlhale.md).

The protocol acknowledges nothing and knows no queue, agent, note or slot: accepted means that it asked for the conversation
(``startConversation``), and the end is ``disconnect_socket``. Nothing connects before a handoff.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.desks.base import Desk, either
from rasa_handoff.desks.wire import Wire
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.apart import apart
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.features import YES, Feature, Theirs
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Offer

log = get_log(__name__)

MESSAGE_LEFT: Final = "message_left"


class BotlhaleDesk(Desk):
    """All conversations with a foreign server, each on its own :class:`Wire`."""

    features = {
        Feature.INTENTS: YES,
        Feature.OPTIONS: "`departments` of the settings",
        Feature.RULES: Theirs("theirs"),
        Feature.TRANSCRIPT: "when asked, again too",
        Feature.RELAY: "this package",
        Feature.SEVERAL: "a socket each",
        Feature.KEPT: "what wasn't sent; nothing is acknowledged",
        Feature.TRACKED: YES,
        Feature.ACTIVE: "bot or waiting",
        Feature.LEAVING: YES,
        Feature.TIMERS: "the relay's",
        Feature.BACK: "it speaks first",
        Feature.CLOSE: YES,
    }

    def __init__(self, settings: Settings, relay: Relay) -> None:
        super().__init__(settings, relay)
        self._answerable = settings.timers.silence
        self._wires: dict[str, Wire] = {}
        self._lingering: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def connected(self) -> bool:
        """Nothing connects before a handoff, so there is nothing to miss."""
        return True

    async def open(self) -> None:
        """Connect again for every conversation that was with the desk when this process ended."""
        for conversation in self.relay.under_way:
            if conversation.desk_active and conversation.handoff_id is not None:
                with apart(
                    log,
                    "Handoff %s of %s can't be connected again.",
                    conversation.handoff_id,
                    short_id(conversation.conversation_id),
                ):
                    self._wire(await self.relay.offer_of(conversation.handoff_id)).start()

    async def close(self) -> None:
        """Disconnect all; the conversations stay open on the other side, as far as it lets them."""
        self._closed = True
        await ended(*self._lingering.values())
        for handoff_id, wire in list(self._wires.items()):
            with apart(log, "The connection of handoff %s didn't close.", handoff_id):
                await wire.stop()
        self._wires.clear()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Open the conversation, say something in it, or end it."""
        (entry,) = entries
        if self._closed:
            raise Unreachable("This process is stopping.")
        handoff_id = entry.body["handoff_id"]
        if entry.name == "handoff.initiate":
            return await self._initiate(lane, handoff_id)
        if entry.name == "handoff.transcript":
            if handoff_id in self._wires:
                await self._wires[handoff_id].tell_transcript(await self.relay.offer_of(handoff_id))
        elif entry.name == "message":
            await self._say(lane, handoff_id, entry.body)
        elif entry.name == "handoff.status" and entry.body["status"] == MESSAGE_LEFT:
            self._linger(handoff_id)
        elif entry.name == "handoff.status":
            await self._end(handoff_id)
        return []  # message.status: the protocol has no word for it

    async def _initiate(self, lane: str, handoff_id: str) -> list[e.Event]:
        # A message that was left may still have a socket: the server tells conversations apart by an id that both would have.
        for other in [wire.offer for wire in self._wires.values() if wire.offer.conversation_id == lane]:
            if other.handoff_id != handoff_id:
                await self._end(other.handoff_id)
        wire = self._wire(await self.relay.offer_of(handoff_id))
        wire.start()
        # As long as somebody waits for it and no longer: the next request stands behind this one.
        await either(self.relay.wait_while(lane, {Control.REQUESTED}), wire.registered)
        if not wire.registered.is_set():
            raise Unreachable(f"The live-agent server at {self.settings.url} doesn't answer.")
        return [e.HandoffAccepted(conversation_id=lane, handoff_id=handoff_id)]

    async def _say(self, lane: str, handoff_id: str, said: dict[str, Any]) -> None:
        if handoff_id not in self._wires and not await self._is_owed(lane, handoff_id):
            log.info("Words of %s came after the end of handoff %s; nobody hears them.", short_id(lane), handoff_id)
            return
        wire = self._wire(await self.relay.offer_of(handoff_id))
        wire.start()
        await wire.say(said["text"], id=said["id"], number=said["number"])

    async def _is_owed(self, lane: str, handoff_id: str) -> bool:
        """Whether the words are for somebody: of a handoff under way, or a message that was left before a restart."""
        conversation = self.relay.conversation(lane)
        if conversation.handoff_id == handoff_id and conversation.state is not Control.RETURNING:
            return True
        return await self.relay.store.write(lambda connection: memory.has_message(connection, handoff_id))

    def _wire(self, offer: Offer) -> Wire:
        if offer.handoff_id not in self._wires:
            self._wires[offer.handoff_id] = Wire(self.relay, self.settings, offer, self._end)
        return self._wires[offer.handoff_id]

    def _linger(self, handoff_id: str) -> None:
        """A socket that closes ends the conversation there: a message that was left keeps it open for the answer."""

        async def linger() -> None:
            await asyncio.sleep(self._answerable)
            await self._end(handoff_id)

        if handoff_id in self._wires:
            self._lingering[handoff_id] = asyncio.create_task(linger())

    async def _end(self, handoff_id: str) -> None:
        wire, lingering = self._wires.pop(handoff_id, None), self._lingering.pop(handoff_id, None)
        if lingering is not None and lingering is not asyncio.current_task():
            await ended(lingering)
        if wire is not None:
            await wire.stop()
