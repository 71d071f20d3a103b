"""Runs the live-agent server: as a process, or inside another event loop.

The error that keeps the application from starting is raised, not only logged. The guard counts and ends uvicorn's connections.
uvicorn uses h11 here: it limits a request's head to 16 kB; httptools, which uvicorn prefers, has no limit.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rasa_handoff.guard.connections import BACKLOG, PROGRESS, Connections
from rasa_handoff.guard.guard import Guard
from rasa_handoff.media.folder_store import FolderStore
from rasa_handoff.media.media_errors import MediaAway, MediaFull
from rasa_handoff.media.media_store import NOWHERE, S3
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.server import accounts
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.gateways.tkinter_gateway import HERE
from rasa_handoff.server.public_url import LOOPBACK, PublicUrl
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.store.bus import check_bus

PARTS: Final = {h11.IDLE: "head", h11.SEND_BODY: "body"}
"""The part of a request that a connection waits for, by the client's state."""
SHUTDOWN_WITHIN: Final = 1
"""Seconds for which a shutdown waits for requests (a long poll). Web sockets are closed at once, and clients connect again."""


def guarded_http(connections: Connections) -> type[H11Protocol]:
    """Return the protocol class for ``uvicorn.Config(http=...)``, which reports its connections to the guard."""

    class GuardedHttp(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._received = 0
            connections.opened(transport, self._waits_for)

        def data_received(self, data: bytes) -> None:
            self._received += len(data)
            super().data_received(data)

        def _waits_for(self) -> tuple[str | None, Any]:
            """Return what the connection waits for, and an object for its request (``Waiting`` in guard/connections.py)."""
            transport: Any = self.transport
            if transport.get_protocol() is not self:  # it has become a websocket
                return None, None
            begun = bool(self.conn.trailing_data[0])  # the head of the next request
            if self.conn.their_state is h11.IDLE and self.cycle is not None and not begun:
                return "next", self.cycle
            return PARTS.get(self.conn.their_state), (self.cycle, self._received // PROGRESS)

    return GuardedHttp


def serve(
    host: str,
    port: int,
    database: str,
    settings: ServerSettings = ServerSettings(),  # noqa: B008 - immutable
    proxies: Sequence[str] = LOOPBACK,
) -> int:
    """Run the server until SIGTERM or Ctrl-C, and return the exit code.

    ``proxies``: whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are read.

    Raises:
        HandoffError: the address is busy or not allowed without tokens, or the database can't be used.
    """
    check_bus(settings.bus, open_store(database))
    _check_media(settings.media)
    tokens = _has_tokens(database)
    if not tokens and not _is_loopback(host):
        raise HandoffError(
            f"No bot has a token yet, so only this machine is served, not {host}. "
            "Make one first: rasa-handoff token add BOT_ID"
        )
    app = create_app(database, settings)
    if settings.tkinter_demo is not None:
        # Only a check: a busy port is refused with a sentence before the application starts.
        _bound(HERE, settings.tkinter_demo.listen, "--tkinter-demo").close()
    with _bound(host, port) as listening:
        _run_in_event_loop(_run(app, proxies, host, listening, _welcome(listening, tokens, settings.public)))
    return 0


def _run_in_event_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run the process's main coroutine; with uvloop, where it is installed, a message costs less."""
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(main)
    else:
        uvloop.run(main)


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp, host: str = "127.0.0.1", port: int = 0, proxies: Sequence[str] = LOOPBACK
) -> AsyncIterator[str]:
    """Serve the application inside this event loop; yields its address, such as ``http://127.0.0.1:5065``.

    Raises:
        HandoffError: the address is busy, or the server couldn't start.
    """
    server = _server(app, proxies, host)
    with _bound(host, port) as listening:
        async with started(app):
            task = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                await _until_listening(server, task)
                yield _address(listening)
            finally:
                server.should_exit = True
                await task


class _Server(uvicorn.Server):
    """Leaves signals to the owner of the event loop; uvicorn would take them, and raise them again at the end."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, and cut those that aren't closed in time.

        A peer that doesn't read keeps its connection open, and with it the tasks that write to it, which the event loop would
        wait for at its end.
        """
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _server(app: ASGIApp, proxies: Sequence[str], host: str) -> uvicorn.Server:
    guard = getattr(app, "guard", None) or Guard()
    guard.connections.proxies = list(proxies)
    guard.hosts.note_listening(host)
    # wsproto: the websockets that Rasa 3.6 pins is too old for uvicorn.
    config = uvicorn.Config(
        app,
        ws="wsproto",
        # A compressed message may be a thousand times larger once it is decompressed.
        ws_per_message_deflate=False,
        ws_max_size=guard.limits.relay_message_bytes,
        http=guarded_http(guard.connections),
        backlog=BACKLOG,
        log_level=logging.WARNING,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_WITHIN,
        lifespan="off",  # `started` does it: uvicorn would log an error there with its traceback, and exit by itself
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(proxies),
    )
    return _Server(config)


async def _run(app: ASGIApp, proxies: Sequence[str], host: str, listening: socket.socket, welcome: str) -> None:
    server, loop = _server(app, proxies, host), asyncio.get_running_loop()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, _stop, server)
    async with started(app):
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await _until_listening(server, task)
        print(welcome, flush=True)
        await task


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


