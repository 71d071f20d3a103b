"""The Tkinter demo's admin window as a desk: this package plays the demo's user (docs/adapters/tkinter.md).

1. One conversation has the window; the others wait for it in order and get their position.
2. The window accepts one connection per run, so it is free again only after it was closed and opened.
3. Closing the window ends its conversation. If the connection was cut, or lost by our restart, the window no longer has the
   conversation, which is offered again with everything said since.
4. Messages sent before the window is there wait in the outbox.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.core.control import Control
from rasa_handoff.desks.base import UNNOTICED_SECONDS, Desk, apply, retry_until_stored
from rasa_handoff.desks.tkinter_window import Window
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.errors import Unreachable, Waits
from rasa_handoff.protocol.features import YES, Feature
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.payloads import (
    EndedPayload,
    MessagePayload,
    OfferPayload,
    RelayStatusPayload,
    StatusPayload,
    TranscriptPayload,
)
from rasa_handoff.protocol.values import Agent, Line, Offer, Speaker
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

STOPPING: Final = "This process is stopping."

ADMIN: Final = Agent(id="admin", name="Admin")
"""The window doesn't report a name."""
LONGEST_IN_WINDOW: Final = 30_000
"""Characters of the transcript, from its end: as many as a window can buffer in one piece."""
MOST_BEFORE: Final = 6
"""Messages that are shown from before the handoff. The window shows twenty lines and doesn't scroll, so the chat needs the
rest."""

BEFORE: Final = "[What was said before]"
MORE: Final = "[...]"
SINCE: Final = "[What follows is said now]"
LEFT: Final = "[The customer has left. End this program,\nand start it again for the next one]"
"""The window cuts lines at about forty characters."""
NAMES: Final = {Speaker.CUSTOMER: "User", Speaker.BOT: "Bot", Speaker.AGENT: "Admin"}


class WindowSession:
    """The conversation that has the window. ``over``: our side has ended it."""

    def __init__(self, offer: Offer, settings: DeskSettings, relay: Relay) -> None:
        self.offer, self.over = offer, False
        self.task: asyncio.Task[None] | None = None
        self.window = Window(settings.admin_port, settings.listen_port, self._joined, self._said)
        self._relay = relay
        self._event_fields: dict[str, Any] = {"conversation_id": offer.conversation_id, "handoff_id": offer.handoff_id}

    async def take(self) -> None:
        """Connect to the window and show the transcript.

        Raises:
            Unreachable: the window isn't there; nothing is left open.
        """
        try:
            await self.window.open()
            # A repeated offer also contains what was said since the first one, which must not be cut.
            before = len((await self._relay.offer_of(self.offer.handoff_id)).transcript)
            await self.window.show(transcript_text(self.offer.transcript, before))
        except BaseException:
            await self.window.close()
            raise

    async def leave(self) -> None:
        """End the conversation on our side."""
        self.over = True
        await self.window.let_go(LEFT)

    async def apply_end(self) -> None:
        """Apply the end of a conversation whose window was closed: completed if the person has written, else failed."""
        if self.window.spoke:
            await apply(self._relay, events.HandoffCompleted(**self._event_fields))
        else:
            await apply(self._relay, events.HandoffFailed(**self._event_fields, reason="desk_closed"))

    async def _joined(self) -> None:
        # The window may write before our own acceptance is stored.
        await self._relay.wait_while(self.offer.conversation_id, {Control.REQUESTED})
        await apply(self._relay, events.AgentJoined(**self._event_fields, agent=ADMIN))

    async def _said(self, text: str) -> None:
        said: dict[str, Any] = {"id": uuid.uuid4().hex, "text": text, "at": time.time()}
        refused = await apply(self._relay, events.AgentSaid(**self._event_fields, **said, agent=ADMIN.name))
        if refused is not None:
            await self.window.show(f"[{refused}]")


