"""A relay as the live-agent server sees one: a real ``/relay`` connection that offers handoffs and hears the desk."""

import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp

from rasa_handoff.media.media_store import new_id
from rasa_handoff.protocol import names
from rasa_handoff.testing.recording_client import PatientClient
from rasa_handoff.testing.waiting import eventually

PATIENCE = 10.0
"""Seconds for an acknowledgement."""
NAMESPACE = "/relay"

BOT_STATE = {
    "slots": {"order_number": "K-2041", "express": True},
    "intents": [{"name": "execute_handoff", "confidence": 0.97}, {"name": "change_address", "confidence": 0.81}],
    "form": "address_form",
    "settable": [
        {"name": "street", "type": "text", "values": None},
        {"name": "express", "type": "bool", "values": None},
        {"name": "copies", "type": "float", "values": None},
        {"name": "shipping", "type": "categorical", "values": ["post", "courier"]},
        {"name": "topics", "type": "list", "values": None},
    ],
}


class Relay:
    """Acknowledges everything, keeps it in ``received`` as (event, payload), and drops what it has already."""

    def __init__(self, bot_id: str = "karoo-books") -> None:
        self.bot_id = bot_id
        self.received: list[tuple[str, dict[str, Any]]] = []
        self._ids: set[str] = set()
        self._conversations: dict[str, str] = {}  # by handoff
        self._numbers: dict[str, int] = {}
        self._client = PatientClient(reconnection_delay=0.1, reconnection_delay_max=0.2)
        for event in ("welcome", "availability", "typing", "read", "message", "handoff.status"):
            self._client.on(event, self._hears(event), namespace=NAMESPACE)
        self._client.on("connect", self._greet, namespace=NAMESPACE)

    async def connect(self, address: str) -> None:
        auth: dict[str, Any] = {"format": "rasa-handoff", "protocol": 2, "token": None, "bot_id": self.bot_id}
        self._address = address
        await self._client.connect(address, namespaces=[NAMESPACE], auth=auth, transports=["websocket"])
        await eventually(lambda: self.all("welcome"))

    async def close(self) -> None:
        await self._client.shutdown()

    async def offer(self, name: str | None = "Naledi Dube", handoff_id: str | None = None, **more: Any) -> str:
        """Hand a conversation over, and return the handoff's id."""
        handoff_id, now = handoff_id or uuid.uuid4().hex, time.time()
        lines = [("customer", "Hi there"), ("bot", "Hello! What can I do for you?"), ("customer", "A person, please")]
        offer = {
            "conversation_id": uuid.uuid4().hex,
            "bot_id": self.bot_id,
            "department": None,
            "agent": None,
            "reason": "Asked for a person",
            "priority": "normal",
            "note": None,
            "contact": {"name": name, "email": "naledi@example.org", "phone": None},
            "language": "en",
            "channel": {"name": "socketio", "push": True},
            "transcript": [{"speaker": who, "text": text, "at": now - 60} for who, text in lines],
            "bot": BOT_STATE,
            **more,
        }
        answer = await self._send("handoff.initiate", handoff_id, offer)
        assert answer["ok"], answer
        self._conversations[handoff_id] = str(offer["conversation_id"])
        return handoff_id

    async def bring(self, handoff_id: str, content: bytes, name: str) -> dict[str, Any]:
        """Store a customer's file at the desk, and return what a message says of it."""
        headers = {names.MEDIA_BOT: self.bot_id, names.MEDIA_CONVERSATION: self._conversations[handoff_id]}
        address = f"{self._address}{names.RELAY_MEDIA_PATH}/{new_id()}"
        named = {**headers, names.MEDIA_NAME: quote(name)}
        async with aiohttp.ClientSession() as http, http.put(address, data=content, headers=named) as answer:
            body = await answer.json()
        assert body["ok"], body
        return dict(body["media"])

    async def fetch(self, media_id: str) -> bytes:
        """Return a file that an agent has sent."""
        address = f"{self._address}{names.RELAY_MEDIA_PATH}/{media_id}"
        async with aiohttp.ClientSession() as http, http.get(address, headers={names.MEDIA_BOT: self.bot_id}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def follow(self, handoff_id: str, *texts: str) -> None:
        """Send the transcript that the offer lacked."""
        lines = [{"speaker": "customer", "text": text, "at": time.time() - 60} for text in texts]
        body = {"transcript": lines, "bot": BOT_STATE, "contact": {"name": "Naledi Dube"}, "language": "zu"}
        assert (await self._send("handoff.transcript", handoff_id, body))["ok"]

    async def say(self, handoff_id: str, text: str, *parts: dict[str, Any]) -> None:
        body = {"speaker": "customer", "text": text, "at": time.time(), "parts": parts}
        answer = await self._send("message", handoff_id, body)
        assert answer["ok"], answer

    async def mark(self, handoff_id: str, message_id: str, status: str, reason: str | None = None) -> None:
        body = {"message_id": message_id, "status": status, "reason": reason}
        assert (await self._send("message.status", handoff_id, body))["ok"]

    async def leave(self, handoff_id: str) -> None:
        body = {"status": "ended", "reason": "customer_left"}
        assert (await self._send("handoff.status", handoff_id, body))["ok"]

    async def leave_message(self, handoff_id: str, **contact: str) -> None:
        body = {"status": "message_left", "reason": "message_left", "contact": contact}
        assert (await self._send("handoff.status", handoff_id, body))["ok"]

    async def typing(self, handoff_id: str, on: bool) -> None:
        await self._client.emit("typing", {"handoff_id": handoff_id, "on": on}, namespace=NAMESPACE)

    def all(self, event: str, **like: Any) -> list[dict[str, Any]]:
        """Return the payloads of an event that have these values."""
        bodies = [body for name, body in self.received if name == event]
        return [body for body in bodies if all(body.get(key) == value for key, value in like.items())]

    async def one(self, event: str, **like: Any) -> dict[str, Any]:
        """Wait for the first payload of an event with these values, and return it."""
        found: dict[str, Any] = (await eventually(lambda: self.all(event, **like)))[0]
        return found

    async def _greet(self) -> None:
        await self._client.emit("hello", {"open": []}, namespace=NAMESPACE)

    def _hears(self, event: str) -> Callable[..., Any]:
        async def hear(body: dict[str, Any]) -> dict[str, Any]:
            if body.get("id") not in self._ids:
                self.received.append((event, body))
            if "id" in body:
                self._ids.add(body["id"])
            return {"ok": True}

        return hear

    async def _send(self, event: str, handoff_id: str, body: dict[str, Any]) -> dict[str, Any]:
        number = self._numbers[handoff_id] = self._numbers.get(handoff_id, 0) + 1
        full = {"handoff_id": handoff_id, "id": uuid.uuid4().hex, "number": number, **body}
        answer: dict[str, Any] = await self._client.call(event, full, namespace=NAMESPACE, timeout=PATIENCE)
        return answer
