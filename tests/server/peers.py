"""Real python-socketio clients of the server beside the agents: relays, and clients of Botlhale's live agent."""

import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest
import socketio
from sqlalchemy import create_engine, func, select

from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.testing.recording_client import PATIENCE, RecordingClient
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually

OLD_BOT = "old-bot"
ASKED = ("startConversation", "messages")
"""The events with which the server asks a client of Botlhale's protocol who it is and what was said before."""


def agent_at(address: str, name: str = "thandi") -> ScriptedAgent:
    """An agent of the furnished database, who isn't signed in yet and connects again by themselves."""
    return ScriptedAgent(address, f"{name}@example.org", reconnects=True)


async def refusal_of(connecting: Awaitable[None], peer: RecordingClient) -> str:
    """Return the sentence with which a connection is refused."""
    with pytest.raises(socketio.exceptions.ConnectionError):
        await connecting
    await peer.close()
    return str(peer.all("connect_error")[0]["message"])


async def arrived_handoff(agent: ScriptedAgent, number: int = 1) -> str:
    """Wait until so many conversations have arrived at an agent's desk, and return the handoff id of the last of them."""
    arrivals = await eventually(lambda: agent.all("arrival")[number - 1 :])
    return str(arrivals[0]["handoff_id"])


class Relay(RecordingClient):
    """A relay that says hello after every connect and acknowledges everything."""

    events = ("welcome", "availability", "typing", "read", "message", "handoff.status")

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
        """Return the payload of a handoff; nothing is sent."""
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
        """Hand a conversation over, and return its handoff id."""
        offer = self.offer(**more)
        answer = await self.call("handoff.initiate", offer)
        assert answer["ok"], answer
        return str(offer["handoff_id"])

    async def say(self, handoff_id: str, text: str, id: str | None = None) -> Any:
        body = {"handoff_id": handoff_id, "id": id or uuid.uuid4().hex, "number": 2, "speaker": "customer"}
        return await self.call("message", {**body, "text": text, "at": time.time()})

    def deliveries(self, handoff_id: str) -> list[Any]:
        """Return what was delivered of a handoff, in order: messages and statuses, all that the server keeps in its outbox."""
        names = ("message", "handoff.status")
        return [body for name, body in self.received if name in names and body["handoff_id"] == handoff_id]

    def statuses(self, handoff_id: str) -> list[str]:
        return [body["status"] for body in self.deliveries(handoff_id) if "status" in body]


class OldClient(RecordingClient):
    """A client written for Botlhale's live agent, in Python. ``answers``: the events of the server that it answers at once."""

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

    def on_event(self, event: str, body: Any) -> None:
        super().on_event(event, body)
        if event == "startConversation" and event in self._answers:
            self.sio.start_background_task(self.emit, "username", self.ids)
        elif event == "messages" and event in self._answers:
            said = [{"sender": "user", "message": "I want a person"}, {"sender": "bot", "message": "One moment"}]
            self.sio.start_background_task(self.emit, "messages_to_client", {"messages": said, "bot_id": OLD_BOT})

    def texts(self) -> list[str]:
        return [body["message"] for body in self.all("to_user")]


def waiting_entries(server: Any, handoff_id: str) -> int:
    """Return how many entries of a handoff wait in the server's outbox."""
    engine = create_engine(server.database)
    with engine.connect() as connection:
        count = select(func.count()).select_from(OUTBOX.table).where(OUTBOX.table.c.lane == handoff_id)
        found = int(connection.execute(count).scalar_one())
    engine.dispose()
    return found
