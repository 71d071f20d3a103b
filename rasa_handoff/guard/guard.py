"""The guard of a Socket.IO server, on ASGI or on Sanic: what it refuses never reaches a handler.

It replaces how the server's Engine.IO reads requests, websocket messages and packets. These are private parts, the same in
python-socketio 5.14 to 5.18 and python-engineio 4.11 to 4.15; ``tests/core/test_guard.py`` fails when they have changed.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from socketio import AsyncServer, packet

from rasa_handoff.guard import packets, socketio_requests
from rasa_handoff.guard.buckets import Bucket, Buckets
from rasa_handoff.guard.connections import Connections
from rasa_handoff.guard.hosts import Hosts
from rasa_handoff.guard.http import REASONS, AsgiRequest, SanicRequest, TooLong, request_of
from rasa_handoff.guard.packets import UnfitPacket
from rasa_handoff.guard.pending import Pending
from rasa_handoff.guard.refusals import Refusals, bound_logs
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

SWEEP_SECONDS: Final = 1.0
BURST_SECONDS: Final = 20.0
ADDRESS_BURST_SECONDS: Final = 5.0
NEW_SOCKETS_BURST_SECONDS: Final = 40.0
CONVERSATIONS_BURST_SECONDS: Final = 600.0
CONNECTS_PER_SECOND: Final = 0.5
COMMANDS_PER_SECOND: Final = 5.0
"""Commands over HTTP (``admin/http_endpoint.py``) of one address: so many with the right token, and as many without."""
BYTES_PER_EVENT: Final = 10_000
"""A message counts as one event, and as one more for each of so many bytes."""
RELAY_AT_ONCE: Final = 1_000
"""Events of a relay whose handlers may run at the same time: it has all conversations of its bot."""
MOST_UNFIT: Final = 20
"""So many events of a socket are refused one by one before the socket is ended."""


class Ended(OSError):
    """The socket was refused; python-engineio takes this error for a closed transport."""


class Session:
    """An Engine.IO socket. ``trusted``: it is a relay's, whose token was accepted."""

    def __init__(self, sid: str, address: str, limits: Limits, at_once: int) -> None:
        self.sid, self.address, self._limits, self._at_once = sid, address, limits, at_once
        self.since = asyncio.get_running_loop().time()
        self.trusted, self.unfit = False, 0
        self.slowed: set[str] = set()
        self.reading = asyncio.Lock()
        self.bucket = Bucket(limits.events_per_second, limits.events_per_second * BURST_SECONDS)
        self.connects = Bucket(CONNECTS_PER_SECOND, CONNECTS_PER_SECOND * BURST_SECONDS * 2)
        self.pending = Pending(at_once, limits.message_bytes)

    @property
    def longest(self) -> int:
        """The most bytes of a message."""
        return self._limits.relay_message_bytes if self.trusted else self._limits.message_bytes

    def trust(self, yes: bool) -> None:
        """Note that a relay's handshake was accepted, or that the relay has left."""
        self.trusted = yes
        self.pending.at_once = RELAY_AT_ONCE if yes else self._at_once


