"""The reference: three chained plain python-socketio hops, customer - server A - server B - agent, in processes of their own.

Nothing is kept, checked or acknowledged on the way. ``python -m tools.bench.plain a PORT PORT_OF_B``, ``... b PORT``.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import socketio
from aiohttp import web

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import PATIENCE, RecordingClient
from tests.support.started_processes import Process
from tools.bench.measure import memory_bytes, processor_seconds
from tools.bench.measuring_people import Customer, answer_to, few_at_a_time

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


class PlainHops:
    """``async with PlainHops(folder)``: both servers, and an agent that answers."""

    def __init__(self, folder: Path) -> None:
        self.port_a, self.port_b = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port_a}"
        first, second = [str(self.port_a), str(self.port_b)], [str(self.port_b)]
        self._a, self._b = (self._process(folder, "a", first), self._process(folder, "b", second))
        self._agent = PlainAgent()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "PlainHops":
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._b)
            await stack.enter_async_context(self._a)
            await self._agent.connect(f"http://127.0.0.1:{self.port_b}")
            stack.push_async_callback(self._agent.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that A and B have used."""
        return {"A": processor_seconds(self._a.process.pid), "B": processor_seconds(self._b.process.pid)}

    def memory(self) -> dict[str, int]:
        """Return the bytes of memory that A and B have."""
        return {"A": memory_bytes(self._a.process.pid), "B": memory_bytes(self._b.process.pid)}

    async def customer(self, name: str) -> "PlainCustomer":
        """Return a customer who is connected."""
        customer = PlainCustomer(name)
        self._stack.push_async_callback(customer.close)
        await customer.connect(self.url)
        return customer

    async def talks(self, name: str) -> Customer:
        """Let a customer come, who talks to the agent."""
        return await self.customer(name)

    async def ends(self, customer: Customer) -> None:
        """Let a customer go away."""
        await customer.close()

    async def all(self, comes: Callable[[str], Awaitable[T]], names: Sequence[str]) -> list[T]:
        """Let these customers come, a few at a time and in this order."""
        return await few_at_a_time(comes, names)

    def _process(self, folder: Path, name: str, ports: list[str]) -> Process:
        command = [sys.executable, "-m", "tools.bench.plain", name, *ports]
        process = Process(command, folder, f"http://127.0.0.1:{ports[0]}/", PYTHONPATH=str(ROOT))
        process.log = folder / f"plain-{name}.log"
        return process


class PlainCustomer(Customer):
    """A customer of the plain hops, who sends without acknowledgements."""

    async def send(self, text: str) -> None:
        """Send a message, and don't wait for an answer."""
        await self.emit("user_uttered", {"session_id": self.name, "message": text})


class PlainAgent(RecordingClient):
    """An agent of the plain hops, who answers every message."""

    def __init__(self) -> None:
        super().__init__("/desk")
        self.sio.on("message", self._answer, namespace="/desk")

    async def connect(self, url: str) -> None:
        """Connect to server B."""
        await self.sio.connect(url, namespaces=["/desk"], transports=["websocket"], wait_timeout=PATIENCE)

    async def _answer(self, data: Any) -> None:
        await self.emit("message", {"session_id": data["session_id"], "text": answer_to(data["message"])})


async def serve_a(port: int, port_of_b: int) -> None:
    """Run server A, in Rasa's place: customers connect to it, and it is a client of B."""
    server, client = socketio.AsyncServer(async_mode="aiohttp"), socketio.AsyncClient()

    async def enter(sid: str, data: Any) -> None:
        await server.enter_room(sid, data["session_id"])
        await server.emit("session_confirm", data["session_id"], to=sid)

    async def pass_on(sid: str, data: Any) -> None:
        await client.emit("message", data, namespace="/relay")

    async def pass_back(data: Any) -> None:
        await server.emit("bot_uttered", data, to=data["session_id"])

    server.on("session_request", enter)
    server.on("user_uttered", pass_on)
    client.on("message", pass_back, namespace="/relay")
    await client.connect(f"http://127.0.0.1:{port_of_b}", namespaces=["/relay"], transports=["websocket"])
    await _serve(server, port)


async def serve_b(port: int) -> None:
    """Run server B, in the live-agent server's place: it passes messages between A and the agent."""
    server = socketio.AsyncServer(async_mode="aiohttp", namespaces=["/relay", "/desk"])

    async def pass_on(sid: str, data: Any) -> None:
        await server.emit("message", data, namespace="/desk")

    async def pass_back(sid: str, data: Any) -> None:
        await server.emit("message", data, namespace="/relay")

    server.on("message", pass_on, namespace="/relay")
    server.on("message", pass_back, namespace="/desk")
    await _serve(server, port)


async def _serve(server: socketio.AsyncServer, port: int) -> None:
    app = web.Application()
    server.attach(app)

    async def up(_: web.Request) -> web.Response:
        return web.Response(text="up")

    app.router.add_get("/", up)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    which, *ports = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_a(int(ports[0]), int(ports[1])) if which == "a" else serve_b(int(ports[0])))
