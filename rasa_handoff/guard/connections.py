"""Limits of one server's connections: how many, from where, and how long a request's head may take.

The server reports each new connection (``server/run.py``, ``channel/compat/http_connections.py``). Whether it has closed is
read from its transport, so that nothing depends on a library's order of callbacks.
"""

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Callable
from typing import Any, Final

from rasa_handoff.guard.refusals import Refusals
from rasa_handoff.protocol.limits import Limits

BACKLOG: Final = 100
"""Connections that are accepted together, before any of them can be refused."""
RESERVE: Final = BACKLOG + 60
"""Descriptors kept for connections that are accepted together, the databases, and what the server opens itself."""
PROGRESS: Final = 500_000
"""Bytes of a body that must come within ``body_seconds``; a longer one (a file) has so much time for each of them."""
MOST_DESCRIPTORS: Final = 65_536

Waiting = Callable[[], "tuple[str | None, Any]"]
"""Returns what a connection waits for, and what identifies the request: ``head`` or ``body`` of a request, ``next`` for another
request on a kept connection, or None. A long body that comes on has another identity after each ``PROGRESS`` bytes."""


class _Connection:
    def __init__(self, transport: asyncio.BaseTransport, address: str, waiting: Waiting) -> None:
        self.transport, self.address, self.waiting = transport, address, waiting
        self.part: str | None = "head"
        self.request: Any = None
        self.since = time.monotonic()

    def update(self, now: float) -> None:
        """Note what the connection waits for, and since when."""
        part, request = self.waiting()
        if part != self.part or request != self.request:
            self.part, self.request, self.since = part, request, now

    def end(self) -> None:
        abort = getattr(self.transport, "abort", self.transport.close)
        abort()


class Connections:
    """The connections of one server."""

    def __init__(self, limits: Limits, refusals: Refusals) -> None:
        self._limits, self._refusals = limits, refusals
        self._open: dict[int, _Connection] = {}
        self._per_address: dict[str, int] = {}
        self._most: int | None = None
        self.proxies: list[str] = []
        """Addresses and networks that speak for many. They have no limit per address; the addresses they name have one."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def most(self) -> int:
        """The most connections there may be."""
        if self._most is None:
            self._most = most_connections(self._limits)
        return self._most

    def opened(self, transport: asyncio.BaseTransport, waiting: Waiting) -> bool:
        """Add a new connection; return False if it was ended because there are too many."""
        address = address_of_peer(transport)
        most = self.most if self._is_proxy(address) else self._limits.connections_per_address
        if len(self._open) >= self.most or self._per_address.get(address, 0) >= most:
            self._forget_closed()
        if self._per_address.get(address, 0) >= most and not self._free_place(address):
            return self._refuse(transport, address, f"{most} connections are open already")
        if len(self._open) >= self.most and not self._free_place(None):
            return self._refuse(transport, address, f"all {self.most} connections are taken")
        self._open[id(transport)] = _Connection(transport, address, waiting)
        self._per_address[address] = self._per_address.get(address, 0) + 1
        return True

    def _is_proxy(self, address: str) -> bool:
        with contextlib.suppress(ValueError):
            peer = ipaddress.ip_address(address)
            return any(peer in ipaddress.ip_network(one) for one in self.proxies)
        return False

    def sweep(self) -> None:
        """End connections whose head or body takes too long. The server decides how long one is kept for the next request."""
        self._forget_closed()
        now = time.monotonic()
        deadlines = {"head": self._limits.head_seconds, "body": self._limits.body_seconds}
        for key, one in list(self._open.items()):
            one.update(now)
            if one.part in deadlines and now - one.since > deadlines[one.part]:
                self._end(key, f"its request's {one.part} didn't come within {deadlines[one.part]:g} s", "slow")

    def _refuse(self, transport: asyncio.BaseTransport, address: str, why: str) -> bool:
        self._refusals.note(address, "connections", f"a connection: {why}.")
        _Connection(transport, address, lambda: (None, None)).end()
        return False

    def _free_place(self, address: str | None) -> bool:
        """End the oldest connection (of this address) that waits without a request; return False if there is none.

        Real clients send their request at once. Connections left open would keep everybody out until their deadline.
        """
        now = time.monotonic()
        for key, one in self._open.items():  # in the order in which they were made
            if address is None or one.address == address:
                one.update(now)
                if one.part in ("head", "next"):
                    self._end(key, "it was waiting without a request while all connections were taken", "slow")
                    return True
        return False

    def _end(self, key: int, why: str, kind: str) -> None:
        one = self._open[key]
        self._refusals.note(one.address, kind, f"a connection: {why}.")
        self._forget(key)
        one.end()

    def _forget_closed(self) -> None:
        for key in [key for key, one in self._open.items() if one.transport.is_closing()]:
            self._forget(key)

    def _forget(self, key: int) -> None:
        address = self._open.pop(key).address
        left = self._per_address[address] - 1
        if left:
            self._per_address[address] = left
        else:
            del self._per_address[address]


def address_of_peer(transport: asyncio.BaseTransport) -> str:
    """Return the real address of the other end, whatever a header says; ``unix`` where there is none."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) and name else "unix"


def most_connections(limits: Limits) -> int:
    """Return how many connections fit into the descriptors of this process, whose limit is raised as far as the system allows."""
    soft = _raise_descriptors(limits.connections + RESERVE)
    return max(16, min(limits.connections, soft - RESERVE))


def _raise_descriptors(wanted: int) -> int:
    """Raise this process's soft limit to ``wanted`` as far as the system allows; return how many descriptors it may open.

    The limit is never lowered. Where there is none (``RLIM_INFINITY``), ``MOST_DESCRIPTORS`` counts as the limit.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    raised = min(max(wanted, soft if soft != resource.RLIM_INFINITY else MOST_DESCRIPTORS), most)
    if soft == resource.RLIM_INFINITY or soft >= raised:
        return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        return raised
    return soft