class Guard:
    """The guard of one server process: ``async with guard``. :meth:`protect` each Socket.IO server before it serves anything.

    ``address_of`` returns the address that a request counts for, when a proxy may speak for others; by default the real peer.
    ``hosts``: the host names that the server accepts; the application that gets all requests checks them.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        self.limits = limits
        self.refusals = Refusals()
        self.connections = Connections(limits, self.refusals)
        self.address_of: Callable[[socketio_requests.Head], str] = lambda head: head.address
        self.hosts = Hosts()
        self.conversations = Buckets(limits.events_per_second, BURST_SECONDS)
        self._beginnings = Buckets(limits.conversations_per_minute / 60, CONVERSATIONS_BURST_SECONDS)
        self._addresses = Buckets(limits.events_per_second_per_address, ADDRESS_BURST_SECONDS)
        self._new_sockets = Buckets(limits.new_sockets_per_second, NEW_SOCKETS_BURST_SECONDS)
        self._commands = Buckets(COMMANDS_PER_SECOND, BURST_SECONDS)
        self._requests = Buckets(limits.requests_per_second, BURST_SECONDS)
        self._protected: list[_Protected] = []
        self._sweeping: asyncio.Task[None] | None = None
        bound_logs()

    async def __aenter__(self) -> "Guard":
        self._sweeping = asyncio.create_task(self._sweep_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping

    def protect(self, sio: AsyncServer, at_once: int, relays: bool = False) -> None:
        """Let ``sio`` get only what passes the guard.

        ``at_once``: events of a socket whose handlers may run at the same time. ``relays``: relays are among its clients, whose
        messages may be longer.
        """
        self._protected.append(_Protected(self, sio, at_once, relays))

    def trust(self, sio: AsyncServer, sid: str, namespace: str, yes: bool = True) -> None:
        """Trust the relay behind this socket, which has shown its token; or no longer, when it has left the namespace."""
        for protected in self._protected:
            if protected.sio is sio:
                protected.trust(sid, namespace, yes)

    def address(self, environ: dict[str, Any]) -> str:
        """Return the address that a handshake counts for."""
        return str(environ.get("handoff.address", "unknown"))

    def may_begin(self, address: str, what: str) -> bool:
        """Return whether this address may begin another conversation; log it if not."""
        if self._beginnings.of(address).take():
            return True
        rate = self.limits.conversations_per_minute
        self.refusals.note(address, "conversations", f"{what}: more than {rate:g} new conversations a minute.")
        return False

    def may_command(self, address: str, trusted: bool) -> bool:
        """Return whether this address may send another command. ``trusted``: it showed the token."""
        return self._commands.of(f"{address} {trusted}").take()

    def may_ask(self, address: str) -> bool:
        """Return whether this address may get another page or file; log it if not.

        This machine's own address always may: it is a program here, or a proxy that doesn't say for whom it speaks.
        """
        if socketio_requests.is_loopback(socketio_requests.as_host(address)) or self._requests.of(address).take():
            return True
        self.refusals.note(
            address, "http 429", f"a page: more than {self.limits.requests_per_second:g} requests a second."
        )
        return False

    async def sweep(self) -> None:
        """End what takes too long, and forget what is over."""
        self.connections.sweep()
        for buckets in (
            self.conversations,
            self._beginnings,
            self._addresses,
            self._new_sockets,
            self._requests,
            self._commands,
        ):
            buckets.sweep()
        for protected in self._protected:
            await protected.sweep()

    async def slow_down(self, session: Session, size: int) -> None:
        """Wait if this socket or its address has been too fast. Nothing more of the socket is read meanwhile."""
        if session.trusted:
            return
        cost = 1 + size / BYTES_PER_EVENT
        # This machine's address is a proxy, which speaks for all, or a program: it has no limit of its own.
        if not socketio_requests.is_loopback(socketio_requests.as_host(session.address)):
            rate = self.limits.events_per_second_per_address
            await self._slow_down(
                session, self._addresses.of(session.address), cost, f"this address has sent more than {rate:g}"
            )
        await self._slow_down(
            session, session.bucket, cost, f"a socket has sent more than {self.limits.events_per_second:g}"
        )

    async def _slow_down(self, session: Session, bucket: Bucket, cost: float, why: str) -> None:
        seconds = bucket.owe(cost)
        if seconds > 0:
            if why not in session.slowed:  # once for each socket, not for each event
                session.slowed.add(why)
                self.refusals.note(session.address, "rate", f"{why} events a second, and is slowed down.")
            await asyncio.sleep(seconds)

    def problem_of(
        self, head: socketio_requests.Head, sessions: "dict[str, Session]", longest: int
    ) -> tuple[int, str] | None:
        """Return status and sentence with which a request is refused before its body is read; None if it may go on."""
        problem = socketio_requests.problem_of(head, longest)
        if problem is not None:
            return problem
        if head.session_id is not None or head.method == "OPTIONS":
            return None
        address, most = self.address_of(head), self.limits.connections_per_address
        if not self._new_sockets.of(address).take():
            return 429, f"more than {self.limits.new_sockets_per_second:g} new sockets a second"
        if len(sessions) >= self.limits.connections:
            return 429, f"all {self.limits.connections} sockets are taken"
        if sum(session.address == address for session in sessions.values()) >= most:
            return 429, f"{most} sockets are open already"
        return None

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:
                log.exception("The sweep of connections failed; it will be tried again.")


class _Protected:
    """One Socket.IO server, with the parts of it that were replaced."""

    def __init__(self, guard: Guard, sio: AsyncServer, at_once: int, relays: bool) -> None:
        self.sio, self._guard, self._at_once = sio, guard, at_once
        self._sessions: dict[str, Session] = {}
        eio = sio.eio
        self._handle_request = eio.handle_request
        eio.handle_request = _streaming(self._request)
        eio._async = {**eio._async, **self._transport(eio._async)}
        self._make_response = eio._make_response
        eio._make_response = self._respond
        limits = guard.limits
        eio.max_http_buffer_size = max(limits.message_bytes, limits.relay_message_bytes if relays else 0)
        eio.on("connect", self._connected)
        eio.on("disconnect", self._disconnected)
        eio.on("message", self._message)
        sio.packet_class = packets.GuardedPacket

    def trust(self, sid: str, namespace: str, yes: bool) -> None:
        session = self._sessions.get(self.sio.manager.eio_sid_from_sid(sid, namespace) or "")
        if session is not None:
            session.trust(yes)

    # Requests

    async def _request(self, *arguments: Any) -> Any:
        request = request_of(arguments)
        head, known = request.head, self._sessions.get(request.head.session_id or "")
        longest = known.longest if known is not None else self._guard.limits.message_bytes
        problem = self._guard.problem_of(head, self._sessions, longest)
        if problem is not None:
            return await self._refuse(request, *problem, known if problem[0] == 413 else None)
        if head.method == "POST":
            try:
                body = await request.read(longest, self._guard.limits.body_seconds)
                packets.check_body(body)
            except TooLong as no:
                return await self._refuse(request, 413, str(no), known)
            except UnfitPacket as no:
                return await self._refuse(request, 400, str(no), known, no.kind)
            if known is not None:
                await self._guard.slow_down(known, len(body))
        return await self._handle_request(*request.arguments)

    async def _refuse(
        self,
        request: AsgiRequest | SanicRequest,
        status: int,
        sentence: str,
        session: Session | None = None,
        kind: str = "",
    ) -> Any:
        self._guard.refusals.note(self._guard.address_of(request.head), kind or f"http {status}", f"{sentence}.")
        if session is not None:
            await self._end(session)
        request.leave_unread()
        answer = {
            "status": REASONS[status],
            "headers": [("Content-Type", "text/plain")],
            "response": f'"{sentence[:1].upper()}{sentence[1:]}."'.encode(),
        }
        return await self._respond(answer, {**request.environ, **_origin(request.head)})

    async def _respond(self, answer: dict[str, Any], environ: dict[str, Any]) -> Any:
        headers = [*answer["headers"], *socketio_requests.HEADERS]
        return await self._make_response({**answer, "headers": headers}, environ)

    def _transport(self, driver: dict[str, Any]) -> dict[str, Any]:
        translate = driver["translate_request"]

        async def translate_request(*arguments: Any) -> dict[str, Any]:
            environ = translate(*arguments)
            if inspect.isawaitable(environ):
                environ = await environ
            head = request_of(arguments).head
            address = self._guard.address_of(head)
            environ.update({"handoff.head": head, "handoff.address": address, "REMOTE_ADDR": address})
            return dict(environ)

        inner = driver["websocket"]
        admit = self._admit

        join_seconds = self._guard.limits.join_seconds

        class GuardedWebSocket(inner):  # type: ignore[misc, valid-type]
            async def wait(self) -> Any:
                socket = self.handler.__self__
                if socket.upgraded:
                    data = await super().wait()
                else:  # python-engineio would wait for ever for a probe
                    try:
                        data = await asyncio.wait_for(super().wait(), join_seconds)
                    except asyncio.TimeoutError:
                        raise Ended("The upgrade to a websocket wasn't completed.") from None
                await admit(socket.sid, data)
                return data

        return {"translate_request": translate_request, "websocket": GuardedWebSocket if inner else None}

    async def _admit(self, sid: str, data: Any) -> None:
        """Check a websocket message before it is read, and slow its socket down."""
        session = self._sessions.get(sid)
        if session is None:
            raise Ended("The socket has ended.")
        try:
            if data and len(data) > session.longest:
                raise UnfitPacket("size", f"a message of {len(data)} characters, {session.longest} are allowed")
            packets.check_raw(data)
        except UnfitPacket as no:
            self._note(session, no)
            session.pending.drop()
            raise Ended(str(no)) from no
        await self._guard.slow_down(session, len(data or ""))

    # Engine.IO's sockets

    async def _connected(self, sid: str, environ: dict[str, Any]) -> Any:
        address = self._guard.address(environ)
        self._sessions[sid] = Session(sid, address, self._guard.limits, self._at_once)
        return await self.sio._handle_eio_connect(sid, environ)

    async def _disconnected(self, sid: str, reason: Any = None) -> None:
        session = self._sessions.pop(sid, None)
        if session is not None:
            await session.pending.drain()
        await self.sio._handle_eio_disconnect(sid, reason)

    async def _end(self, session: Session) -> None:
        """End a socket, whatever its client does."""
        session.pending.drop()
        socket = self.sio.eio.sockets.get(session.sid)
        if socket is not None:
            await socket.close(wait=False, abort=True, reason="refused")
            await socket.queue.put(None)  # ends the websocket's writer, or an open poll
            self.sio.eio.sockets.pop(session.sid, None)
        self._sessions.pop(session.sid, None)

    async def sweep(self) -> None:
        now, limits = asyncio.get_running_loop().time(), self._guard.limits
        for sid, session in list(self._sessions.items()):
            if sid not in self.sio.eio.sockets:
                self._sessions.pop(sid, None)
            elif self._joined(sid):
                session.since = now
            elif now - session.since > limits.join_seconds:
                self._note(
                    session, UnfitPacket("idle", f"a socket that joined nothing within {limits.join_seconds:g} s")
                )
                await self._end(session)

    def _joined(self, eio_sid: str) -> bool:
        manager = self.sio.manager
        return any(manager.sid_from_eio_sid(eio_sid, namespace) for namespace in list(manager.get_namespaces()))

    def _note(self, session: Session, no: UnfitPacket) -> None:
        self._guard.refusals.note(session.address, no.kind, f"{no}.")

    # Socket.IO's packets

    async def _message(self, eio_sid: str, data: Any) -> None:
        session = self._sessions.get(eio_sid)
        if session is None:
            return
        try:
            async with session.reading:  # polling requests may come at the same time, and a handshake takes a moment
                await self._handle(session, packets.read_packet(data), len(data))
        except UnfitPacket as no:
            self._note(session, no)
            session.unfit += 1
            if no.kind != "reserved" or session.unfit > MOST_UNFIT:
                await self._end(session)

    async def _handle(self, session: Session, one: Any, size: int) -> None:
        sio, namespace = self.sio, one.namespace or "/"
        if one.packet_type == packet.CONNECT:
            if not session.connects.take():
                raise UnfitPacket("connects", "too many attempts to join a namespace")
            await self._join(session, one)
        elif one.packet_type == packet.DISCONNECT:
            await session.pending.drain()
            await sio._handle_disconnect(session.sid, one.namespace, sio.reason.CLIENT_DISCONNECT)
        elif one.packet_type == packet.EVENT:
            packets.check_event(one.data)
            sid = sio.manager.sid_from_eio_sid(session.sid, namespace)
            if sid is not None and sio.manager.is_connected(sid, namespace):
                job = partial(sio._handle_event_internal, sio, sid, session.sid, one.data, namespace, one.id)
                await session.pending.add(job, size)
        elif one.packet_type == packet.ACK:
            if not isinstance(one.data, list):
                raise UnfitPacket("packet", "an acknowledgement that isn't a list")
            await sio._handle_ack(session.sid, one.namespace, one.id, one.data)
        else:
            raise UnfitPacket("binary", "a binary packet")

    async def _join(self, session: Session, one: Any) -> None:
        """Run a handshake. If it raises, undo the join: python-socketio leaves such a socket joined without a checked token."""
        auth = one.data if isinstance(one.data, dict) else None  # handlers expect what the client libraries send
        manager, namespace = self.sio.manager, one.namespace or "/"
        before = manager.sid_from_eio_sid(session.sid, namespace)
        try:
            await self.sio._handle_connect(session.sid, one.namespace, auth)
        except Exception as problem:
            joined = manager.sid_from_eio_sid(session.sid, namespace)
            if joined is not None and joined != before:
                await manager.disconnect(joined, namespace, ignore_queue=True)
            raise UnfitPacket("connects", f"a handshake that can't be handled ({type(problem).__name__})") from problem


def _streaming(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the handler for Sanic, which then leaves reading the body to us."""

    async def handle_request(*arguments: Any) -> Any:
        return await handle(*arguments)

    handle_request.is_stream = True  # type: ignore[attr-defined]
    return handle_request


def _origin(head: socketio_requests.Head) -> dict[str, str]:
    return {"HTTP_ORIGIN": head.headers["origin"]} if "origin" in head.headers else {}
