"""The relay's three targets, scripted: they deliver, fail, wait, or hang between delivery and acknowledgement."""

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import Unreachable, Waits
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.waiting import eventually


class Scripted:
    """A target. ``manner``: ``takes``, ``fails``, ``waits``, or ``hangs``, which delivers without an acknowledgement."""

    batch = 1
    recognises = True

    def __init__(self) -> None:
        self.manner = "takes"
        self.taken: list[Entry] = []

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        if self.manner == "fails":
            raise Unreachable("scripted")
        if self.manner == "waits":
            raise Waits("scripted")
        self.taken.extend(entries)
        if self.manner == "hangs":
            await asyncio.Event().wait()
        return [event for entry in entries for event in self.answer(lane, entry)]

    def answer(self, lane: str, entry: Entry) -> list[events.Event]:
        return []

    def once(self) -> list[Entry]:
        """Return the entries that were delivered, each once, in the order of their first deliveries."""
        return list({entry.key: entry for entry in self.taken}.values())


class ScriptedDesk(Scripted):
    def answer(self, lane: str, entry: Entry) -> list[events.Event]:
        if entry.name != "handoff.initiate":
            return []
        return [events.HandoffAccepted(conversation_id=lane, handoff_id=entry.body["handoff_id"], position=1)]


class ScriptedTracker(Scripted):
    def answer(self, lane: str, entry: Entry) -> list[events.Event]:
        if entry.name != "back":
            return []
        handoff_id = entry.body["handoff_id"]
        return [events.Returned(conversation_id=lane, handoff_id=handoff_id, words=({"text": f"back {handoff_id}"},))]


class Stage:
    """A relay on a real SQLite file, which can be opened again after its process was as good as killed."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.desk, self.customer, self.tracker = ScriptedDesk(), Scripted(), ScriptedTracker()
        self.loop = asyncio.new_event_loop()
        self.run(self._open())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        url = f"sqlite:///{Path(self.folder.name) / 'relay.db'}"
        settings = read_settings(
            {
                "bot_id": "b",
                "desk": {"url": "http://127.0.0.1:1"},
                "store": url,
                "channels": {"rest": None},
                "start_timeout": 0.05,
            }
        )
        self.relay = Relay(Store(url, repository.metadata, repository.SIDE, repository.SCHEMA), settings)
        await self.relay.open({DESK: self.desk, CUSTOMER: self.customer, TRACKER: self.tracker})

    def targets(self) -> tuple[Scripted, ...]:
        return self.desk, self.customer, self.tracker

    def crash(self) -> None:
        """Abandon deliveries under way, neither noted nor undone, and start everything again."""
        self.run(self.relay.close())
        self.run(self._open())

    def drain(self) -> None:
        """Let all targets deliver until no entry is left."""
        for target in self.targets():
            target.manner = "takes"
        self.crash()
        self.run(eventually(self._nothing_left, seconds=5, what="an empty outbox"))

    async def _nothing_left(self) -> bool:
        for name in (DESK, CUSTOMER, TRACKER):
            await self.relay.notify(name)
        return not await self.relay.store.write(repository.outbox.lane_keys)

    def close(self) -> None:
        self.run(self.relay.close())
        self.loop.close()
        self.folder.cleanup()


def new_id() -> str:
    return uuid.uuid4().hex
