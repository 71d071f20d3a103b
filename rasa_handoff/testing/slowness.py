"""How slow this machine is beside the one the deadlines were chosen on, and how busy: bounded.

A deadline says when something is broken. On a machine that is slower, or busy with something else, it comes later.
"""

import functools
import hashlib
import os
import time
from typing import Final

REFERENCE: Final = 0.06
"""Seconds that the piece of work takes about, on the machine the deadlines were chosen on (2 cores of an Intel Xeon)."""
ROUNDS: Final = 3
MOST: Final = 4.0
"""Nothing waits longer than so many times its deadline: what hangs is to be found."""
SUITE: Final = 2.0
"""Processes that want a processor at once while the suite runs by itself, per processor."""


def slowness() -> float:
    """From 1 to ``MOST``: what a deadline is multiplied by. How fast the machine is, is measured once; how busy, each time."""
    try:
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:  # not on every system
        waiting = 0.0
    return scale(_work(), waiting)


def scale(seconds: float, waiting: float) -> float:
    """The factor for a machine on which the work took ``seconds``, with so many processes that want each processor."""
    return min(MOST, max(1.0, seconds / REFERENCE, waiting / SUITE))


@functools.lru_cache(maxsize=1)
def _work() -> float:
    return min(_seconds() for _ in range(ROUNDS))


def _seconds() -> float:
    """A fixed piece of work, as the interpreter and the processor do it."""
    begun, text = time.perf_counter(), b""
    for number in range(40_000):
        text = hashlib.sha256(text + str(number).encode()).digest()
    return time.perf_counter() - begun
