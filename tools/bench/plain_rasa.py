"""The other reference: ``rasa run`` with the same bot and Rasa's own channels, without HandoffChannel.

Customers of both are on ``rest`` here. The trackers of both sides are read and filled in their SQLite files, since a conversation
of a thousand events would take minutes to hold.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import PATIENCE
from rasa_handoff.testing.slowness import slowness
from tools.bench.measure import FigureError, processor_seconds
from tools.bench.stack import rasa_process

CHANNELS: Final[dict[str, Any]] = {"socketio": {"session_persistence": True}, "rest": None}
COLUMNS: Final = ("type_name", "timestamp", "intent_name", "action_name", "data")
"""The columns of Rasa's table ``events``, without the id and the sender."""

Event = tuple[Any, ...]
"""A row of the table, as in ``COLUMNS``."""


class PlainRasa:
    """``async with PlainRasa(folder, model)``: Rasa with a bot, and nothing of ours. ``url``: its address."""

    def __init__(self, folder: Path, model: Path, forked: bool = False) -> None:
        self.folder, self.model, self.url, self._forked = folder, model, "", forked
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "PlainRasa":
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._rasa = rasa_process(self.folder, self.model, port, CHANNELS, self._forked)
        await self._stack.enter_async_context(self._rasa)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that it has used."""
        return {"Rasa": processor_seconds(self._rasa.pid)}


class RestCustomers:
    """``async with RestCustomers(url)``: customers on ``rest`` of a Rasa server, with or without HandoffChannel."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/webhooks/rest/webhook"

    async def __aenter__(self) -> "RestCustomers":
        timeout = aiohttp.ClientTimeout(total=PATIENCE * slowness())
        self._http = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.close()

    async def say(self, sender: str, text: str) -> float:
        """Say something, and return the seconds until the response, which comes at the end of the turn.

        Raises:
            FigureError: it was refused.
        """
        began = time.perf_counter()
        async with self._http.post(self._url, json={"sender": sender, "message": text}) as response:
            said = await response.text()
        if response.status != 200:
            raise FigureError(f"The words of {sender} were refused with {response.status}: {said[:200]}")
        return time.perf_counter() - began


class Trackers:
    """The tracker store of a system whose folder this is, read and filled beside Rasa."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tracker.db"

    def events(self, sender: str) -> list[Event]:
        """Return a conversation's events, in their order."""
        asked = f"SELECT {', '.join(COLUMNS)} FROM events WHERE sender_id = ? ORDER BY id"
        with contextlib.closing(self._connection()) as connection:
            return connection.execute(asked, (sender,)).fetchall()

    def said(self, senders: Sequence[str]) -> int:
        """Return how many messages of these customers are written."""
        placeholders = ", ".join("?" * len(senders))
        asked = f"SELECT count(*) FROM events WHERE type_name = 'user' AND sender_id IN ({placeholders})"
        with contextlib.closing(self._connection()) as connection:
            return int(connection.execute(asked, list(senders)).fetchone()[0])

    def add(self, sender: str, events: Sequence[Event]) -> None:
        """Put events at the end of a conversation."""
        put = f"INSERT INTO events (sender_id, {', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?)"
        with contextlib.closing(self._connection()) as connection, connection:
            connection.executemany(put, [(sender, *event) for event in events])

    def _connection(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)


def pause() -> Event:
    """Return Rasa's own pause of a conversation, as ``ConversationPaused`` is stored."""
    now = time.time()
    return ("pause", now, None, None, json.dumps({"event": "pause", "timestamp": now}))


def repeated(events: Sequence[Event], count: int) -> list[Event]:
    """Return these events again and again until there are ``count``, at times between the last of them and now.

    Rasa loads a conversation from the start of its session on, by the events' times.
    """
    after = max(float(event[1]) for event in events)
    step = (time.time() - after) / (count + 1)
    return [_at(events[number % len(events)], after + (number + 1) * step) for number in range(count)]


def _at(event: Event, at: float) -> Event:
    kind, _, intent, action, data = event
    return (kind, at, intent, action, json.dumps({**json.loads(data), "timestamp": at}))
