"""A foreign live-agent server that speaks Botlhale's protocol (docs/adapters/botlhale.md).

The protocol has no acknowledgements, queue, agents, notes or slots. A handoff counts as accepted once the server has asked for
the conversation (``startConversation``), and ends with ``disconnect_socket``. Nothing connects before a handoff.
"""

import asyncio
from collections.abc import Sequence

from rasa_handoff.core.control import Control
from rasa_handoff.desks.base import Desk, wait_for_either
from rasa_handoff.desks.botlhale_socket import BotlhaleSocket
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.features import YES, Feature, Theirs
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.payloads import (
    MessageLeftPayload,
    MessagePayload,
    OfferPayload,
    RelayStatusPayload,
    StatusPayload,
    TranscriptPayload,
)
from rasa_handoff.protocol.values import Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import Relay
from rasa_handoff.store.failures import isolated
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)


class BotlhaleDesk(Desk):
    """All conversations with a foreign server, each on its own :class:`BotlhaleSocket`."""

    features = {
        Feature.INTENTS: YES,
        Feature.OPTIONS: "`departments` of the settings",
        Feature.RULES: Theirs("theirs"),
        Feature.TRANSCRIPT: "when asked, also when asked again",
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
        self._answerable_seconds = settings.timers.silence
        self._sockets: dict[str, BotlhaleSocket] = {}
        self._lingering: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def connected(self) -> bool:
        """Always True: nothing connects before a handoff."""
        return True

    async def open(self) -> None:
        """Reconnect every conversation that was with the desk when the last process ended."""
        self._closed = False
        for conversation in self.relay.under_way:
            if conversation.desk_active and conversation.handoff_id is not None:
                with isolated(
                    log,
                    "Handoff %s of %s can't be connected again.",
                    conversation.handoff_id,
                    short_id(conversation.conversation_id),
                ):
                    self._socket(await self.relay.offer_of(conversation.handoff_id)).start()

    async def close(self) -> None:
        """Disconnect all sockets; the conversations stay open on the server, as far as it allows."""
        self._closed = True
        await cancel_all(*self._lingering.values())
        self._lingering.clear()
        for handoff_id, socket in list(self._sockets.items()):
            with isolated(log, "The connection of handoff %s didn't close.", handoff_id):
                await socket.stop()
        self._sockets.clear()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Open a conversation, send a message in it, or end it."""
        (entry,) = entries
        if self._closed:
            raise Unreachable("This process is stopping.")
        handoff_id = str(entry.handoff_id)
        if entry.name == OfferPayload.event:
            return await self._initiate(lane, handoff_id)
        if entry.name == TranscriptPayload.event:
            if handoff_id in self._sockets:
                await self._sockets[handoff_id].send_transcript(await self.relay.offer_of(handoff_id))
        elif entry.name == MessagePayload.event:
            await self._say(lane, entry.read(MessagePayload))
        elif entry.name == StatusPayload.event:
            if isinstance(entry.read(RelayStatusPayload), MessageLeftPayload):
                self._linger(handoff_id)
            else:
                await self._end(handoff_id)
        return []  # the protocol can't express message.status

    async def _initiate(self, lane: str, handoff_id: str) -> list[events.Event]:
        # A message that was left may still have a socket. The server identifies conversations by an id that both would share.
        for other in [socket.offer for socket in self._sockets.values() if socket.offer.conversation_id == lane]:
            if other.handoff_id != handoff_id:
                await self._end(other.handoff_id)
        socket = self._socket(await self.relay.offer_of(handoff_id))
        socket.start()
        # Wait only while the request is open: if it has timed out, a later request of this lane must not wait for this one.
        await wait_for_either(self.relay.wait_while(lane, {Control.REQUESTED}), socket.registered)
        if not socket.registered.is_set():
            raise Unreachable(f"The live-agent server at {self.settings.url} doesn't answer.")
        return [events.HandoffAccepted(conversation_id=lane, handoff_id=handoff_id)]

    async def _say(self, lane: str, said: MessagePayload) -> None:
        handoff_id = said.handoff_id
        if handoff_id not in self._sockets and not await self._has_receiver(lane, handoff_id):
            log.info("A message of %s came after the end of handoff %s and is dropped.", short_id(lane), handoff_id)
            return
        socket = self._socket(await self.relay.offer_of(handoff_id))
        socket.start()
        await socket.say(said.text, id=said.id, number=said.number)

    async def _has_receiver(self, lane: str, handoff_id: str) -> bool:
        """Return whether a message has a receiver: its handoff is under way, or a message was left before a restart."""
        conversation = self.relay.conversation(lane)
        if conversation.handoff_id == handoff_id and conversation.state is not Control.RETURNING:
            return True
        return await self.relay.store.write(lambda connection: repository.message_was_left(connection, handoff_id))

    def _socket(self, offer: Offer) -> BotlhaleSocket:
        if offer.handoff_id not in self._sockets:
            self._sockets[offer.handoff_id] = BotlhaleSocket(self.relay, self.settings, offer, self._end)
        return self._sockets[offer.handoff_id]

    def _linger(self, handoff_id: str) -> None:
        """Keep the socket of a message that was left open for the answer: closing it would end the conversation there."""

        async def linger() -> None:
            await asyncio.sleep(self._answerable_seconds)
            await self._end(handoff_id)

        # The second status of a message that was left, with the contact, changes nothing.
        if handoff_id in self._sockets and handoff_id not in self._lingering:
            self._lingering[handoff_id] = asyncio.create_task(linger())

    async def _end(self, handoff_id: str) -> None:
        socket, lingering = self._sockets.pop(handoff_id, None), self._lingering.pop(handoff_id, None)
        if lingering is not None and lingering is not asyncio.current_task():
            await cancel_all(lingering)
        if socket is not None:
            await socket.stop()
