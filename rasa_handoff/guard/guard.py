"""The guard of a Socket.IO server, on ASGI or on Sanic: what it refuses never reaches a handler.

``compat/protected_server.py`` makes a Socket.IO server ask the guard.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from socketio import AsyncServer

from rasa_handoff.guard import socketio_requests
from rasa_handoff.guard.buckets import Bucket, Buckets
from rasa_handoff.guard.compat.protected_server import ProtectedServer
from rasa_handoff.guard.connections import Connections
from rasa_handoff.guard.hosts import Hosts
from rasa_handoff.guard.refusals import Refusals, limit_foreign_logs
from rasa_handoff.guard.sessions import BURST_SECONDS, Session
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

SWEEP_SECONDS: Final = 1.0
ADDRESS_BURST_SECONDS: Final = 5.0
NEW_SOCKETS_BURST_SECONDS: Final = 40.0
CONVERSATIONS_BURST_SECONDS: Final = 600.0
COMMANDS_PER_SECOND: Final = 5.0
"""Commands over HTTP (``admin/http_endpoint.py``) of one address: so many with the right token, and as many without."""
BYTES_PER_EVENT: Final = 10_000
"""A message counts as one event, and as one more for each of so many bytes."""


class Guard:
    """The guard of one server process: ``async with guard``. :meth:`protect` each Socket.IO server before it serves anything.

    ``address_of`` returns the address that a request counts for, when a proxy may speak for others; by default the real peer.
    ``hosts``: the host names that the server accepts; the application that gets all requests checks them. ``conversations``: the
    rate of events of each conversation, over all its sockets; the gateways use it.
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
        self._protected: list[ProtectedServer] = []
        self._sweeping: asyncio.Task[None] | None = None
        limit_foreign_logs()

    async def __aenter__(self) -> "Guard":
        self._sweeping = asyncio.create_task(self._sweep_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        for protected in self._protected:
            protected.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping

    def protect(self, sio: AsyncServer, at_once: int, relays: bool = False) -> None:
        """Let ``sio`` get only what passes the guard.

        ``at_once``: events of a socket whose handlers may run at the same time. ``relays``: relays are among its clients, whose
        messages may be longer.
        """
        self._protected.append(ProtectedServer(self, sio, at_once, relays))

    def trust(self, sio: AsyncServer, sid: str, namespace: str, trusted: bool = True) -> None:
        """Trust the relay behind this socket, which has shown its token; or no longer, when it has left the namespace."""
        for protected in self._protected:
            if protected.sio is sio:
                protected.trust(sid, namespace, trusted)

    def address(self, environ: dict[str, Any]) -> str:
        """Return the address that a handshake counts for."""
        return str(environ.get("handoff.address", "unknown"))

    def admit_conversation(self, address: str, what: str) -> bool:
        """Count another conversation of this address, and return whether it may begin; log it if not."""
        if self._beginnings.of(address).take():
            return True
        rate = self.limits.conversations_per_minute
        self.refusals.note(address, "conversations", f"{what}: more than {rate:g} new conversations a minute.")
        return False

    def admit_command(self, address: str, trusted: bool) -> bool:
        """Count another command of this address, and return whether it may be sent. ``trusted``: it showed the token."""
        return self._commands.of(f"{address} {trusted}").take()

    def admit_page(self, address: str) -> bool:
        """Count another page or file for this address, and return whether it may get it; log it if not.

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
        self, head: socketio_requests.Head, sessions: dict[str, Session], longest: int
    ) -> tuple[int, str] | None:
        """Return status and sentence with which a request is refused before its body is read; None if it may go on.

        A request for a new socket is counted for its address.
        """
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
