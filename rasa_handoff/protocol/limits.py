"""Limits: the lengths of ids and texts, and what one sender, one address and all together may use; the same for both servers.

A number that matters to one module only is a constant there.
"""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from rasa_handoff.protocol.errors import SettingsError

LONGEST_ID: Final = 255
"""Characters of any id. Rasa's SQL tracker store keeps as many of a conversation's id, and ours are no longer."""
LONGEST_MESSAGE: Final = 20_000
"""Characters of one message in either direction; a longer one is refused with an error."""
LONGEST_TRANSCRIPT: Final = 500_000
"""Characters of a transcript that are kept, from the end: an offer is one packet, and our server accepts eight million bytes."""
LONGEST_FIELD: Final = 1_000
"""Characters of a short field of an offer (the reason, an e-mail); a longer one is cut."""
LONGEST_SLOTS: Final = 200_000
"""Bytes of all slots together that an agent is shown, as JSON; those that go beyond are left out, and that is said."""
MOST_LINES: Final = 1_000
"""Lines of a transcript that are taken from a client of Botlhale's protocol, from the end."""
LONGEST_LANE: Final = 1_000
"""Entries that may wait in one lane of an outbox. In a full lane, people's messages are refused with an error, and what is
dispensable is left out with a log line. What a change of state needs (an offer, an end, the return) is always added: there are
few per handoff."""
LONGEST_COMMENT: Final = 1_000
"""Characters of what a customer writes beside the score that they give a handoff."""
LONGEST_REASON: Final = 100
"""Characters of the reason for which a handoff ended."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits. The defaults suit a server whose customers may all come from one address (a proxy, a company's network).

    ``connections``: open at once, as far as the system's descriptors allow; ``connections_per_address`` of them, and as many
    Socket.IO sockets, from one address. ``new_sockets_per_second``: of one address; forty seconds' worth may come at once.
    ``head_seconds``, ``body_seconds``: until a request's head or body has come. ``join_seconds``: until a socket has joined
    a namespace. ``requests_per_second``: of one address, to the live-agent server's pages and files; twenty seconds' worth may
    come at once. ``message_bytes``: one message or request body on ``/socket.io/``; ``relay_message_bytes``: from a relay,
    whose offer carries the transcript; ``webhook_bytes``: the body of a request to any other channel. ``events_per_second``:
    of one socket, and of one conversation over all its sockets; twenty seconds' worth may come at once.
    ``events_per_second_per_address``: of all sockets of an address; five seconds' worth may come at once. A sender of more events
    is slowed down.
    ``waiting_requests``: requests that wait for messages in mailboxes, ``waiting_requests_per_conversation`` of them for one.
    ``conversations_per_minute``: that one address may begin on ``/live_agent``; ten minutes' worth may come at once. A relay
    whose token was accepted is not limited by address or socket.
    """

    connections: int = 10_000
    connections_per_address: int = 2_000
    new_sockets_per_second: float = 50
    head_seconds: float = 10
    body_seconds: float = 30
    join_seconds: float = 30
    requests_per_second: float = 250
    message_bytes: int = 1_000_000
    relay_message_bytes: int = 8_000_000
    webhook_bytes: int = 5_000_000
    events_per_second: float = 50
    events_per_second_per_address: float = 1_000
    conversations_per_minute: float = 100
    waiting_requests: int = 5_000
    waiting_requests_per_conversation: int = 5


def check_limits(limits: Limits, prefix: str) -> Limits:
    """Return the limits if each is a positive number. ``prefix``: what stands before the name in the sentence.

    Raises:
        SettingsError: one isn't; the message is one sentence.
    """
    for name in Limits.__struct_fields__:
        value = getattr(limits, name)
        if not 0 < value < math.inf:
            raise SettingsError(f"{prefix}{name} is {value}: write a number above 0.")
    return limits


def read_limits(given: Sequence[str]) -> Limits:
    """Parse the values of all ``--limit`` options, such as ``connections_per_address=500``.

    Raises:
        SettingsError: a name is unknown or a value invalid; the message is one sentence.
    """
    changed: dict[str, float] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if name not in Limits.__struct_fields__:
            near = get_close_matches(name, Limits.__struct_fields__, n=1, cutoff=0.5)
            known = (
                f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(Limits.__struct_fields__)}."
            )
            raise SettingsError(f"--limit knows no '{name}': {known}")
        whole = Limits.__annotations__[name] is int
        try:
            changed[name] = (int(value) if whole else float(value)) if equals else math.nan
        except ValueError:
            changed[name] = math.nan
        if not 0 < changed[name] < math.inf:
            kind = "a whole number" if whole else "a number"
            raise SettingsError(f"--limit {one}: write {kind} above 0, such as {name}={_default(name):g}.")
    return msgspec.convert(changed, Limits)


def _default(name: str) -> float:
    value: float = getattr(Limits(), name)
    return value
