"""A foreign live-agent server with Botlhale's protocol alone: without message ids and acknowledgements.

It sends ``startConversation`` in the connect handler, before the connection is acknowledged. It asks for the transcript as soon
as it knows the conversation, and ends conversations without a reason.
"""

from types import TracebackType
from typing import Any

import socketio

from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port


class ForeignServer:
    """The server: ``async with ForeignServer()``. ``received`` has everything it was sent, as (event, payload).

    ``socket_of``: the newest socket of each ConversationID. ``gone``: sockets that have closed.
    ``greeting``: what it says to a client that has named its conversation, if anything.
    """

    def __init__(self, namespace: str = "/live_agent", port: int | None = None) -> None:
        self.namespace, self.port = namespace, port or free_port()
        self.received: list[tuple[str, Any]] = []
        self.sockets: list[str] = []
        self.socket_of: dict[str, str] = {}
        self.gone: list[str] = []
        self.greeting: str | None = None

    async def __aenter__(self) -> "ForeignServer":
        self.sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
        self.sio.on("connect", self._connect, namespace=self.namespace)
        self.sio.on("disconnect", self._disconnect, namespace=self.namespace)
        for name in ("username", "messages_to_client", "from_user"):
            self.sio.on(name, self._hear(name), namespace=self.namespace)
        self._running = running(socketio.ASGIApp(self.sio), port=self.port)
        self.url = await self._running.__aenter__()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.__aexit__(kind, problem, trace)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        self.sockets.append(sid)
        await self.sio.emit("startConversation", to=sid, namespace=self.namespace)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self.gone.append(sid)

    def _hear(self, name: str) -> Any:
        async def hear(sid: str, data: Any) -> None:
            self.received.append((name, data))
            if name == "username":
                self.socket_of[data["ConversationID"]] = sid
                await self.sio.emit("messages", to=sid, namespace=self.namespace)
                if self.greeting is not None:
                    await self.sio.emit("to_user", {"message": self.greeting}, to=sid, namespace=self.namespace)

        return hear

    async def say(self, name: str, *payload: Any, who: str | None = None) -> None:
        """Emit to the newest socket, or to this conversation's."""
        sid = self.sockets[-1] if who is None else self.socket_of[who]
        await self.sio.emit(name, *payload, to=sid, namespace=self.namespace)

    async def cut(self) -> None:
        """Drop the newest socket without a goodbye."""
        await self.sio.disconnect(self.sockets[-1], namespace=self.namespace)

    def texts(self, who: str) -> list[str]:
        """Return this customer's messages, in order."""
        return [data["message"] for data in self.all("from_user") if data["ConversationID"] == who]

    def all(self, name: str) -> list[Any]:
        """Return the payloads of this event, in order."""
        return [data for event, data in self.received if event == name]
