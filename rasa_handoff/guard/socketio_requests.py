"""Checks of a request to ``/socket.io/`` before it is handled, and of where it came from."""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from rasa_handoff.protocol.values import Value

SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
HOST: Final = re.compile(r"[\w.-]{0,255}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)
MOST_FIELDS: Final = 50
HOSTS_IN_MEMORY: Final = 1_024
TRANSPORTS: Final = ("polling", "websocket")
METHODS: Final = ("GET", "POST", "OPTIONS")
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers by which a proxy says that it speaks for somebody else."""

HEADERS: Final = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
"""Headers of every response: nobody may cache it, or run it as a script."""


class Head(Value, frozen=True):
    """A request's head.

    ``address``: of the real peer. ``headers``: names in small letters. ``query``: the first value of each name.
    """

    address: str
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    version: str = "1.1"

    @property
    def session_id(self) -> str | None:
        """The id of the Engine.IO socket; None if the request asks for a new one."""
        return self.query.get("sid")


def read_query(query: str) -> dict[str, str]:
    """Return the first value of each name, as python-engineio does; a query with too many fields gets an unknown transport."""
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {"transport": "none"}  # refused as an unknown transport
    return {name: values[0] for name, values in found.items()}


def problem_of(head: Head, longest: int) -> tuple[int, str] | None:
    """Return the status and the sentence with which a request is refused; None if it may go on.

    ``longest``: the most bytes of a body.
    """
    query, sid = head.query, head.session_id
    length = head.headers.get("content-length", "0")
    if "j" in query:
        return 400, "JSONP isn't supported"
    if not HOST.fullmatch(head.headers.get("host", "")):
        return 400, "the header Host has no valid host"
    if head.method not in METHODS:
        return 405, "the method isn't one of Socket.IO's"
    if query.get("transport", "polling") not in TRANSPORTS:
        return 400, "the transport isn't one of Socket.IO's"
    if sid is not None and not SESSION_ID.fullmatch(sid):
        return 400, "the session id isn't valid"
    if sid is None and head.method == "GET" and query.get("EIO") != "4":
        return 400, "the client speaks another version than Engine.IO 4"
    if not length.isdigit() or len(length) > 12 or int(length) > longest:
        return 413, f"the body has more than {longest} bytes"
    return None


@lru_cache(maxsize=HOSTS_IN_MEMORY)
def is_loopback(host: str | None) -> bool:
    """Return whether a host names this machine, by address or as ``localhost``; a port may follow."""
    try:
        name = (urlsplit(f"//{host or ''}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def is_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]").split("%")[0])
    except ValueError:
        return False
    return True


def is_local(environ: Mapping[str, Any]) -> bool:
    """Return whether a handshake comes from this machine: from a program, or from a page that a server here gave a browser here.

    A proxy on this machine doesn't count, since it speaks for others: it adds headers, or speaks HTTP 1.0, as
    some proxies do. A page of another site, in a browser here, doesn't count either. It is recognised by its origin, or by the
    host name in its request, if that is a name of the other site that leads to this machine.
    """
    head = environ.get("handoff.head")
    if not isinstance(head, Head) or any(name in head.headers for name in FORWARDED) or head.version == "1.0":
        return False
    origin = head.headers.get("origin")
    from_here = origin is None or (origin != "null" and is_loopback(host_of(origin)))
    return is_loopback(as_host(head.address)) and is_loopback(head.headers.get("host")) and from_here


def host_of(origin: str) -> str:
    """Return host and port of an origin; empty if it isn't valid."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def as_host(address: str) -> str:
    """Return a peer's address in the form it has in a URL."""
    if address.startswith("::ffff:"):
        return address.removeprefix("::ffff:")
    return f"[{address}]" if ":" in address else address
