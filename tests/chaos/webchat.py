"""A customer on web chat: socketio with session persistence and acknowledgements, as the example page does it.

What the page must keep over a reload (its waiting messages, the ids it has shown) is kept here as it is there.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.store.tasks import cancel_all
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer
from tests.chaos.mailbox import named

ANSWER_WITHIN = 10.0
"""Seconds."""
AGAIN_AFTER = 1.0
"""Seconds until a message that wasn't answered is sent again with the same id, as on the example page."""


class WebChat(Customer):
    """A customer on web chat: exactly once, both ways."""

    channel = "socketio"

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str]) -> None:
        super().__init__(name, book, rng, pace)
        self._url = url
        self._shown: set[str] = set()
        self._unsent: deque[tuple[dict[str, Any], asyncio.Future[bool]]] = deque()
        self._sio: socketio.AsyncClient | None = None
        self._confirmed = asyncio.Event()
        self._lost, self._wake = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed_until = 0.0
        self._deaf: list[socketio.AsyncClient] = []

    async def open(self) -> None:
        self._task = asyncio.create_task(self._stay())

    async def close(self) -> None:
        assert self._task is not None
        await cancel_all(self._task)
        for sio in self._deaf:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(sio.eio.disconnect(abort=True), 1)
        await super().close()

    def rasa(self) -> str:
        return self._url()

    async def send(self, text: str, file: str | None = None) -> bool:
        return await self._put({"message": text, "metadata": named(file)})

    def state(self) -> str:
        connected = self._sio is not None and self._sio.connected
        unsent = [body["message"] for body, _ in self._unsent]
        return f"connected {connected}, confirmed {self._confirmed.is_set()}, unsent {unsent}"

    def drop(self) -> None:
        with contextlib.suppress(AttributeError):
            self._sio.eio.ws._response.connection.transport.abort()  # type: ignore[union-attr]

    def reload(self) -> None:
        self._lost.set()

    def close_tab(self, seconds: float) -> None:
        self._closed_until = time.monotonic() + seconds
        self._lost.set()

    def go_deaf(self) -> None:
        """Stop reading the connection. Pings stay unanswered too, so the server notices by its own timeout."""
        sio = self._sio
        with contextlib.suppress(AttributeError):
            sio.eio.ws._response.connection.transport.pause_reading()  # type: ignore[union-attr]
            self._deaf.append(sio)
            self._lost.set()

    def _put(self, message: dict[str, Any]) -> "asyncio.Future[bool]":
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unsent.append(({**message, "session_id": self.name, "id": uuid.uuid4().hex}, sent))
        self._wake.set()
        return sent

    async def _stay(self) -> None:
        while True:
            sio = self._sio = socketio.AsyncClient(reconnection=False)
            sio.on("session_confirm", self._on_confirm)
            sio.on("bot_uttered", self._on_uttered)
            sio.on("disconnect", self._on_disconnect)
            self._lost.clear()
            self._confirmed.clear()
            try:
                await sio.connect(self._url(), transports=["websocket"], wait_timeout=4)
                await sio.emit("session_request", {"session_id": self.name, "acks": True})
                await asyncio.wait_for(self._confirmed.wait(), 5)
                await self._flush(sio)
            except Exception as problem:  # the client raises more than its own when a connection ends at a bad moment
                self.book.note("not connected", self.name, why=repr(problem))
            finally:
                if sio not in self._deaf:
                    await _disconnect(sio)
            away = 0.0 if self.stopping else max(0.0, self._closed_until - time.monotonic())
            await self._first(self._stopped(), asyncio.sleep(away + 0.2 + self.rng.random() * 0.3))

    async def _stopped(self) -> None:
        """Wait until the run ends: then everybody comes back."""
        while not self.stopping:  # noqa: ASYNC110 - ``stopping`` is a plain flag
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.3)

    async def _flush(self, sio: socketio.AsyncClient) -> None:
        """Send what waits, one after the other, and go on until the connection ends."""
        while not self._lost.is_set():
            self._wake.clear()
            while self._unsent:
                body, sent = self._unsent[0]
                outcome = await self._either(asyncio.ensure_future(self._emit(sio, body)))
                if outcome is None:
                    break
                self._unsent.popleft()
                sent.set_result(outcome)
            if self._unsent:
                await asyncio.sleep(AGAIN_AFTER)
            else:
                await self._first(self._wake.wait(), self._lost.wait())

    async def _emit(self, sio: socketio.AsyncClient, body: dict[str, Any]) -> bool | None:
        """Return True for accepted, False for refused, None to send again."""
        try:
            answer = await sio.call("user_uttered", body, timeout=ANSWER_WITHIN)
        except SocketIOError:
            return None
        if isinstance(answer, dict) and answer.get("ok"):
            return True
        self.book.note("no", self.name, text=body["message"], answer=answer)
        return None if not isinstance(answer, dict) or answer.get("code") == "unavailable" else False

    async def _either(self, answer: "asyncio.Future[bool | None]") -> bool | None:
        """Return the answer, or None if the connection ends before it."""
        await self._first(answer, self._lost.wait())
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _first(self, *waits: Any) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task, wait in zip(tasks, waits, strict=True):
                if task is not wait:
                    task.cancel()

    async def _on_confirm(self, *_: Any) -> None:
        self._confirmed.set()

    async def _on_disconnect(self, *_: Any) -> None:
        self._lost.set()

    async def _on_uttered(self, data: Any = None, *_: Any) -> Any:
        data = data if isinstance(data, dict) else {}
        id = data.get("id")
        if id is None or id not in self._shown:
            if id is not None:
                self._shown.add(str(id))
            self.show(data)
        return {"ok": True}


async def _disconnect(sio: socketio.AsyncClient) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(sio.disconnect(), 1)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(sio.eio.disconnect(abort=True), 1)
