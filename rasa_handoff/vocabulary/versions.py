"""Which versions of the /relay protocol go together."""

from typing import Final

FIRST: Final = 1


def go_together(one: int, other: int) -> bool:
    """Whether they do: N with N and N-1, whichever side is the newer. There was none before the first."""
    return min(one, other) >= FIRST and abs(one - other) <= 1
