"""Words for a reader that takes up to 1024 bytes at a time and decodes each take by itself.

A character that lies across the end of a take kills such a reader. Where a take ends depends on where it began: at the
message itself, if everything before had been read, or at an earlier one that was still unread. So a character may lie across
none of the ends that are possible; a space or two before its word move it on.
"""

import re
from typing import Final

TAKE: Final = 1024
"""Bytes of one read."""
UNREAD_SECONDS: Final = 10.0
"""After this long a message counts as read."""
MOST_UNREAD: Final = 64
MOST_SPACES: Final = 8


class WholeCharacters:
    """The bytes of one connection, kept in mind as far as their reader may still have them before it."""

    def __init__(self) -> None:
        self._sent = 0
        self._begun: list[tuple[int, float]] = []

    def lay(self, text: str, now: float) -> bytes:
        """The next message in UTF-8. ``now``: seconds of a clock that only goes forward."""
        unread = [(start, at) for start, at in self._begun if now - at < UNREAD_SECONDS]
        self._begun = [*unread, (self._sent, now)][-MOST_UNREAD:]
        ends = frozenset(start % TAKE for start, _ in self._begun)
        laid = bytearray()
        for word in re.findall(r"\s*\S+|\s+", text):
            laid += _moved(word, self._sent + len(laid), ends)
        self._sent += len(laid)
        return bytes(laid)


def _moved(word: str, place: int, ends: frozenset[int]) -> bytes:
    for spaces in range(MOST_SPACES + 1):
        if _fits(word, place + spaces, ends):
            return b" " * spaces + _bytes(word)
    return _spread(word, place, ends)


def _fits(word: str, place: int, ends: frozenset[int]) -> bool:
    for character in word:
        length = len(_bytes(character))
        if _lies_across(place, length, ends):
            return False
        place += length
    return True


def _spread(word: str, place: int, ends: frozenset[int]) -> bytes:
    """A word longer than a take, or of a script that writes no spaces: the gaps fall between its characters."""
    laid = bytearray()
    for character in word:
        encoded = _bytes(character)
        while _lies_across(place + len(laid), len(encoded), ends):
            laid += b" "
        laid += encoded
    return bytes(laid)


def _lies_across(place: int, length: int, ends: frozenset[int]) -> bool:
    return any((place + step) % TAKE in ends for step in range(1, length))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # half of a surrogate pair is no character
