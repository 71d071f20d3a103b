"""A desk that only one process may be connected to, where several Rasa processes share the relay's database.

A protocol without ids takes what two sockets of one conversation hear for two messages. So one process is connected, the one that
began first, and the others give it what is for the desk. When it ends, or stands still, the next one connects the conversations
that are under way again, as after a restart.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from rasa_handoff.desks.base import Desk, OnRead, OnTyping
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Agent, Availability, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks which process began first."""
ELSEWHERE: Final = "Another Rasa process is connected to the desk."


class DeskOfOneProcess(Desk):
    """Has a ``desk`` open while this process is the first of those that share the relay's database."""

    def __init__(self, desk: Desk, settings: Settings, relay: Relay) -> None:
        self._desk = desk
        self._is_open = False
        self._task: asyncio.Task[None] | None = None
        super().__init__(settings, relay)
        self.batch, self.recognises, self.takes_messages = desk.batch, desk.recognises, desk.takes_messages

    @property
    def on_typing(self) -> OnTyping | None:
        """As of the desk."""
        return self._desk.on_typing

    @on_typing.setter
    def on_typing(self, value: OnTyping | None) -> None:
        self._desk.on_typing = value

    @property
    def on_read(self) -> OnRead | None:
        """As of the desk."""
        return self._desk.on_read

    @on_read.setter
    def on_read(self, value: OnRead | None) -> None:
        self._desk.on_read = value

    @property
    def connected(self) -> bool:
        """Whether this process has the desk open, and it can receive something."""
        return self._is_open and self._desk.connected

    @property
    def serves_another(self) -> bool:
        return self._desk.serves_another

    @property
    def availability(self) -> Availability | None:
        """As of the desk."""
        return self._desk.availability

    async def open(self) -> None:
        """Open the desk now if this process is the first, else as soon as it is."""
        await self._follow_first()
        self._task = asyncio.create_task(self._stay_first())

    async def close(self) -> None:
        """Close the desk, if it is open here."""
        if self._task is not None:
            await cancel_all(self._task)
        if self._is_open:
            self._is_open = False
            await self._desk.close()

    async def process_of(self, lane: str) -> str | None:
        """Return the process that is to deliver what is for the desk; None: this one."""
        first = await self._first()
        return None if first == self.relay.store.process else first

    def keeps(self, lane: str) -> bool:
        """Return False: what rests is for whichever process is the first."""
        return False

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Deliver entries to the desk, if it is open here."""
        if not self._is_open:
            raise Unreachable(ELSEWHERE)
        await self.relay.current(lane)  # what another process has changed may not have been read yet
        return await self._desk.deliver(lane, entries)

    async def find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """Ask the desk for its handoff of a conversation."""
        if not self._is_open and type(self._desk).find is not Desk.find:
            raise Unreachable(ELSEWHERE)
        return await self._desk.find(conversation_id)

    async def typing(self, handoff_id: str, on: bool) -> None:
        """Report the customer's typing, if the desk is open here."""
        if self._is_open:
            await self._desk.typing(handoff_id, on)

    async def presence(self, handoff_id: str, here: bool) -> None:
        """Report whether the customer's page is open, if the desk is open here."""
        if self._is_open:
            await self._desk.presence(handoff_id, here)

    async def _stay_first(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._follow_first()
            except StoreError as problem:
                log.debug("Which process began first can't be read now: %s", problem)
            except Exception:
                log.exception("The desk couldn't be opened or closed; that is tried again.")

    async def _follow_first(self) -> None:
        """Open the desk if this process is the first, and close it if it isn't any more."""
        first = await self._first()
        if first == self.relay.store.process and not self._is_open:
            await self._desk.open()
            self._is_open = True
            await self.relay.notify(DESK)
        elif first not in (None, self.relay.store.process) and self._is_open:
            log.warning("Another Rasa process has taken over the desk, since this one stood still.")
            self._is_open = False
            await self._desk.close()

    async def _first(self) -> str | None:
        """Return the process that began first; None while none of them could say that it is there."""
        return await self.relay.store.write(repository.processes.first)


def for_one_process(desk: Desk, settings: Settings, relay: Relay) -> Desk:
    """Return a desk as several processes may use it."""
    if desk.several_processes or not relay.store.shared:
        return desk
    return DeskOfOneProcess(desk, settings, relay)
