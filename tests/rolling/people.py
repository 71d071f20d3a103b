"""Customers and agents as their pages behave: they connect again, and send what wasn't answered again, with the same id."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.scripted_desk import ScriptedAgent

ANSWER_WITHIN: Final = 10.0
AGAIN_AFTER: Final = 0.5
"""Seconds until something is tried again."""
PASSES: Final = ("unavailable", "not_joined", "offline")
"""Codes of refusals that pages try again without a word."""


class Person:
    """Somebody whose page stays connected: ``async with``. ``url``: of the load balancer.

    ``longest_away``: seconds for which the page was without a connection at most; ``problems``: what somebody would have noticed.
    """

    namespace = "/"

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self.problems: list[str] = []
        self.longest_away, self.connections = 0.0, 0
        self._joined, self._lost = asyncio.Event(), asyncio.Event()
        self._sio = socketio.AsyncClient(reconnection=False)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Person":
        self._task = asyncio.create_task(self._stay())
        await asyncio.wait_for(self._joined.wait(), 60)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await cancel_all(self._task)

    async def ask(self, event: str, **body: Any) -> dict[str, Any]:
        """Send a request until it is answered, over as many connections as it takes, and return the answer."""
        while True:
            await self._joined.wait()
            answer = await self._ask_once(event, body)
            if isinstance(answer, dict) and (answer.get("ok") or answer.get("code") not in PASSES):
                return answer
            await asyncio.sleep(AGAIN_AFTER)

    async def _ask_once(self, event: str, body: dict[str, Any]) -> Any:
        """Send a request, and return its answer; code ``offline`` if the connection is lost before."""
        lost: asyncio.Task[Any] = asyncio.create_task(self._lost.wait())
        call = self._sio.call(event, body, namespace=self.namespace, timeout=ANSWER_WITHIN)
        answer: asyncio.Task[Any] = asyncio.create_task(call)
        try:
            await asyncio.wait({lost, answer}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        except SocketIOError:
            pass
        finally:
            await cancel_all(lost, answer)
        return {"ok": False, "code": "offline"}

    async def connect(self, sio: socketio.AsyncClient) -> None:
        """Connect, and ask to join. Override it."""
        raise NotImplementedError

    def listen(self, sio: socketio.AsyncClient) -> None:
        """Listen to events. Override it."""
        raise NotImplementedError

    async def joined(self, *_: Any) -> None:
        """Note that the server has let this page in."""
        self.connections += 1
        self._joined.set()

    async def _left(self, *_: Any) -> None:
        self._lost.set()

    async def _stay(self) -> None:
        away_since = time.monotonic()
        while True:
            self._lost = asyncio.Event()
            sio = self._sio = socketio.AsyncClient(reconnection=False)
            sio.on("disconnect", self._left, namespace=self.namespace)
            self.listen(sio)
            try:
                await self.connect(sio)
                await asyncio.wait_for(self._joined.wait(), 5)
                if self.connections > 1:
                    self.longest_away = max(self.longest_away, time.monotonic() - away_since)
                await self._lost.wait()
                away_since = time.monotonic()
            except (SocketIOError, OSError, asyncio.TimeoutError, RuntimeError, ValueError):
                pass  # no process is there, or it ended at this moment
            finally:
                self._joined.clear()
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(sio.disconnect(), 1)
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(sio.eio.disconnect(abort=True), 1)
            await asyncio.sleep(0.2)


class Customer(Person):
    """A customer on the ``socketio`` channel, with acknowledgements. ``received``: each message once, by its id, in order."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, url)
        self.received: list[str] = []
        self._ids: set[str] = set()
        self.on_received: Callable[[str], None] = lambda _: None

    def listen(self, sio: socketio.AsyncClient) -> None:
        sio.on("session_confirm", self.joined)
        sio.on("bot_uttered", self._on_uttered)

    async def connect(self, sio: socketio.AsyncClient) -> None:
        await sio.connect(self.url, transports=["websocket"], wait_timeout=5)
        await sio.emit("session_request", {"session_id": self.name, "acks": True})

    async def say(self, text: str) -> None:
        answer = await self.ask("user_uttered", message=text, session_id=self.name, id=uuid.uuid4().hex)
        if not answer.get("ok"):
            self.problems.append(f"{self.name}: {text!r} was refused: {answer}")

    async def _on_uttered(self, message: Any = None, *_: Any) -> dict[str, Any]:
        if message["id"] not in self._ids:
            self._ids.add(message["id"])
            self.received.append(message.get("text", ""))
            self.on_received(self.received[-1])
        return {"ok": True}