async def _until_listening(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    while not server.started and not task.done():  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    if task.done() and not server.started:
        await task
        raise HandoffError("The server couldn't start; the log above says why.")


def _has_tokens(database: str) -> bool:
    store = open_store(database)
    try:
        store.prepare()
        return store.run(accounts.any_tokens)
    finally:
        store.dispose()


def _check_media(where: str | None) -> None:
    """Check, before anything starts, that a folder for files that is named can be used.

    Raises:
        HandoffError: it never can be. A bucket that can't be used now is said in the log.
    """
    if where is None or where == NOWHERE or where.startswith(S3):
        return
    with contextlib.suppress(MediaFull):
        try:
            FolderStore(Path(where)).probe_now()
        except MediaAway as problem:
            if problem.advice:
                raise HandoffError(f"--media {where} can't be used ({problem.reason}): {problem.advice}.") from problem


def _bound(host: str, port: int, option: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only for sockets it knows to be TCP. Otherwise two
    # packets in a row to one socket (an event and an acknowledgement) would be 40 ms apart.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as problem:
        listening.close()
        reason = getattr(problem, "strerror", None) or (
            "no name of a machine looks like this"
            if isinstance(problem, UnicodeError)
            else "a port is a number up to 65535"
        )
        raise HandoffError(
            f"{host}:{port} can't be listened on ({reason}): stop what runs there, or choose another {option}."
        ) from problem
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(listening: socket.socket, tokens: bool, public: PublicUrl | None) -> str:
    note = "" if tokens else " No bot has a token yet: only this machine is served."
    here = f"{_address(listening)}/"
    where = f"{public} (listening on {here})" if public else here
    return f"The live-agent server is ready; the desk is at {where}.{note}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """Run the application's startup and, at the end, its shutdown.

    Raises:
        Exception: what the application raised while it started or stopped.
    """
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answered: asyncio.Queue[str] = asyncio.Queue()

    async def send(message: Any) -> None:
        answered.put_nowait(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    lifespan = asyncio.ensure_future(app(scope, asked.get, send))
    try:
        await _step(lifespan, asked, answered, "startup")
    except BaseException:
        lifespan.cancel()
        raise
    try:
        yield
    finally:
        await _step(lifespan, asked, answered, "shutdown")
        await lifespan


async def _step(
    lifespan: "asyncio.Future[None]", asked: "asyncio.Queue[dict[str, Any]]", answered: "asyncio.Queue[str]", name: str
) -> None:
    """Ask for the startup or the shutdown, and wait until it is done."""
    asked.put_nowait({"type": f"lifespan.{name}"})
    reading = asyncio.ensure_future(answered.get())
    try:
        either: set[asyncio.Future[Any]] = {lifespan, reading}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done() or not reading.result().endswith(".complete"):
            await lifespan  # raises the application's own error, if there is one
            raise RuntimeError(f"The application ended during its {name}.")
    finally:
        reading.cancel()
