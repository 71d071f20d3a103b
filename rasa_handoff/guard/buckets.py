"""Token buckets: a rate with room for a burst."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_BUCKETS: Final = 20_000


class Bucket:
    """``rate`` tokens a second flow in, ``burst`` fit."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, time.monotonic()

    def take(self, cost: float = 1) -> bool:
        """Take tokens if they are there."""
        self._fill()
        if self._tokens < min(cost, self._burst):
            return False
        self._tokens -= cost
        return True

    def owe(self, cost: float = 1) -> float:
        """Take tokens; how many seconds to wait until they have flowed in."""
        self._fill()
        self._tokens -= cost
        return max(0.0, -self._tokens / self._rate)

    async def wait(self, cost: float = 1) -> None:
        """Take tokens, and wait until they have flowed in."""
        await asyncio.sleep(self.owe(cost))

    @property
    def full(self) -> bool:
        """Whether nothing has been taken for so long that it may be forgotten."""
        self._fill()
        return self._tokens >= self._burst

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens, self._at = min(self._burst, self._tokens + (now - self._at) * self._rate), now


class Buckets:
    """A bucket per key; full ones are forgotten, and beyond ``MOST_BUCKETS`` those that were not used for longest."""

    def __init__(self, rate: float, seconds: float) -> None:
        """``seconds``: how long the tokens of a burst take to flow in."""
        self._make: Callable[[], Bucket] = lambda: Bucket(rate, max(1.0, rate * seconds))
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: str) -> Bucket:
        """The bucket of this key."""
        bucket = self._buckets.pop(key, None) or self._make()
        self._buckets[key] = bucket
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket

    def sweep(self) -> None:
        """Forget full ones."""
        for key in [key for key, bucket in self._buckets.items() if bucket.full]:
            del self._buckets[key]
