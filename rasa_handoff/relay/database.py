"""The relay's database when it can't be used: whoever asked is told so in our own words, and asks again."""

import time
from typing import Final, TypeVar

from rasa_handoff.store.engine import TROUBLES, Store, Work
from rasa_handoff.vocabulary.errors import StoreUnavailable
from rasa_handoff.vocabulary.log_values import get_log

T = TypeVar("T")

log = get_log(__name__)

SAME_OUTAGE: Final = 60.0
"""Failures less than so many seconds apart are one outage. A full disk can be read while nothing can be written, so a success
between two failures doesn't end it."""


class RelayStore(Store):
    """A store that raises :class:`StoreUnavailable` for whatever its database raises while it is locked, full or away."""

    _failed_at = float("-inf")

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` as the store does. An outage is logged once, not for each operation that it fails.

        Raises:
            StoreUnavailable: nothing was done; it may be tried again.
        """
        try:
            return await super().write(work)
        except TROUBLES as problem:
            sentence = f"The relay's database can't be used now: {problem}"
            if time.monotonic() - self._failed_at > SAME_OUTAGE:
                log.error("%s", sentence)
            self._failed_at = time.monotonic()
            raise StoreUnavailable(sentence) from problem
