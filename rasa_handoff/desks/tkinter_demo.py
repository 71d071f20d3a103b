"""The Tkinter demo's admin window as a desk: this package plays the demo's user (docs/adapters/tkinter.md).

1. One conversation has the window; the others wait in line and are told their place.
2. The window is free when it has been closed and opened again: it takes one connection in its life.
3. A window that was closed ends the conversation. One that was cut, or that we lost by a restart, has forgotten it: it is
   offered again, with all that was said.
4. What is said before the window is there waits in the outbox.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.desks.base import Desk, apply, insist
from rasa_handoff.desks.seat import Seat, story
from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Unreachable, Waits
from rasa_handoff.vocabulary.features import YES, Feature
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Offer, Transcript, read

log = get_log(__name__)

UNNOTICED_SECONDS: Final = 10.0
STOPPING: Final = "This process is stopping."


class TkinterDesk(Desk):
    """One admin window, and the line before it."""

    features = {
        Feature.INTENTS: YES,
        Feature.OPTIONS: "`departments` of the settings",
        Feature.TRANSCRIPT: "its end",
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
        self._seat: Seat | None = None
        self._line: list[str] = []
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()
        self._closed = False
        self._absent_since: float | None = None

    @property
    def connected(self) -> bool:
        """Nothing connects before a handoff, so there is nothing to miss."""
        return True

    async def open(self) -> None:
        """Line up what was with the desk when this process ended. The window has seen an end, and is told all again."""
        with_us = [conversation for conversation in self.relay.under_way if conversation.desk_active]
        with_us.sort(key=lambda conversation: conversation.position or 0)
        async with self._turn:
            self._line = [str(conversation.handoff_id) for conversation in with_us]
            await self._call_next()
        self._opened.set()

    async def close(self) -> None:
        """Let go of the window, which takes it for the end; the conversations stay as they are."""
        self._closed = True
        seat, self._seat = self._seat, None
        if seat is not None and seat.task is not None:
            await ended(seat.task)
            await seat.window.close()

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Offer a conversation, say something in it, or end it."""
        (entry,) = entries
        handoff_id = entry.body["handoff_id"]
        await self._opened.wait()
        async with self._turn:
            if self._closed:
                raise Unreachable(STOPPING)
            if entry.name == "handoff.initiate" and not self._is_wanted(lane, handoff_id):
                await self._leave(handoff_id)  # the customer has left while the window wasn't there
            elif entry.name == "handoff.initiate":
                position = await self._line_up(read(Offer, entry.body))
                return [e.HandoffAccepted(conversation_id=lane, handoff_id=handoff_id, position=position)]
            elif entry.name == "handoff.transcript" and self._seat is not None and self._has_window(handoff_id):
                lines = read(Transcript, entry.body).transcript
                await self._seat.window.show(story(lines, len(lines)))
            elif entry.name == "message":
                await self._say(lane, handoff_id, entry.body["text"])
            elif entry.name == "handoff.status" and entry.body["status"] == "ended":
                await self._leave(handoff_id)
        return []  # message.status: a window has no word for it; a message that was left stays until it is closed

    # The line

    async def _line_up(self, offer: Offer) -> int | None:
        """The place in the line, from 1; None for who has the window."""
        handoff_id = offer.handoff_id
        first = self._line[0] if self._line else handoff_id
        if self._seat is None and first == handoff_id:
            await self._take(offer)
        elif not self._has_window(handoff_id) and handoff_id not in self._line:
            if self._absent_since is not None:
                raise Unreachable("The admin window isn't there.")
            self._line.append(handoff_id)
        return self._line.index(handoff_id) + 1 if handoff_id in self._line else None

    async def _take(self, offer: Offer) -> None:
        seat = Seat(offer, self.settings, self.relay)
        try:
            await seat.take()
        except Unreachable:
            await self._miss()
            raise
        if self._closed:
            await seat.window.close()
            raise Unreachable(STOPPING)
        self._seat = seat
        if offer.handoff_id in self._line:
            self._line.remove(offer.handoff_id)
        seat.task = asyncio.create_task(self._attend(seat))
        await self._found()
        await self._tell_places()

    async def _say(self, lane: str, handoff_id: str, text: str) -> None:
        if not await self._is_owed(lane, handoff_id):
            log.info("Words of %s came after the end of handoff %s; nobody hears them.", short_id(lane), handoff_id)
            return
        if not self._has_window(handoff_id) and handoff_id not in self._line:
            self._line.append(handoff_id)  # a message that was left before a restart
        if self._seat is None and self._line[0] == handoff_id and not self.relay.conversation(lane).desk_active:
            await self._take(await self.relay.offer_of(handoff_id))
        if self._seat is None or not self._has_window(handoff_id) or self._seat.window.gone:
            raise Waits(f"The admin window isn't of {short_id(lane)} now.")
        await self._seat.window.show(text)

    def _is_wanted(self, lane: str, handoff_id: str) -> bool:
        conversation = self.relay.conversation(lane)
        asked = conversation.desk_active or conversation.state is Control.REQUESTED
        return asked and conversation.handoff_id == handoff_id

    async def _is_owed(self, lane: str, handoff_id: str) -> bool:
        """Whether the words are for somebody: of a handoff under way, or a message that was left."""
        if self._is_wanted(lane, handoff_id):
            return True
        return await self.relay.store.write(lambda connection: memory.has_message(connection, handoff_id))

    async def _leave(self, handoff_id: str) -> None:
        if self._seat is not None and self._has_window(handoff_id):
            await self._seat.leave()
        elif handoff_id in self._line:
            first = self._line[0] == handoff_id
            self._line.remove(handoff_id)
            await self._tell_places()
            if first:
                await self._call_next()

    async def _attend(self, seat: Seat) -> None:
        """Until the window is closed; then it is the next one's turn."""
        closed = await seat.window.ended()
        async with self._turn:
            if self._seat is not seat:
                return
            self._seat = None
            await seat.window.close()
            if not seat.over and closed:
                await seat.end()
            elif not seat.over:
                self._line.insert(0, seat.offer.handoff_id)
            await self.relay.ring(DESK, seat.offer.conversation_id)
            await self._call_next()

    async def _call_next(self) -> None:
        """Offer the first in line again: with the words it has said since, and the outbox sees to the rest."""
        if self._seat is not None or not self._line:
            return
        conversation_id = str(await self.relay.conversation_of(self._line[0]))
        conversation = self.relay.conversation(conversation_id)
        if conversation.desk_active and conversation.handoff_id == self._line[0]:
            await insist(lambda: self.relay.offer_again(conversation))
        else:
            await self.relay.ring(DESK, conversation_id)

    async def _tell_places(self) -> None:
        for place, handoff_id in enumerate(self._line, start=1):
            conversation_id = str(await self.relay.conversation_of(handoff_id))
            here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": handoff_id}
            await apply(self.relay, e.PositionChanged(**here, position=place))

    def _has_window(self, handoff_id: str) -> bool:
        return self._seat is not None and self._seat.offer.handoff_id == handoff_id

    # A window that isn't there

    async def _miss(self) -> None:
        """A short absence is nobody's business; after that who is with us is told, once."""
        now = time.monotonic()
        if self._absent_since is None:
            self._absent_since = now
        if now - self._absent_since >= UNNOTICED_SECONDS:
            told = [conversation.desk_away for conversation in self.relay.under_way if conversation.desk_active]
            if not all(told):
                await self.relay.apply_to_all(e.DeskLost)

    async def _found(self) -> None:
        self._absent_since = None
        if any(conversation.desk_away for conversation in self.relay.under_way):
            await self.relay.apply_to_all(e.DeskBack)
