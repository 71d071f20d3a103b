"""A bounded dictionary: beyond ``most`` keys the oldest are forgotten."""

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 10_000


class Recent(dict[K, V]):
    """A dictionary for what may be forgotten: remembering it only saves work, or a repetition."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        while len(self) > self._most:
            del self[next(iter(self))]

    def setdefault(self, key: K, value: V) -> V:
        """As in any dictionary; the built-in method wouldn't keep the bound."""
        if key not in self:
            self[key] = value
        return self[key]
