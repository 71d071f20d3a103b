"""The handshake of ``/relay``: each side says first in which format it speaks, and in which version.

A peer from before the first release names no format, and a program of somebody else's neither. It is refused before anything else
of what it says is read.
"""

from typing import Any, Final

FORMAT: Final = "rasa-handoff"
"""The name of our format, in handshakes and in the table ``meta`` of our databases."""
PROTOCOL: Final = 2
"""Version of the /relay protocol (docs/protocol.md). Version N talks to N-1."""
OLDEST_PROTOCOL: Final = 1
"""The first version of the /relay protocol."""
ANOTHER_RELAY: Final = "another_relay"
"""Code of a refused connect: a Rasa server with another database speaks for the bot, or did a moment ago."""


def is_our_format(said: Any) -> bool:
    """Return whether a connect's ``auth``, a ``welcome`` or the answer to ``/health`` names our format."""
    return isinstance(said, dict) and said.get("format") == FORMAT


RELAY_PACKAGE: Final = "rasa-handoff beside Rasa"
SERVER_PACKAGE: Final = "the live-agent server"


def are_compatible(one: int, other: int) -> bool:
    """Return whether two protocol versions are compatible: they differ by one at most, and neither is older than the first."""
    return min(one, other) >= OLDEST_PROTOCOL and abs(one - other) <= 1


def what_to_update(relays: int, servers: int) -> str:
    """Return what to do about two versions that don't fit: which of the two is the older one, and to what it has to come."""
    older, newest = (RELAY_PACKAGE, servers) if relays < servers else (SERVER_PACKAGE, relays)
    fitting = " or ".join(str(one) for one in (newest - 1, newest) if one >= OLDEST_PROTOCOL)
    return f"update {older} to a version with protocol {fitting}"
