"""A dictionary of what happened lately: beyond ``most`` keys the oldest are forgotten."""

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 10_000


class Recent(dict[K, V]):
    """For what only saves work, or a second telling, when it is remembered."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        while len(self) > self._most:
            del self[next(iter(self))]

    def setdefault(self, key: K, value: V) -> V:
        """As of any dictionary; the built-in one would pass our bound by."""
        if key not in self:
            self[key] = value
        return self[key]
