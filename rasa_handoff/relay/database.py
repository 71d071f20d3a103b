"""The relay's database when it can't be used: whoever asked is told so in our own words, and asks again."""

from typing import TypeVar

from rasa_handoff.store.engine import TROUBLES, Store, Work
from rasa_handoff.vocabulary.errors import StoreUnavailable

T = TypeVar("T")


class RelayStore(Store):
    """A store that says :class:`StoreUnavailable` for whatever its database raises while it is locked, full or away."""

    async def write(self, work: Work[T]) -> T:
        """As the store does.

        Raises:
            StoreUnavailable: nothing was done; it may be tried again.
        """
        try:
            return await super().write(work)
        except TROUBLES as problem:
            raise StoreUnavailable(f"The relay's database can't be used now: {problem}") from problem
