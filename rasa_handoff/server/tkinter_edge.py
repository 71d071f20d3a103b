"""The Tkinter demo's user window as a customer of this desk (docs/adapters/tkinter.md). Off unless ``serve`` is told to.

A connection is a conversation, from its first words to the end of a stream. One at a time, since the window's own port is one:
the next connection isn't read before. Nothing of a window survives it, so what a window that has gone wasn't told has failed.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from rasa_handoff.server import records, staffing
from rasa_handoff.server.bot_side import BotSide
from rasa_handoff.server.door import Mark
from rasa_handoff.server.tkinter_window import HERE, Ports, Visit
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.desk_events import CustomerEnded, CustomerSaid
from rasa_handoff.vocabulary.errors import HandoffError, Refused, Unreachable
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Channel, Offer, Status

log = get_log(__name__)

TKINTER: Final = "tkinter"
"""Side of the conversations that came from a window, and the outbox target that leads back to it."""
BOT_ID: Final = "tkinter-demo"
CHANNEL: Final = Channel(name="tkinter")
PAUSE: Final = 1.0

NOBODY: Final = "[Nobody is here at the moment. The next\nagent who comes will answer you]"
ENDED: Final = (
    "[The chat has ended. Nobody reads what you\nwrite now: end this program, and start it\nagain to talk to the bot]"
)
WORDS: Final = {
    "unanswered": "[Nobody has been free to answer yet.\nYou are still in the queue]",
    "customer_silent": "[Are you still there? The chat ends\nby itself if you don't answer]",
    "completed": ENDED,
    "failed": ENDED,
}
"""What a window reads of a status. It cuts lines off at about forty characters."""
LAST: Final = ("completed", "failed")


class TkinterEdge:
    """Hears the window while it is entered, if it was given ``ports``, and is the outbox target ``"tkinter"``."""

    batch: int = 1

    def __init__(self, conversations: BotSide, ports: Ports | None) -> None:
        self._conversations, self._ports = conversations, ports
        self._visit: Visit | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> "TkinterEdge":
        await self._conversations.do(_end_all)
        if self._ports is not None:
            try:
                self._server = await asyncio.start_server(self._receive, HERE, self._ports.listen)
            except OSError as problem:
                raise HandoffError(
                    f"{HERE}:{self._ports.listen} can't be listened on ({problem.strerror}): "
                    "close the admin window there, or give --tkinter-demo other ports."
                ) from problem
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await ended(*self._tasks)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark]:
        """Tell the window; the protocol has no acknowledgement."""
        (entry,) = entries
        say, visit = entry.body["say"], self._visit
        if visit is None or visit.handoff_id != lane:
            return _mark(lane, entry, Status.FAILED, "The window has closed.")
        text = say["text"] if entry.name == "message" else WORDS.get(say["status"])
        if text is not None:
            await visit.tell(text)
        if say.get("status") in LAST:
            visit.end()
        return _mark(lane, entry, Status.DELIVERED)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._ports is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        visit = Visit(self._ports.window, reader, writer)
        try:
            async with self._turn:
                self._visit = visit
                await self._hear(visit)
        finally:
            self._visit = None if self._visit is visit else self._visit
            await visit.close()

    async def _hear(self, visit: Visit) -> None:
        known = False
        async for text in visit.words():
            said = CustomerSaid(at=time.time(), id=uuid.uuid4().hex, text=text)
            await self._insist(partial(self._say if known else self._begin, visit.handoff_id, said))
            known = True
        self._visit = None
        if known:
            left = CustomerEnded(at=time.time(), reason="customer_left")
            await self._insist(partial(self._conversations.customer_ended, TKINTER, BOT_ID, visit.handoff_id, left))

    async def _begin(self, handoff_id: str, said: CustomerSaid) -> None:
        offer = Offer(handoff_id=handoff_id, conversation_id=handoff_id, bot_id=BOT_ID, channel=CHANNEL)

        def work(turn: Turn) -> None:
            record = turn.arrive(offer, TKINTER)
            if not staffing.serving(turn.connection, None, only_online=True):
                record = turn.notice(record, NOBODY, turn.now)
            turn.say(record, said)

        await self._conversations.do(work)

    async def _say(self, handoff_id: str, said: CustomerSaid) -> None:
        await self._conversations.customer_said(TKINTER, BOT_ID, handoff_id, said)

    async def _insist(self, work: Callable[[], Awaitable[object]]) -> None:
        """A window says nothing twice: what can't be taken now is tried until it can."""
        while not self._conversations.closing:
            try:
                await work()
                return
            except Refused as no:
                log.info("A window's words came too late: %s", no)
                return
            except Unreachable:
                await asyncio.sleep(PAUSE)
            except Exception:  # it mustn't end the task that reads what comes after it
                log.exception("What a window said couldn't be taken in, and is lost.")
                return


def _end_all(turn: Turn) -> None:
    """The windows of the process before this one have seen their end."""
    for record in records.unfinished(turn.connection):
        if record.side == TKINTER:
            with turn.apart("Handoff %s of a window that has gone can't be ended.", record.handoff_id):
                turn.apply(record, CustomerEnded(at=turn.now, reason="customer_left"))


def _mark(lane: str, entry: Entry, status: Status, reason: str | None = None) -> tuple[Mark, ...]:
    if entry.name != "message":
        return ()
    return (Mark(handoff_id=lane, message_id=entry.body["say"]["id"], status=status, reason=reason),)