class Agent(Person):
    """An agent at the desk. ``shown``: of each conversation the messages by their place, as they came."""

    namespace = "/desk"

    def __init__(self, name: str, email: str, url: str) -> None:
        super().__init__(name, url)
        self._account = ScriptedAgent(url, email)
        self._csrf = ""
        self.queue: set[str] = set()
        self.shown: dict[str, dict[int, dict[str, Any]]] = {}
        self.on_shown: Callable[[str], None] = lambda _: None

    async def __aenter__(self) -> "Agent":
        await self._account.sign_in()
        self._csrf = await self._account.token()
        await super().__aenter__()
        return self

    def listen(self, sio: socketio.AsyncClient) -> None:
        handlers = {
            "ready": self._on_ready,
            "arrival": self._on_summary,
            "conversation": self._on_summary,
            "message": self._on_message,
            "reminder": self._on_trouble,
            "signed_out": self._on_trouble,
            "connect_error": self._on_refused,
        }
        for event, handler in handlers.items():
            sio.on(event, handler, namespace="/desk")

    async def connect(self, sio: socketio.AsyncClient) -> None:
        headers, auth = {"Cookie": self._account.cookie}, {"csrf": self._csrf}
        await sio.connect(
            self.url, headers=headers, auth=auth, namespaces=["/desk"], transports=["websocket"], wait_timeout=5
        )

    async def take(self, handoff_id: str) -> None:
        self.shown[handoff_id] = {}
        answer = await self.ask("take", handoff_id=handoff_id)
        assert answer["ok"], answer

    async def say(self, handoff_id: str, text: str) -> None:
        answer = await self.ask("message", handoff_id=handoff_id, id=uuid.uuid4().hex, text=text)
        if not answer.get("ok"):
            self.problems.append(f"{self.name}: {text!r} was refused: {answer}")

    async def conversation(self, handoff_id: str) -> dict[str, Any]:
        """Return the conversation as the desk shows it to who opens it."""
        answer = await self.ask("open", handoff_id=handoff_id, after=0)
        assert answer["ok"], answer
        return dict(answer["conversation"])

    async def catch_up(self, handoff_id: str) -> None:
        """Fetch the messages that came while the page was away, as the desk does."""
        for message in (await self.conversation(handoff_id))["messages"]:
            self._show(handoff_id, message)

    async def _on_ready(self, data: Any) -> None:
        self.queue.update(summary["handoff_id"] for summary in data["queue"])
        mine = {summary["handoff_id"] for summary in data["mine"]}
        for handoff_id in self.shown.keys() - mine:
            self.problems.append(f"{self.name}: the conversation {handoff_id} isn't theirs any more")
        await self.joined()
        self._fetching = [asyncio.create_task(self.catch_up(handoff_id)) for handoff_id in self.shown]

    async def _on_summary(self, data: Any) -> None:
        if data["state"] == "queued":
            self.queue.add(data["handoff_id"])
        if data["handoff_id"] in self.shown and data["state"] != "assigned":
            self.problems.append(f"{self.name}: the conversation {data['handoff_id']} is {data['state']}")
        if data["handoff_id"] in self.shown and data["customer_is_away"]:
            self.problems.append(f"{self.name}: the customer of {data['handoff_id']} is shown as away")

    async def _on_message(self, data: Any) -> None:
        if data["handoff_id"] in self.shown:
            self._show(data["handoff_id"], data)

    def _show(self, handoff_id: str, message: dict[str, Any]) -> None:
        messages = self.shown[handoff_id]
        if message["seq"] not in messages:
            self.on_shown(message["text"])
        elif messages[message["seq"]]["id"] != message["id"]:
            self.problems.append(f"{self.name}: two messages have the place {message['seq']} in {handoff_id}")
        messages[message["seq"]] = message

    async def _on_trouble(self, data: Any = None) -> None:
        self.problems.append(f"{self.name}: the desk says {data}")

    async def _on_refused(self, data: Any = None) -> None:
        """Note a refusal. That no process was reached is told in words: ``longest_away`` counts that."""
        if isinstance(data, dict) and (data.get("data") or {}).get("code") != "unavailable":
            self.problems.append(f"{self.name}: the desk's connection was refused: {data}")
