"""The plan of faults and their times, drawn from the seed before anything runs."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

WEIGHTS = {
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


@dataclass(frozen=True)
class Fault:
    """``gap``: seconds after the one before. ``size`` and ``pick``: between 0 and 1, how long it lasts and whom it hits."""

    kind: str
    gap: float
    size: float
    pick: float


def plan(
    rng: random.Random, count: int, gap: float, without: Collection[str] = (), only: Sequence[str] = ()
) -> list[Fault]:
    """Draw ``count`` faults, ``gap`` seconds apart on average; ``without`` some kinds, or of ``only`` these."""
    kinds = [kind for kind in (only or WEIGHTS) if kind not in without]
    weights = [WEIGHTS[kind] for kind in kinds]
    chosen = rng.choices(kinds, weights, k=count)
    return [Fault(kind, rng.expovariate(1 / gap), rng.random(), rng.random()) for kind in chosen]
