"""A Socket.IO server whose Engine.IO asks the guard first.

How requests, websocket messages and packets are read is replaced. These are private parts, the same in python-socketio 5.14 to
5.18 and python-engineio 4.11 to 4.15; ``tests/core/test_guard.py`` fails when they have changed.
"""

import asyncio
import inspect
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engineio import json as plain_json
from engineio.payload import Payload
from socketio import AsyncServer, packet

from rasa_handoff.guard import packets, socketio_requests
from rasa_handoff.guard.compat.http_requests import REASONS, AsgiRequest, SanicRequest, UnreadableBody, request_of
from rasa_handoff.guard.packets import MOST_IN_BODY, UnfitPacket
from rasa_handoff.guard.sessions import Session

if TYPE_CHECKING:
    from rasa_handoff.guard.guard import Guard

MOST_UNFIT: Final = 20
"""So many events of a socket are refused one by one before the socket is ended."""

Payload.max_decode_packets = MOST_IN_BODY


class Ended(OSError):
    """The socket was refused; python-engineio takes this error for a closed transport."""


class _Json:
    """The libraries' JSON, which also refuses NaN, and raises its usual error for what is nested too deeply."""

    dumps = staticmethod(plain_json.dumps)
    JSONDecodeError = json.JSONDecodeError

    @staticmethod
    def loads(text: str, **more: Any) -> Any:
        try:
            return plain_json.loads(text, parse_constant=_refuse_constant, **more)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class GuardedPacket(packet.Packet):
    """A Socket.IO packet that is read with the stricter JSON."""

    json = _Json


def read_packet(data: str) -> GuardedPacket:
    """Decode a Socket.IO packet.

    Raises:
        UnfitPacket: the packet can't be decoded.
    """
    try:
        return GuardedPacket(encoded_packet=data)
    except (ValueError, IndexError, TypeError) as problem:
        raise UnfitPacket("packet", f"a packet that can't be read ({type(problem).__name__})") from problem


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} isn't JSON")


class ProtectedServer:
    """A Socket.IO server that gets only what passes the guard, with the parts of it that were replaced."""

    def __init__(self, guard: "Guard", sio: AsyncServer, at_once: int, relays: bool) -> None:
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
        sio.packet_class = GuardedPacket

    def trust(self, sid: str, namespace: str, trusted: bool) -> None:
        """Trust the relay behind this socket, or no longer."""
        session = self._sessions.get(self.sio.manager.eio_sid_from_sid(sid, namespace) or "")
        if session is not None:
            session.trust(trusted)

    # Requests

    async def _request(self, *arguments: Any) -> Any:
        request = request_of(arguments)
        head, known = request.head, self._sessions.get(request.head.session_id or "")
        longest = known.longest if known is not None else self._guard.limits.message_bytes
        problem = self._guard.problem_of(head, self._sessions, longest)
        if problem is not None:
            # A body that is too long ends its socket; the other problems are of this request alone.
            return await self._refuse(request, *problem, known if problem[0] == 413 else None)
        if head.method == "POST":
            try:
                body = await request.read(longest, self._guard.limits.body_seconds)
                packets.check_body(body)
            except UnreadableBody as refused:
                return await self._refuse(request, 413, str(refused), known)
            except UnfitPacket as refused:
                return await self._refuse(request, 400, str(refused), known, refused.kind)
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
        if session is None or session.ends:
            raise Ended("The socket has ended.")
        try:
            if data and len(data) > session.longest:
                raise UnfitPacket("size", f"a message of {len(data)} characters, {session.longest} are allowed")
            packets.check_raw(data)
        except UnfitPacket as problem:
            self._note(session, problem)
            session.pending.drop()
            raise Ended(str(problem)) from problem
        await self._guard.slow_down(session, len(data or ""))

    # Engine.IO's sockets

    async def _connected(self, sid: str, environ: dict[str, Any]) -> Any:
        address = self._guard.address(environ)
        self._sessions[sid] = Session(sid, address, self._guard.limits, self._at_once)
        return await self.sio._handle_eio_connect(sid, environ)

    async def _disconnected(self, sid: str, reason: Any = None) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            session.ends = True
            await session.pending.drain()
            self._sessions.pop(sid, None)
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

    def close(self) -> None:
        """Begin no other event: the server has stopped."""
        for session in self._sessions.values():
            session.pending.close()

    async def sweep(self) -> None:
        """End sockets that joined no namespace in time, and forget those that are over."""
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

    def _note(self, session: Session, problem: UnfitPacket) -> None:
        self._guard.refusals.note(session.address, problem.kind, f"{problem}.")

    # Socket.IO's packets

    async def _message(self, eio_sid: str, data: Any) -> None:
        session = self._sessions.get(eio_sid)
        if session is None or session.ends:
            return
        try:
            async with session.reading:  # polling requests may come at the same time, and a handshake takes a moment
                await self._handle(session, read_packet(data), len(data))
        except asyncio.CancelledError:
            # python-engineio discards it and reads on: a flood would hold up the server's stop.
            session.ends = True
            raise
        except UnfitPacket as problem:
            self._note(session, problem)
            session.unfit += 1
            # A socket may go on after a few events with a reserved name. Anything else that is unfit ends it at once.
            if problem.kind != "reserved" or session.unfit > MOST_UNFIT:
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
