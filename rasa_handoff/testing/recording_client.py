"""A Socket.IO client that keeps what it receives: what agents, customers and relays in tests have in common."""

from typing import Any, Final

import socketio

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.slowness import slowness

PATIENCE: Final = 10.0
"""Seconds that a client waits for a connection or an acknowledgement."""


class PatientClient(socketio.AsyncClient):
    """A client that waits for the server's answer when it connects again, too: python-socketio gives up after a second then."""

    async def connect(self, *arguments: Any, wait_timeout: float = PATIENCE, **more: Any) -> None:
        """Connect, and wait until the server has let it in."""
        await super().connect(*arguments, wait_timeout=wait_timeout, **more)


class RecordingClient:
    """One connection to one namespace. ``received``: (event, payload) in the order they came.

    ``events``: what it listens to, if not to everything. ``reconnects``: it connects again by itself, as browsers do.
    """

    events: tuple[str, ...] = ("*",)
    patience = PATIENCE

    def __init__(self, namespace: str, reconnects: bool = True) -> None:
        self.namespace = namespace
        self.received: list[tuple[str, Any]] = []
        self.sio = PatientClient(reconnection=reconnects, reconnection_delay=0.05, reconnection_delay_max=0.1)
        for event in ("connect_error", *self.events):
            self.sio.on(event, self._listener(event), namespace=namespace)

    async def close(self) -> None:
        """Disconnect, in whichever state the connection is."""
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
        """Return the payloads of all events of this name, in order."""
        return [body for name, body in self.received if name == event]

    async def call(self, event: str, body: Any) -> Any:
        """Send an event and return its acknowledgement."""
        return await self.sio.call(event, body, namespace=self.namespace, timeout=self.patience * slowness())

    async def emit(self, event: str, body: Any) -> None:
        """Send an event without waiting for an acknowledgement."""
        await self.sio.emit(event, body, namespace=self.namespace)

    def on_event(self, event: str, body: Any) -> Any:
        """Keep an event that came, and return its acknowledgement. Override it to answer otherwise."""
        self.received.append((event, body))
        return {"ok": True}

    async def answer(self, event: str, body: Any) -> Any:
        """Answer an event that came, at once. Override it to take longer."""
        return self.on_event(event, body)

    def _listener(self, event: str) -> Any:
        async def on_any(name: str, body: Any = None) -> Any:
            return await self.answer(name, body)

        async def on_one(body: Any = None) -> Any:
            return await self.answer(event, body)

        return on_any if event == "*" else on_one
