"""Real python-socketio clients that speak each of the server's protocols and keep what they hear."""

import re
import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any

import aiohttp
import pytest
import socketio

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.waiting import eventually

PATIENCE = 10.0
PASSWORD = "correct horse battery"
OLD_BOT = "old-bot"
ASKED = ("startConversation", "messages")


class Peer:
    """One connection to one namespace. ``received``: (event, payload) in the order they came."""

    events: tuple[str, ...] = ()
    patience = PATIENCE

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.received: list[tuple[str, Any]] = []
        self.sio = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.1)
        for event in ("connect_error", *self.events):
            self.sio.on(event, self._hearing(event), namespace=namespace)

    async def close(self) -> None:
        # python-socketio waits for ever if it is shut down in the moment before it begins to connect again.
        again, self.sio._reconnect_task = self.sio._reconnect_task, None
        if again is not None:
            await cancel_all(again)
        await self.sio.shutdown()
        if self.sio.eio.state == "connected":
            await self.sio.eio.disconnect(abort=True)
        if self.sio.eio.http is not None:  # python-engineio leaves it open after a refusal
            await self.sio.eio.http.close()

    def all(self, event: str) -> list[Any]:
        return [body for name, body in self.received if name == event]

    async def call(self, event: str, body: Any) -> Any:
        return await self.sio.call(event, body, namespace=self.namespace, timeout=self.patience)

    async def emit(self, event: str, body: Any) -> None:
        await self.sio.emit(event, body, namespace=self.namespace)

    def hears(self, event: str, body: Any) -> Any:
        self.received.append((event, body))
        return {"ok": True}

    def _hearing(self, event: str) -> Any:
        async def hear(body: Any = None) -> Any:
            return self.hears(event, body)

        return hear


async def refused(connecting: Awaitable[None], peer: Peer) -> str:
    """The sentence with which a connection is refused."""
    with pytest.raises(socketio.exceptions.ConnectionError):
        await connecting
    await peer.close()
    return str(peer.all("connect_error")[0]["message"])


class Relay(Peer):
    """A relay that says hello after every connect and acknowledges everything."""

    events = ("welcome", "availability", "typing", "message", "handoff.status")

    def __init__(self, bot_id: str, open: Sequence[Any] = ()) -> None:
        super().__init__("/relay")
        self.bot_id, self.open = bot_id, list(open)
        self.sio.on("connect", self._greet, namespace="/relay")

    async def connect(self, address: str, token: str | None = None, **auth: Any) -> None:
        full = {"format": "rasa-handoff", "protocol": 1, "token": token, "bot_id": self.bot_id, **auth}
        await self.sio.connect(
            address, namespaces=["/relay"], auth=full, transports=["websocket"], wait_timeout=PATIENCE
        )
        await eventually(lambda: self.all("welcome"))

    async def _greet(self) -> None:
        await self.emit("hello", {"open": self.open})

    def offer(self, **more: Any) -> dict[str, Any]:
        handoff_id = more.pop("handoff_id", uuid.uuid4().hex)
        return {
            "handoff_id": handoff_id,
            "id": f"{handoff_id}-offer",
            "number": 1,
            "conversation_id": f"c-{handoff_id}",
            "bot_id": self.bot_id,
            "channel": {"name": "socketio", "push": True},
            "transcript": [{"speaker": "customer", "text": "a person, please", "at": 1.0}],
            **more,
        }

    async def initiate(self, **more: Any) -> str:
        """Hand a conversation over; its handoff id."""
        offer = self.offer(**more)
        answer = await self.call("handoff.initiate", offer)
        assert answer["ok"], answer
        return str(offer["handoff_id"])

    async def say(self, handoff_id: str, text: str, id: str | None = None) -> Any:
        body = {"handoff_id": handoff_id, "id": id or uuid.uuid4().hex, "number": 2, "speaker": "customer"}
        return await self.call("message", {**body, "text": text, "at": time.time()})

    def handoff_events(self, handoff_id: str) -> list[Any]:
        """Everything durable that was told about a handoff, in order."""
        names = ("message", "handoff.status")
        return [body for name, body in self.received if name in names and body["handoff_id"] == handoff_id]

    def statuses(self, handoff_id: str) -> list[str]:
        return [body["status"] for body in self.handoff_events(handoff_id) if "status" in body]


