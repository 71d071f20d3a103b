"""A customer's page that speaks Rasa's socketio protocol, as chat widgets do, or with acknowledgements, as ours does."""

import asyncio
import uuid
from typing import Any

import socketio

from rasa_handoff.testing.waiting import eventually


class Page:
    """``async with Page(url, session)``: one tab. ``heard``: every event it got, in order.

    ``request``: what else its ``session_request`` says.
    With ``acks`` it asks for ids; while ``attentive`` isn't set it acknowledges nothing, as a page that hangs.
    """

    def __init__(
        self,
        url: str,
        session: str | None = "tab-session",
        namespace: str = "/",
        path: str = "socket.io",
        acks: bool = False,
        auth: Any = None,
        **request: Any,
    ) -> None:
        self.url, self.session, self.namespace, self.path, self.acks = url, session, namespace, path, acks
        self.auth, self.request = auth, request
        self.received: list[tuple[str, Any]] = []
        self.attentive = asyncio.Event()
        self.attentive.set()

    async def __aenter__(self) -> "Page":
        self.sio = socketio.AsyncClient(reconnection=False)
        self.sio.on("*", self._hear, namespace=self.namespace)
        await self.sio.connect(
            self.url,
            namespaces=[self.namespace],
            socketio_path=self.path,
            transports=["websocket"],
            wait_timeout=10,
            auth=self.auth,
        )
        await self.join(self.session, **self.request)
        return self

    async def join(self, session: Any, **request: Any) -> None:
        """Ask for a session; answered when it is confirmed or refused."""
        answers = self.answers
        self.session = session
        body = {"session_id": session, **({"acks": True} if self.acks else {}), **request}
        await self.sio.emit("session_request", body, namespace=self.namespace)
        await eventually(lambda: self.answers > answers)

    @property
    def answers(self) -> int:
        """How often it was answered that it has a session, or hasn't."""
        return len([event for event, _ in self.received if event in ("session_confirm", "session_refused")])

    def all(self, event: str) -> list[Any]:
        """What came with each event of this name."""
        return [data for name, data in self.received if name == event]

    async def __aexit__(self, *_: object) -> None:
        await self.sio.disconnect()
        self.attentive.set()

    async def _hear(self, event: str, data: Any = None) -> None:
        """What returns is acknowledged."""
        self.received.append((event, data))
        if event == "bot_uttered":
            await self.attentive.wait()

    async def say(self, text: str) -> None:
        body = {"message": text, "session_id": self.session}
        await self.sio.emit("user_uttered", body, namespace=self.namespace)

    async def tell(self, text: str, id: str | None = None) -> dict[str, Any]:
        """Say it with an id; returns the acknowledgement."""
        body = {"message": text, "session_id": self.session, "id": id or uuid.uuid4().hex}
        return dict(await self.sio.call("user_uttered", body, namespace=self.namespace, timeout=10))

    async def type(self, on: bool) -> None:
        await self.sio.emit("typing", {"session_id": self.session, "on": on}, namespace=self.namespace)

    @property
    def texts(self) -> list[str]:
        """What the bot or an agent said."""
        return [data.get("text", "") for event, data in self.received if event == "bot_uttered"]

    @property
    def ids(self) -> list[str]:
        """Their ids; None where there is none."""
        return [data.get("id") for event, data in self.received if event == "bot_uttered"]

    @property
    def shown(self) -> list[str]:
        """What a page shows that drops what it has."""
        words = {
            data.get("id") or str(place): data
            for place, (event, data) in enumerate(self.received)
            if event == "bot_uttered"
        }
        return [data.get("text", "") for data in words.values()]

    async def hears(self, words: str) -> None:
        await eventually(lambda: any(words in text for text in self.texts), what=f"{words!r} among {self.texts}")
