"""Agents at the desk. They sign in once, reconnect with their cookie, and repeat messages with the same id until answered."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.scripted_desk import PASSWORD
from tests.chaos import chaos_files
from tests.chaos.book import Book, Said
from tests.chaos.seat import Seat

ANSWER_WITHIN = 5.0
"""Seconds until a request is sent again."""
MOST = 8
"""Conversations that an agent has at once."""


class Agent:
    """An agent. After ``open()`` they work until ``stopping``; then they answer no more and end their conversations."""

    def __init__(
        self, name: str, email: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str]
    ) -> None:
        self.name, self.email, self.book, self.rng, self.pace = name, email, book, rng, pace
        self.stopping = False
        self.seats: dict[str, Seat] = {}
        self.signed_in = 0
        self._url = url
        self._queue: set[str] = set()
        self._cookie = self._csrf = ""
        self._sio: socketio.AsyncClient | None = None
        self._ready, self._lost = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.fetches = chaos_files.Fetches(book, name)

    async def open(self) -> None:
        self._tasks = [asyncio.create_task(self._stay()), asyncio.create_task(self._work())]

    async def close(self) -> None:
        tasks = [*self._tasks, *(seat.task for seat in self.seats.values() if seat.task is not None)]
        for task in tasks:
            await cancel_all(task)
        await self.fetches.close()

    def drop(self) -> None:
        """Break the connection."""
        with contextlib.suppress(AttributeError):
            self._sio.eio.ws._response.connection.transport.abort()  # type: ignore[union-attr]

    def reload(self) -> None:
        """Reload the page: everything it knew is requested again."""
        self._queue.clear()
        self._lost.set()

    async def ask(self, event: str, **body: Any) -> dict[str, Any]:
        """Repeat a request until the answer is yes or a definite no."""
        while True:
            await self._ready.wait()
            sio = self._sio
            with contextlib.suppress(SocketIOError, asyncio.TimeoutError, ValueError):
                assert sio is not None
                answer = await self._call(sio, event, body)
                if isinstance(answer, dict) and answer.get("code") not in ("failed", "unavailable"):
                    return answer
            await asyncio.sleep(0.2)

    async def add_file(self, said: Said) -> dict[str, Any] | None:
        """Add a file to the conversation, to go with the message, and return the part with it; None if the agent is told no."""
        name, content = chaos_files.new_file(said.word, self.rng)
        query, address = {"handoff": str(said.handoff_id), "name": name}, f"{self._url()}/desk/media"
        headers = {"Cookie": self._cookie, "X-CSRF-Token": self._csrf, "Origin": self._url()}
        media, code = await chaos_files.add(lambda: chaos_files.post(address, query, content, headers))
        if media is None:
            self.book.file_refused(said, code, code in chaos_files.REFUSALS)
            return None
        self.book.sends_file(said, media["id"], chaos_files.digest(content))
        return {"type": "image" if media["type"].startswith("image/") else "file", "media": media}

    def fetch_file(self, handoff_id: str, id: str) -> None:
        """Fetch a file that a message names, as the agent's page does."""

        async def where() -> tuple[str, dict[str, str]] | None:
            answer = await self.ask("media", handoff_id=handoff_id, ids=[id])
            address = (answer.get("addresses") or {}).get(id)
            return (f"{self._url()}/{address}", {"Cookie": self._cookie}) if address else None

        self.fetches.begin(id, where)

    async def _call(self, sio: socketio.AsyncClient, event: str, body: dict[str, Any]) -> Any:
        call = asyncio.ensure_future(sio.call(event, body, namespace="/desk", timeout=ANSWER_WITHIN))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({call, lost}, return_when=asyncio.FIRST_COMPLETED)
            return call.result() if call.done() else None
        finally:
            lost.cancel()
            call.cancel()
            await asyncio.gather(call, lost, return_exceptions=True)

    # Staying connected

    async def _stay(self) -> None:
        while True:
            self._lost.clear()
            sio = self._sio = socketio.AsyncClient(reconnection=False)
            for event, handler in (
                ("ready", self._on_ready),
                ("arrival", self._on_summary),
                ("conversation", self._on_summary),
                ("message", self._on_message),
                ("disconnect", self._on_disconnect),
            ):
                sio.on(event, handler, namespace="/desk")
            try:
                if not self._cookie:
                    await self._sign_in()
                headers = {"Cookie": self._cookie, "Origin": self._url()}
                await sio.connect(
                    self._url(),
                    headers=headers,
                    auth={"csrf": self._csrf},
                    namespaces=["/desk"],
                    transports=["websocket"],
                    wait_timeout=4,
                )
                await self._lost.wait()
            except Exception as problem:  # the client raises more than its own when a connection ends at a bad moment
                self.book.note("not connected", self.name, why=repr(problem))
            self._ready.clear()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(sio.disconnect(), 1)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(sio.eio.disconnect(abort=True), 1)
            await asyncio.sleep(0.2 + self.rng.random() * 0.3)

    async def _sign_in(self) -> None:
        url, jar = self._url(), aiohttp.CookieJar(unsafe=True)
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as http:
            async with http.get(url + "/") as page:
                csrf = (await page.text()).split('name="csrf" value="')[1].split('"')[0]
            form = {"email": self.email, "password": PASSWORD, "csrf": csrf}
            async with http.post(url + "/login", data=form, headers={"Origin": url}) as answer:
                desk = await answer.text()
                if answer.status != 200:
                    raise ValueError(desk)
        self._csrf = desk.split('name="csrf" content="')[1].split('"')[0]
        self._cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in jar)
        self.signed_in += 1

    # What the desk says

    async def _on_ready(self, data: Any) -> None:
        for summary in data["queue"]:
            await self._on_summary(summary)
        for summary in data["mine"]:
            self._sit_down(summary)
        self._ready.set()
        for seat in self.seats.values():
            seat.look()

    async def _on_summary(self, data: Any) -> None:
        handoff_id = data["handoff_id"]
        if data["state"] == "queued":
            self._queue.add(handoff_id)
        else:
            self._queue.discard(handoff_id)
        if handoff_id in self.seats:
            self.seats[handoff_id].look()
        self.book.table(handoff_id, self.book.called(data["short_id"]))

    async def _on_message(self, data: Any) -> None:
        if data["handoff_id"] in self.seats:
            self.seats[data["handoff_id"]].show(data)

    async def _on_disconnect(self, *_: Any) -> None:
        self._ready.clear()
        self._lost.set()

    # Work

    async def _work(self) -> None:
        while True:
            busy = sum(1 for seat in self.seats.values() if not seat.table.ended)
            for handoff_id in list(self._queue):
                if busy >= MOST and not self.stopping:
                    break
                self._queue.discard(handoff_id)
                answer = await self.ask("take", handoff_id=handoff_id)
                if answer.get("ok"):
                    self._sit_down(answer["conversation"])
                    busy += 1
            await asyncio.sleep(0.1 + self.rng.random() * 0.2)

    def _sit_down(self, summary: dict[str, Any]) -> None:
        if summary["handoff_id"] not in self.seats and summary["state"] != "ended":
            table = self.book.table(summary["handoff_id"], self.book.called(summary["short_id"]))
            self.seats[table.handoff_id] = seat = Seat(table, self)
            table.takes += 1
            seat.task = asyncio.create_task(seat.serve())
