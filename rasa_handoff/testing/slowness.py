"""The factor for deadlines in tests: how slow or busy this machine is, compared with the one the deadlines were chosen on.

A deadline tells that something is broken. On a machine that is slower, or busy with something else, it has to be later.
"""

import functools
import hashlib
import os
import time
from typing import Final

REFERENCE: Final = 0.06
"""Seconds that the measured work takes on the machine the deadlines were chosen on (2 cores of an Intel Xeon)."""
ROUNDS: Final = 3
"""Measurements, of which the fastest counts."""
MOST: Final = 4.0
"""The largest factor, so that something that hangs is found."""
NORMAL_LOAD: Final = 2.0
"""The load per processor while the suite runs and nothing else does; only what is above it makes deadlines later."""


def slowness() -> float:
    """Return the factor for deadlines, from 1 to ``MOST``. The machine's speed is measured once, its load each time."""
    try:
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:  # not on every system
        waiting = 0.0
    return scale(_work(), waiting)


def scale(seconds: float, waiting: float) -> float:
    """Return the factor for a machine on which the work took ``seconds``, with ``waiting`` processes for each processor."""
    return min(MOST, max(1.0, seconds / REFERENCE, waiting / NORMAL_LOAD))


@functools.lru_cache(maxsize=1)
def _work() -> float:
    return min(_seconds() for _ in range(ROUNDS))


def _seconds() -> float:
    """Return the time of a fixed piece of work for interpreter and processor."""
    begun, text = time.perf_counter(), b""
    for number in range(40_000):
        text = hashlib.sha256(text + str(number).encode()).digest()
    return time.perf_counter() - begun
