"""The brake on sign-ins: it slows down guessing passwords without locking an agent out of their own desk.

Tries are counted for an e-mail from one address, for an address over all e-mails, and for an e-mail over all addresses. So five
wrong passwords slow down only the address they came from. Only guesses from very many addresses slow down an e-mail as a whole,
and even then not in a browser in which that agent has signed in before: such a browser has a count of its own.

The counts are rows, for all servers of a database together, and outlive them. Times are the wall clock's, since other machines
count here too.
"""

import hashlib
import ipaddress
import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.values import Value
from rasa_handoff.server.storage.tables import SIGN_IN_TRIES
from rasa_handoff.store.engine import Store
from rasa_handoff.store.insertions import insert_or_update
from rasa_handoff.store.named_locks import Held, try_lock, when_free

FREE_TRIES: Final = 5
"""Tries without a wait, for an e-mail from one address, and for an e-mail in a browser that knows it."""
FREE_OF_ADDRESS: Final = 20
"""Tries without a wait, from one address for all e-mails: the agents of an office share an address."""
FREE_OF_EMAIL: Final = 100
"""Tries without a wait, for one e-mail from all addresses, in browsers that don't know it."""
LONGEST_BRAKE: Final = 300.0
"""Seconds until the next try, at most."""
MOST_REMEMBERED: Final = 10_000
"""Keys whose tries are counted at a time; beyond it those are forgotten whose next try was accepted longest ago."""
COUNT_LASTS: Final = 24 * 3600.0
"""Seconds from the first of the tries that are counted together. A right password doesn't take others' tries back, so the typing
errors of a large office would add up for ever."""
FORGET_EVERY: Final = 600.0
"""Seconds between two looks for counts that are over, if nobody tries to sign in; else it is looked with the periodic checks."""

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
    """Counts tries: after the free ones of a key each further failure doubles the wait.

    ``now`` returns the wall-clock time in seconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._has_counted, self._looked = False, -FORGET_EVERY

    async def tried(self, keys: Sequence[Key]) -> int:
        """Count a try before it is known how it ends, so that many at once don't slip through; return 0.

        If one of the keys has to wait, nothing is counted: return the seconds until its next try is accepted.

        Raises:
            Unreachable: the database can't be used, or other processes are counting tries of these keys all the time.
        """
        wait = await when_free(lambda: self._store.write(lambda connection: _count(connection, keys, self._now())))
        self._has_counted |= not wait
        return wait

    async def succeeded(self, keys: Sequence[Key]) -> None:
        """Take the tries back after a right password.

        Shared counts keep the others' tries, or an attacker's own account would clear them.

        Raises:
            Unreachable: as :meth:`tried`.
        """
        await when_free(lambda: self._store.write(lambda connection: _take_back(connection, keys, self._now())))

    async def forget_old(self) -> None:
        """Forget counts that are over, and those beyond ``MOST_REMEMBERED``."""
        if self._has_counted or time.monotonic() - self._looked > FORGET_EVERY:
            self._has_counted, self._looked = False, time.monotonic()
            await self._store.write(lambda connection: _forget(connection, self._now()))


def _count(connection: Connection, keys: Sequence[Key], now: float) -> int | Held:
    """Count a try of these keys, as :meth:`Brake.tried`. Who has to wait anyway locks nothing and writes nothing."""
    wait = _seconds_to_wait(_rows(connection, keys), now)
    if wait:
        return wait
    if not try_lock(connection, _locks(keys)):
        return Held.BY_ANOTHER_PROCESS
    rows = _rows(connection, keys)  # again: another process may have counted until it was locked
    wait = _seconds_to_wait(rows, now)
    if wait:
        return wait
    for key in keys:
        row = rows.get(_stored(key))
        if row is None or now - row.since > COUNT_LASTS:
            count, since = 1, now
        else:
            count, since = row.count + 1, row.since
        pause = min(2.0 ** min(count - key.free, 20), LONGEST_BRAKE) if count >= key.free else 0.0
        insert_or_update(connection, SIGN_IN_TRIES, key=_stored(key), count=count, since=since, next_at=now + pause)
    return 0


def _take_back(connection: Connection, keys: Sequence[Key], now: float) -> Held | None:
    if not try_lock(connection, _locks(keys)):
        return Held.BY_ANOTHER_PROCESS
    rows = _rows(connection, keys)
    for key in keys:
        row = rows.get(_stored(key))
        if row is not None and key.shared and row.count > 1:
            insert_or_update(connection, SIGN_IN_TRIES, key=row.key, count=row.count - 1, since=row.since, next_at=now)
        elif row is not None:
            connection.execute(delete(SIGN_IN_TRIES).where(SIGN_IN_TRIES.c.key == row.key))
    return None


def _forget(connection: Connection, now: float) -> None:
    columns = SIGN_IN_TRIES.c
    connection.execute(delete(SIGN_IN_TRIES).where(columns.next_at < now - COUNT_LASTS))
    oldest = select(columns.key).order_by(columns.next_at.desc(), columns.key).offset(MOST_REMEMBERED)
    connection.execute(delete(SIGN_IN_TRIES).where(columns.key.in_(oldest)))


def _seconds_to_wait(rows: dict[str, Any], now: float) -> int:
    """Return the seconds until the next try is accepted.

    Clocks of servers differ a little. A wait of twice the longest is of a clock that was set back since, and counts as over.
    """
    waits = [row.next_at - now for row in rows.values()]
    return math.ceil(max((wait for wait in waits if 0 < wait < 2 * LONGEST_BRAKE), default=0.0))


def _rows(connection: Connection, keys: Sequence[Key]) -> dict[str, Any]:
    query = select(SIGN_IN_TRIES).where(SIGN_IN_TRIES.c.key.in_([_stored(key) for key in keys]))
    return {row.key: row for row in connection.execute(query)}


def _stored(key: Key) -> str:
    return hashlib.sha256(key.name.encode()).hexdigest()


def _locks(keys: Sequence[Key]) -> list[str]:
    return [f"sign-in {key.name}" for key in keys]


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
