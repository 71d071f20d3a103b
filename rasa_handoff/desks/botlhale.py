"""A foreign live-agent server that speaks Botlhale's protocol (reference/wire-formats.md, section 1).

One socket per conversation, opened when the handoff starts. The protocol acknowledges nothing and knows no queue, agent,
note or slot: accepted means that it asked for the conversation (``startConversation``), and the end is
``disconnect_socket``.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.desks.base import Desk, apply
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Line, Offer, Speaker

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 4.0
LONGEST_PAUSE: Final = 3.0


class BotlhaleDesk(Desk):
    """All conversations with a foreign server, each on its own :class:`Wire`."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        super().__init__(settings, relay)
        self._wires: dict[str, Wire] = {}

    @property
    def connected(self) -> bool:
        """Nothing connects before a handoff, so there is nothing to miss."""
        return True

    async def open(self) -> None:
        """Connect again for every conversation that was with the desk when this process ended."""
        for conversation in self.relay.under_way:
            if conversation.desk_active and conversation.handoff_id is not None:
                self._wire(await self.relay.offer_of(conversation.handoff_id)).start()

    async def close(self) -> None:
        """Disconnect all; the conversations stay open on the other side, as far as it lets them."""
        for wire in list(self._wires.values()):
            await wire.stop()
        self._wires.clear()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Open the conversation, say something in it, or end it."""
        (entry,) = entries
        if entry.name == "handoff.initiate":
            return await self._initiate(lane, entry)
        wire = self._wires.get(entry.body["handoff_id"])
        if entry.name == "message" and wire is not None:
            await wire.say(entry.body["text"])
        elif entry.name == "handoff.status" and wire is not None:
            await self._end(wire)
        return []  # message.status: the protocol has no word for it

    async def _initiate(self, lane: str, entry: Entry) -> list[e.Event]:
        offer = await self.relay.offer_of(entry.body["handoff_id"])
        wire = self._wire(offer)
        wire.start()
        await wire.started()
        return [e.HandoffAccepted(conversation_id=lane, handoff_id=offer.handoff_id)]

    def _wire(self, offer: Offer) -> "Wire":
        return self._wires.setdefault(offer.handoff_id, Wire(self, offer))

    async def _end(self, wire: "Wire") -> None:
        self._wires.pop(wire.offer.handoff_id, None)
        await wire.stop()


class Wire:
    """One conversation's socket: connects, registers, sends the transcript when asked, connects again when cut."""

    def __init__(self, desk: BotlhaleDesk, offer: Offer) -> None:
        self.offer = offer
        self._desk = desk
        self._namespace = desk.settings.namespace
        self._client = socketio.AsyncClient(reconnection=False)
        self._acknowledged, self._registered, self._lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: asyncio.Queue[e.Event] = asyncio.Queue()
        for name in ("connect", "startConversation", "messages", "to_user", "disconnect_socket", "disconnect"):
            self._client.on(name, getattr(self, f"_on_{name}"), namespace=self._namespace)

    def start(self) -> None:
        """Connect and stay connected, in the background."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._stay_connected()), asyncio.create_task(self._pass_on())]

    async def stop(self) -> None:
        """Disconnect for good."""
        self._over = True
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.disconnect()

    async def started(self) -> None:
        """Wait until the server has asked for the conversation.

        Raises:
            Unreachable: if it doesn't in ``CONNECT_SECONDS``.
        """
        try:
            await asyncio.wait_for(self._registered.wait(), CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise Unreachable(f"The live-agent server at {self._desk.settings.url} doesn't answer.") from None

    async def say(self, text: str) -> None:
        """Send the customer's words; they count as sent once they are on a registered socket."""
        await self.started()
        await self._emit("from_user", {"message": text, **self._ids()})

    def _ids(self) -> dict[str, str]:
        return {"ConversationID": self.offer.conversation_id, "BotID": self.offer.bot_id}

    async def _emit(self, name: str, body: dict[str, Any]) -> None:
        try:
            await self._client.emit(name, body, namespace=self._namespace)
        except SocketIOError as problem:
            raise Unreachable(f"The connection to the live-agent server was lost: {problem!r}") from problem

    async def _stay_connected(self) -> None:
        pause = 0.1
        while not self._over:
            self._lost.clear()
            try:
                await self._client.connect(
                    self._desk.settings.url, namespaces=[self._namespace], transports=["websocket"], wait_timeout=5
                )
                pause = 0.1
                await self._lost.wait()
            except Exception as problem:  # the client raises more than its own: a TypeError for a socket closed at once
                log.warning("The live-agent server at %s can't be reached: %s", self._desk.settings.url, problem)
            self._acknowledged.clear()
            self._registered.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _on_connect(self) -> None:
        self._acknowledged.set()

    async def _on_startConversation(self, *_: Any) -> None:  # noqa: N802 - the protocol's spelling
        # It may come before the connect is acknowledged; python-socketio can't answer until then.
        await self._acknowledged.wait()
        await self._emit("username", self._ids())
        self._registered.set()
        await self._desk.relay.ring(DESK, self.offer.conversation_id)

    async def _on_messages(self, *_: Any) -> None:
        lines = [{"sender": _sender(line), "message": line.text} for line in self.offer.transcript]
        await self._emit("messages_to_client", {"messages": lines, "bot_id": self.offer.bot_id})

    async def _on_to_user(self, data: Any = None, *_: Any) -> None:
        body = data if isinstance(data, dict) else {"message": data}
        text = str(body.get("message") or "").strip()
        if not text:
            return
        said: dict[str, Any] = {"id": str(body.get("id") or uuid.uuid4().hex), "text": text, "at": time.time()}
        self._heard.put_nowait(e.AgentSaid(**self._here(), **said))

    async def _on_disconnect_socket(self, *_: Any) -> None:
        self._heard.put_nowait(e.HandoffCompleted(**self._here()))

    async def _pass_on(self) -> None:
        """What the server says, in its order; it may greet before our own acceptance is written down."""
        while not self._over:
            event = await self._heard.get()
            await self._desk.relay.wait_while(self.offer.conversation_id, {Control.REQUESTED})
            await apply(self._desk.relay, event)
            if isinstance(event, e.HandoffCompleted):
                await self._desk._end(self)

    async def _on_disconnect(self, *_: Any) -> None:
        self._registered.clear()
        self._lost.set()

    def _here(self) -> dict[str, Any]:
        return {"conversation_id": self.offer.conversation_id, "handoff_id": self.offer.handoff_id}


def _sender(line: Line) -> str:
    return "user" if line.speaker is Speaker.CUSTOMER else "bot"
