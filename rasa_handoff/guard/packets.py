"""Checks of a client's Engine.IO and Socket.IO packets, before the libraries read them."""

from typing import Any, Final

MOST_IN_BODY: Final = 100
"""Packets of one polling request. python-engineio allows 16, which is less than a page sends after a reconnection."""
RESERVED: Final = frozenset(
    (
        "connect",
        "disconnect",
        "connect_error",
        "disconnecting",
        "error",
        "newListener",
        "removeListener",
        "*",
    )
)
"""The libraries' own events. If a client could send them, it could call the server's handlers of connect and disconnect."""
ENGINE_PACKETS: Final = ("1", "2probe", "3", "3probe", "5", "6")
"""Close, probe, pong, upgrade, noop. Nothing may follow: python-engineio would read it as JSON."""
SOCKET_PACKETS: Final = "0123"
"""Connect, disconnect, event, acknowledgement. No errors, which only servers send, and nothing binary."""


class UnfitPacket(Exception):
    """A packet that no client of ours sends. ``kind``: a name for counting."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def check_raw(data: Any) -> None:
    """Check an Engine.IO packet as it came.

    Raises:
        UnfitPacket: the packet is binary, or a type that clients don't send.
    """
    if data is None or data == "":
        return
    if not isinstance(data, str) or data[0] == "b":
        raise UnfitPacket("binary", "a binary packet")
    if data in ENGINE_PACKETS:
        return
    if data[:1] != "4" or data[1:2] not in SOCKET_PACKETS or len(data) < 2:
        binary = data[:2] in ("45", "46")
        raise UnfitPacket(
            "binary" if binary else "packet", "a binary packet" if binary else "a packet of an unknown type"
        )


def check_body(body: bytes) -> None:
    """Check the body of a polling request.

    Raises:
        UnfitPacket: the body isn't UTF-8, has too many packets, or one that :func:`check_raw` refuses.
    """
    try:
        packets = body.decode("utf-8").split("\x1e")
    except UnicodeDecodeError as problem:
        raise UnfitPacket("packet", "a body that isn't UTF-8") from problem
    if len(packets) > MOST_IN_BODY:
        raise UnfitPacket("packet", f"a body with more than {MOST_IN_BODY} packets")
    for one in packets:
        if one == "" and body:
            raise UnfitPacket("packet", "an empty packet")
        check_raw(one)


def check_event(data: Any) -> str:
    """Return the name of an event.

    Raises:
        UnfitPacket: the event has no name, or a reserved one.
    """
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise UnfitPacket("packet", "an event without a name")
    if data[0] in RESERVED:
        raise UnfitPacket("reserved", f"an event named '{data[0]}', which is reserved")
    return data[0]