def transcript_text(transcript: Sequence[Line], before: int) -> str:
    """Return the transcript as text for the window.

    ``before``: how many of its lines are from before the handoff; the last of these are shown, and all later ones.
    """
    kept = transcript[max(0, before - MOST_BEFORE) :]
    lines = [MORE] if len(kept) < len(transcript) else []
    lines += [f"{NAMES.get(line.speaker, 'Bot')}: {line.text}" for line in kept]
    return "\n".join([BEFORE, "\n".join(lines)[-LONGEST_IN_WINDOW:], SINCE])


class TkinterDesk(Desk):
    """One admin window, and the handoffs that wait for it, in their order."""

    features = {
        Feature.INTENTS: YES,
        Feature.OPTIONS: "`departments` of the settings",
        Feature.TRANSCRIPT: "its last messages",
        Feature.QUEUE: "place in the line",
        Feature.RELAY: "this package",
        Feature.SEVERAL: "one; the next wait in line",
        Feature.KEPT: "offered again with all that was said",
        Feature.TRACKED: YES,
        Feature.ACTIVE: YES,
        Feature.LEAVING: YES,
        Feature.TIMERS: "the relay's",
        Feature.BACK: "it speaks first",
        Feature.CLOSE: YES,
    }

    def __init__(self, settings: Settings, relay: Relay) -> None:
        super().__init__(settings, relay)
        self._session: WindowSession | None = None
        self._waiting: list[str] = []
        self._lock = asyncio.Lock()
        self._opened = asyncio.Event()
        self._closed = False
        self._absent_since: float | None = None

    @property
    def connected(self) -> bool:
        """Always True: nothing connects before a handoff."""
        return True

    async def open(self) -> None:
        """Queue what was with the desk when the last process ended. The window saw that as an end, so all is offered again."""
        with_us = [conversation for conversation in self.relay.under_way if conversation.desk_active]
        with_us.sort(key=lambda conversation: conversation.position or 0)
        async with self._lock:
            self._closed = False
            self._waiting = [str(conversation.handoff_id) for conversation in with_us]
            await self._call_next()
        self._opened.set()

    async def close(self) -> None:
        """Disconnect from the window, which then treats its conversation as ended; here the conversations stay as they are."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and session.task is not None:
            await cancel_all(session.task)
            await session.window.close()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Offer a conversation, send a message in it, or end it."""
        (entry,) = entries
        handoff_id = str(entry.handoff_id)
        await self._opened.wait()
        async with self._lock:
            if self._closed:
                raise Unreachable(STOPPING)
            if entry.name == OfferPayload.event and not self._is_under_way(lane, handoff_id):
                await self._leave(handoff_id)  # the customer left while the window was away
            elif entry.name == OfferPayload.event:
                position = await self._enqueue(entry.read(OfferPayload).offer)
                return [events.HandoffAccepted(conversation_id=lane, handoff_id=handoff_id, position=position)]
            elif entry.name == TranscriptPayload.event and self._session is not None and self._has_window(handoff_id):
                lines = entry.read(TranscriptPayload).transcript
                await self._session.window.show(transcript_text(lines, len(lines)))
            elif entry.name == MessagePayload.event:
                await self._say(lane, handoff_id, entry.read(MessagePayload).text)
            elif entry.name == StatusPayload.event and isinstance(entry.read(RelayStatusPayload), EndedPayload):
                await self._leave(handoff_id)
        return []  # message.status can't be shown; a message that was left stays until the window is closed

    # Handoffs that wait for the window

    async def _enqueue(self, offer: Offer) -> int | None:
        """Queue an offer and return its position, from 1; None if it has the window."""
        handoff_id = offer.handoff_id
        first = self._waiting[0] if self._waiting else handoff_id
        if self._session is None and first == handoff_id:
            await self._take(offer)
        elif not self._has_window(handoff_id) and handoff_id not in self._waiting:
            if self._absent_since is not None:
                raise Unreachable("The admin window isn't there.")
            self._waiting.append(handoff_id)
        return self._waiting.index(handoff_id) + 1 if handoff_id in self._waiting else None

    async def _take(self, offer: Offer) -> None:
        session = WindowSession(offer, self.settings, self.relay)
        try:
            await session.take()
        except Unreachable:
            await self._note_absence()
            raise
        if self._closed:
            await session.window.close()
            raise Unreachable(STOPPING)
        self._session = session
        if offer.handoff_id in self._waiting:
            self._waiting.remove(offer.handoff_id)
        session.task = asyncio.create_task(self._attend(session))
        await self._end_absence()
        await self._report_positions()

    async def _say(self, lane: str, handoff_id: str, text: str) -> None:
        if not await self._has_receiver(lane, handoff_id):
            log.info("A message of %s came after the end of handoff %s and is dropped.", short_id(lane), handoff_id)
            return
        if not self._has_window(handoff_id) and handoff_id not in self._waiting:
            self._waiting.append(handoff_id)  # a message that was left before a restart
        # A message that was left isn't offered again; it gets the window here.
        if self._session is None and self._waiting[0] == handoff_id and not self.relay.conversation(lane).desk_active:
            await self._take(await self.relay.offer_of(handoff_id))
        if self._session is None or not self._has_window(handoff_id) or self._session.window.gone:
            raise Waits(f"The admin window isn't available for {short_id(lane)} now.")
        await self._session.window.show(text)

    def _is_under_way(self, lane: str, handoff_id: str) -> bool:
        conversation = self.relay.conversation(lane)
        asked = conversation.desk_active or conversation.state is Control.REQUESTED
        return asked and conversation.handoff_id == handoff_id

    async def _has_receiver(self, lane: str, handoff_id: str) -> bool:
        """Return whether a message has a receiver: its handoff is under way, or a message was left."""
        if self._is_under_way(lane, handoff_id):
            return True
        return await self.relay.store.write(lambda connection: repository.message_was_left(connection, handoff_id))

    async def _leave(self, handoff_id: str) -> None:
        if self._session is not None and self._has_window(handoff_id):
            await self._session.leave()
        elif handoff_id in self._waiting:
            first = self._waiting[0] == handoff_id
            self._waiting.remove(handoff_id)
            await self._report_positions()
            if first:
                await self._call_next()

    async def _attend(self, session: WindowSession) -> None:
        """Wait until the window is closed, then give it to the next handoff."""
        closed = await session.window.ended()
        async with self._lock:
            if self._session is not session:
                return
            self._session = None
            await session.window.close()
            if not session.over and closed:
                await session.apply_end()
            elif not session.over:
                self._waiting.insert(0, session.offer.handoff_id)
            await self.relay.notify(DESK, session.offer.conversation_id)
            await self._call_next()

    async def _call_next(self) -> None:
        """Offer again the first handoff that waits, with what was said since; the outbox delivers it."""
        if self._session is not None or not self._waiting:
            return
        conversation_id = str(await self.relay.conversation_of(self._waiting[0]))
        conversation = self.relay.conversation(conversation_id)
        if conversation.desk_active and conversation.handoff_id == self._waiting[0]:
            await retry_until_stored(lambda: self.relay.reconnection.offer_again(conversation))
        else:
            await self.relay.notify(DESK, conversation_id)

    async def _report_positions(self) -> None:
        for position, handoff_id in enumerate(self._waiting, start=1):
            conversation_id = str(await self.relay.conversation_of(handoff_id))
            event_fields: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
            await apply(self.relay, events.PositionChanged(**event_fields, position=position))

    def _has_window(self, handoff_id: str) -> bool:
        return self._session is not None and self._session.offer.handoff_id == handoff_id

    # An absent window

    async def _note_absence(self) -> None:
        """Note the absence; after ``UNNOTICED_SECONDS`` report the desk as lost, once."""
        now = time.monotonic()
        if self._absent_since is None:
            self._absent_since = now
        if now - self._absent_since >= UNNOTICED_SECONDS:
            desk_away = [conversation.desk_away for conversation in self.relay.under_way if conversation.desk_active]
            if not all(desk_away):
                await self.relay.reconnection.apply_to_all(events.DeskLost)

    async def _end_absence(self) -> None:
        self._absent_since = None
        if any(conversation.desk_away for conversation in self.relay.under_way):
            await self.relay.reconnection.apply_to_all(events.DeskBack)
