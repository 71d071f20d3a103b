"""Token buckets: a rate that allows a burst."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_BUCKETS: Final = 20_000


class Bucket:
    """A bucket that gets ``rate`` tokens a second, and holds at most ``burst``."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, time.monotonic()

    def take(self, cost: float = 1) -> bool:
        """Take tokens if there are enough; return whether they were taken.

        More than a full bucket holds are taken from a full one, which is then overdrawn.
        """
        self._fill()
        if self._tokens < min(cost, self._burst):
            return False
        self._tokens -= cost
        return True

    def owe(self, cost: float = 1) -> float:
        """Take tokens, and return the seconds to wait until the bucket isn't overdrawn any more."""
        self._fill()
        self._tokens -= cost
        return max(0.0, -self._tokens / self._rate)

    async def wait(self, cost: float = 1) -> None:
        """Take tokens, and wait until the bucket isn't overdrawn any more."""
        await asyncio.sleep(self.owe(cost))

    @property
    def full(self) -> bool:
        """Whether the bucket is full, so that it may be forgotten."""
        self._fill()
        return self._tokens >= self._burst

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens, self._at = min(self._burst, self._tokens + (now - self._at) * self._rate), now


class Buckets:
    """A bucket per key; full ones are forgotten, and beyond ``MOST_BUCKETS`` those that weren't used for longest."""

    def __init__(self, rate: float, seconds: float) -> None:
        """``seconds``: how long an empty bucket takes to fill."""
        self._make: Callable[[], Bucket] = lambda: Bucket(rate, max(1.0, rate * seconds))
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: str) -> Bucket:
        """Return the bucket of this key; a new one is full."""
        bucket = self._buckets.pop(key, None) or self._make()
        self._buckets[key] = bucket
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket

    def sweep(self) -> None:
        """Forget full buckets."""
        for key in [key for key, bucket in self._buckets.items() if bucket.full]:
            del self._buckets[key]
