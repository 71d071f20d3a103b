"""Somebody's own desk, as ``docs/adapters/adding.md`` tells how to write one: JSON lines on a TCP connection.

Each line is ``{"id", "handoff", "kind", ...}`` and is answered with ``{"ack": id}``. Kinds: to the desk ``start``
(``transcript``), ``said`` (``text``), ``over``; from the desk ``said`` and ``over``.
"""

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any

from rasa_handoff.desks.base import Desk, apply
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.payloads import MessagePayload, OfferPayload, StatusPayload
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
PAUSE = 0.2


class LinesDesk(Desk):
    """``desk: {type: my_package.LinesDesk, settings: {host: localhost, port: 4010}}``."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        super().__init__(settings, relay)
        self._writer: asyncio.StreamWriter | None = None
        self._acknowledged: dict[str, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._stay_connected())

    async def close(self) -> None:
        if self._task is not None:
            await cancel_all(self._task)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Send an entry and wait for its acknowledgement; after an ``Unreachable`` it comes again with the same id."""
        (entry,) = entries
        handoff_id = str(entry.handoff_id)
        if entry.name == OfferPayload.event:
            offer = await self.relay.offer_of(handoff_id)
            await self._tell(entry, "start", transcript=[line.text for line in offer.transcript])
            return [events.HandoffAccepted(conversation_id=lane, handoff_id=handoff_id)]
        if entry.name == MessagePayload.event:
            await self._tell(entry, "said", text=entry.read(MessagePayload).text)
        elif entry.name == StatusPayload.event:
            await self._tell(entry, "over")
        return []

    async def _tell(self, entry: Entry, kind: str, **more: Any) -> None:
        id = str(entry.id)
        self._acknowledged[id] = asyncio.get_running_loop().create_future()
        try:
            self._write({"id": id, "handoff": entry.handoff_id, "kind": kind, **more})
            await asyncio.wait_for(self._acknowledged[id], ANSWER_SECONDS)
        except (asyncio.TimeoutError, OSError) as problem:
            raise Unreachable(f"The desk didn't acknowledge '{kind}': {problem!r}") from problem
        finally:
            del self._acknowledged[id]

    def _write(self, line: dict[str, Any]) -> None:
        if self._writer is None:
            raise Unreachable("The desk isn't connected.")
        self._writer.write(json.dumps(line).encode() + b"\n")

    async def _stay_connected(self) -> None:
        own = self.settings.settings
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_connection(own["host"], own["port"])
                try:
                    await self.relay.notify(DESK)
                    while line := await reader.readline():
                        await self._hear(json.loads(line))
                finally:
                    self._writer.close()
                    self._lost()
            await asyncio.sleep(PAUSE)

    def _lost(self) -> None:
        self._writer = None
        for waiting in self._acknowledged.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection was lost"))

    async def _hear(self, line: dict[str, Any]) -> None:
        if "ack" in line:
            waiting = self._acknowledged.get(line["ack"])
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
            return
        conversation_id = await self.relay.conversation_of(line["handoff"])
        if conversation_id is not None:
            here = {"conversation_id": conversation_id, "handoff_id": line["handoff"]}
            if line["kind"] == "said":
                said = {"id": line.get("id") or uuid.uuid4().hex, "text": line["text"], "at": time.time()}
                await apply(self.relay, events.AgentSaid(**here, **said))
            else:
                await apply(self.relay, events.HandoffCompleted(**here))
        self._write({"ack": line["id"]})
