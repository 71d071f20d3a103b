"""The brake on sign-ins: it slows down guessing passwords without locking an agent out of their own desk.

Tries are counted for an e-mail from one address, for an address over all e-mails, and for an e-mail over all addresses. So five
wrong passwords slow down only the address they came from. Only guesses from very many addresses slow down an e-mail as a whole,
and even then not in a browser in which that agent has signed in before: such a browser has a count of its own.
"""

import ipaddress
import math
import secrets
import time
from collections.abc import Sequence
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

from rasa_handoff.protocol.values import Value

FREE_TRIES: Final = 5
"""Tries without a wait, for an e-mail from one address, and for an e-mail in a browser that knows it."""
FREE_OF_ADDRESS: Final = 20
"""Tries without a wait, from one address for all e-mails: the agents of an office share an address."""
FREE_OF_EMAIL: Final = 100
"""Tries without a wait, for one e-mail from all addresses, in browsers that don't know it."""
LONGEST_BRAKE: Final = 300.0
"""Seconds until the next try, at most."""
MOST_REMEMBERED: Final = 10_000
"""Keys whose tries are counted at a time."""

KNOWN_LASTS: Final = 180 * 24 * 3600
"""Seconds for which a browser is known after a sign-in."""
MOST_KNOWN: Final = 10
"""Agents that one browser remembers."""


class Key(Value, frozen=True, kw_only=True):
    """A key under which sign-in tries are counted.

    ``free``: tries without a wait. ``shared``: whether others' tries are counted under it too; then a success takes back one try
    and not all.
    """

    name: str
    free: int
    shared: bool = False


class Brake:
    """Counts tries: after the free ones of a key each further failure doubles the wait."""

    def __init__(self) -> None:
        # Key -> tries so far, and when the next one is accepted. Oldest first: these are dropped when there are too many.
        self._tries: dict[str, tuple[int, float]] = {}

    def seconds_to_wait(self, keys: Sequence[Key]) -> int:
        """Return the seconds until the next try of these keys is accepted; 0 if it is now."""
        now = time.monotonic()
        return math.ceil(max((self._tries.get(key.name, (0, now))[1] - now for key in keys), default=0.0))

    def tried(self, keys: Sequence[Key]) -> None:
        """Count a try before it is known how it ends, so that many at once don't slip through."""
        for key in keys:
            count = self._tries.pop(key.name, (0, 0.0))[0] + 1
            pause = min(2.0 ** min(count - key.free, 20), LONGEST_BRAKE) if count >= key.free else 0.0
            self._tries[key.name] = (count, time.monotonic() + pause)
        while len(self._tries) > MOST_REMEMBERED:
            del self._tries[next(iter(self._tries))]

    def succeeded(self, keys: Sequence[Key]) -> None:
        """Take the tries back after a right password.

        Shared counts keep the others' tries, or an attacker's own account would clear them.
        """
        for key in keys:
            count, _ = self._tries.pop(key.name, (1, 0.0))
            if key.shared and count > 1:
                self._tries[key.name] = (count - 1, 0.0)


def keys_of(email: str, address: str | None, known: "KnownBrowser | None") -> list[Key]:
    """Return the keys a try is counted for. ``known``: the browser, if the agent has signed in there before."""
    if known is not None:
        return [Key(name=f"known {known.id} {email}", free=FREE_TRIES)]
    network = network_of(address)
    return [
        Key(name=f"pair {network} {email}", free=FREE_TRIES),
        Key(name=f"from {network}", free=FREE_OF_ADDRESS, shared=True),
        Key(name=f"mail {email}", free=FREE_OF_EMAIL, shared=True),
    ]


def network_of(address: str | None) -> str:
    """Return an IPv4 address as it is, and the /64 of an IPv6 one: a provider gives a whole /64 to one customer."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


class KnownBrowser(Value, frozen=True, kw_only=True):
    """A browser in which agents have signed in before: its own id, and the agents' ids."""

    id: str
    agents: tuple[str, ...]


class KnownBrowsers:
    """Signs and reads the long-lived cookie by which a browser is known."""

    def __init__(self, key: str) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="rasa-handoff known browser")

    def read(self, cookie: str | None) -> KnownBrowser | None:
        """Return the browser of a cookie; None if it isn't ours, or too old."""
        try:
            id, *agents = self._signer.loads(cookie or "", max_age=KNOWN_LASTS)
        except (BadSignature, ValueError, TypeError):
            return None
        return KnownBrowser(id=str(id), agents=tuple(map(str, agents)))

    def sign(self, browser: KnownBrowser | None, agent: str) -> str:
        """Return the cookie after this agent has signed in there."""
        before = browser.agents if browser is not None else ()
        agents = [agent, *(one for one in before if one != agent)][:MOST_KNOWN]
        return str(self._signer.dumps([browser.id if browser is not None else secrets.token_hex(8), *agents]))