class Desk(Peer):
    """An agent's browser: signs in over HTTP, then connects with the cookie."""

    events = (
        "ready", "arrival", "conversation", "message", "message.status", "typing", "presence", "availability", "signed_out",
        "reminder",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__("/desk")
        self.email = f"{name}@example.org"
        self.cookie = ""

    async def sign_in(self, address: str) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            answer = await post(http, address, "/login", email=self.email, password=PASSWORD)
            assert answer.status == 303, answer
            self.cookie = cookies(http)

    async def connect(self, address: str, origin: str | None = None) -> None:
        # Made anew for each connect: python-engineio takes the cookie out of the headers it is given.
        def headers() -> dict[str, str]:
            return {"Cookie": self.cookie, **({"Origin": origin} if origin else {})}

        await self.sio.connect(
            address,
            namespaces=["/desk"],
            headers=headers,
            auth={"csrf": await self.token(address)},
            transports=["websocket"],
            wait_timeout=PATIENCE,
        )
        await eventually(lambda: self.all("ready"))

    async def token(self, address: str) -> str:
        """What stands in the page that the server gives to this browser."""
        async with aiohttp.ClientSession() as http, http.get(address, headers={"Cookie": self.cookie}) as page:
            found = re.search(r'name="csrf" (?:content|value)="([^"]+)"', await page.text())
            return found.group(1) if found else ""

    async def take(self, handoff_id: str) -> Any:
        return await self.call("take", {"handoff_id": handoff_id})

    async def say(self, handoff_id: str, text: str, id: str | None = None) -> Any:
        return await self.call("message", {"handoff_id": handoff_id, "id": id or uuid.uuid4().hex, "text": text})

    async def resolve(self, handoff_id: str, outcome: str = "resolved", **more: Any) -> Any:
        return await self.call("resolve", {"handoff_id": handoff_id, "outcome": outcome, **more})

    def shown(self, handoff_id: str) -> list[Any]:
        """The conversation's summaries, in the order they came."""
        names = ("arrival", "conversation")
        return [body for name, body in self.received if name in names and body["handoff_id"] == handoff_id]


class OldClient(Peer):
    """A client written for Botlhale's live agent, in Python: it answers at once, as the wire formats warn."""

    events = ("startConversation", "to_user", "messages", "disconnect_socket", "handoff_state")

    def __init__(
        self, conversation_id: str, namespace: str, answers: Sequence[str] = ASKED, forwarded_for: str | None = None
    ) -> None:
        super().__init__(namespace)
        self.ids = {"ConversationID": conversation_id, "BotID": OLD_BOT}
        self._answers = answers
        self._headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}

    async def connect(self, address: str, auth: Any = None) -> None:
        await self.sio.connect(
            address,
            namespaces=[self.namespace],
            auth=auth,
            headers=self._headers,
            transports=["websocket"],
            wait_timeout=PATIENCE,
        )
        await eventually(lambda: self.all("startConversation"))

    def hears(self, event: str, body: Any) -> None:
        super().hears(event, body)
        if event == "startConversation" and event in self._answers:
            self.sio.start_background_task(self.emit, "username", self.ids)
        elif event == "messages" and event in self._answers:
            said = [{"sender": "user", "message": "I want a person"}, {"sender": "bot", "message": "One moment"}]
            self.sio.start_background_task(self.emit, "messages_to_client", {"messages": said, "bot_id": OLD_BOT})

    def texts(self) -> list[str]:
        return [body["message"] for body in self.all("to_user")]


async def post(http: aiohttp.ClientSession, address: str, path: str, **fields: str) -> aiohttp.ClientResponse:
    """Send a form as the page would: with its token, from its origin."""
    async with http.get(address) as page:
        found = re.search(r'name="csrf"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="csrf"', await page.text())
    token = next(filter(None, found.groups()), "") if found else ""
    form = {"csrf": token, **fields}
    async with http.post(address + path, data=form, headers={"Origin": address}, allow_redirects=False) as answer:
        await answer.read()
        return answer


def cookies(http: aiohttp.ClientSession) -> str:
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in http.cookie_jar)
