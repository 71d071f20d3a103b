"""The plan of faults and their times, drawn from the seed before anything runs."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

WEIGHTS_OF_ONE = {
    "customer: connection dropped": 14.0,
    "customer: page reloaded": 8.0,
    "customer: tab closed for a while": 3.0,
    "customer: connection open but dead": 3.0,
    "agent: connection dropped": 9.0,
    "agent: page reloaded": 3.0,
    "Rasa and desk: cut": 9.0,
    "Rasa and desk: delayed": 6.0,
    "Rasa and desk: half-open": 4.0,
    "customers and Rasa: cut": 6.0,
    "customers and Rasa: delayed": 5.0,
    "customers and Rasa: half-open": 3.0,
    "agents and desk: cut": 4.0,
    "agents and desk: half-open": 2.0,
    "Rasa: SIGSTOP, SIGCONT": 5.0,
    "desk: SIGSTOP, SIGCONT": 6.0,
    "desk: kill -9": 6.0,
    "Rasa: kill -9": 1.8,
    "Rasa: newer model, restart": 0.5,
    "Rasa: model loaded anew": 1.2,
    "relay's database locked": 3.0,
    "desk's database locked": 3.0,
    "tracker's database locked": 3.0,
    "tracker's database cut off": 3.0,
    "tracker's database half-open": 2.0,
    "disk full": 1.5,
    "relay's media store full": 3.0,
    "relay's media store away": 3.0,
    "desk's media store full": 3.0,
    "desk's media store: kill -9": 3.0,
    "desk's media store: SIGSTOP, SIGCONT": 3.0,
    "desk's media store: cut": 2.0,
    "a poisoned entry on a lane": 4.0,
    "a second relay comes and goes": 2.0,
    "actions: kill -9": 2.0,
    "actions: SIGSTOP, SIGCONT": 2.0,
    "browser: a page's process killed -9": 2.0,
    "browser: a page's process SIGSTOP, SIGCONT": 2.0,
    "customer types /restart": 2.0,
    "customer types /session_start": 2.0,
    "customer types /greet": 2.0,
    "a reminder falls due": 3.0,
    "an intent by HTTP": 2.0,
    "Rasa's clock past the session's expiry": 2.0,
}
"""Kind and how often. A killed Rasa is away for ten seconds, so it is rare."""
WEIGHTS_OF_MANY = {
    "customer: connection dropped": 7.0,
    "customer: page reloaded": 5.0,
    "customer: tab closed for a while": 2.0,
    "customer: connection open but dead": 2.0,
    "agent: connection dropped": 5.0,
    "agent: page reloaded": 2.0,
    "Rasa and desk: cut": 5.0,
    "Rasa and desk: delayed": 2.0,
    "Rasa and desk: half-open": 3.0,
    "customers and Rasa: cut": 3.0,
    "customers and Rasa: delayed": 1.0,
    "customers and Rasa: half-open": 2.0,
    "agents and desk: cut": 2.0,
    "agents and desk: half-open": 1.0,
    "Rasa: kill -9": 4.0,
    "Rasa: SIGSTOP, SIGCONT": 3.0,
    "Rasa: stopped longer than its lease": 2.0,
    "Rasa: SIGTERM, restart": 2.0,
    "Rasa: model loaded anew": 1.0,
    "Rasa worker: kill -9": 4.0,
    "Rasa worker: SIGSTOP, SIGCONT": 6.0,
    "rolling restart: Rasa with another model": 2.0,
    "rolling restart: desk": 2.0,
    "desk: kill -9": 6.0,
    "desk: SIGSTOP, SIGCONT": 4.0,
    "desk: stopped longer than its lease": 2.0,
    "desk: SIGTERM, restart": 2.0,
    "actions: kill -9": 2.0,
    "actions: SIGSTOP, SIGCONT": 2.0,
    "Postgres: kill -9": 3.0,
    "Postgres: SIGSTOP, SIGCONT": 3.0,
    "Postgres: connections cut": 4.0,
    "Postgres: half-open": 2.0,
    "Postgres: locked": 2.0,
    "Redis: kill -9": 3.0,
    "Redis: SIGSTOP, SIGCONT": 3.0,
    "Redis: connections cut": 3.0,
    "Redis: half-open": 2.0,
    "Redis: subscribers cut, 33 MB published": 2.0,
    "relay's media store full": 2.0,
    "relay's media store away": 2.0,
    "desk's media store full": 2.0,
    "desk's media store: kill -9": 2.0,
    "desk's media store: SIGSTOP, SIGCONT": 2.0,
    "desk's media store: cut": 1.0,
    "a poisoned entry on a lane": 2.0,
    "a second relay comes and goes": 2.0,
    "browser: a page's process killed -9": 1.0,
    "browser: a page's process SIGSTOP, SIGCONT": 1.0,
    "customer types /restart": 1.5,
    "customer types /session_start": 1.5,
    "customer types /greet": 1.5,
    "a reminder falls due": 2.0,
    "an intent by HTTP": 2.0,
    "Rasa's clock past the session's expiry": 1.5,
}
"""The same where several servers of each kind are at work. A fault's whole recovery is waited for."""


@dataclass(frozen=True)
class Fault:
    """``gap``: seconds after the one before. ``size`` and ``pick``: between 0 and 1, how long it lasts and whom it hits."""

    kind: str
    gap: float
    size: float
    pick: float


def plan(
    rng: random.Random, count: int, gap: float, weights: Mapping[str, float], without: Collection[str] = ()
) -> list[Fault]:
    """Draw ``count`` faults, ``gap`` seconds apart on average, of kinds with ``weights``, ``without`` some."""
    kinds = {kind: weight for kind, weight in weights.items() if kind not in without}
    chosen = rng.choices(list(kinds), list(kinds.values()), k=count)
    return [Fault(kind, rng.expovariate(1 / gap), rng.random(), rng.random()) for kind in chosen]
