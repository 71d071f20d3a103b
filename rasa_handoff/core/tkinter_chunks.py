"""Encoding for the Tkinter demo's reader, which reads up to 1024 bytes at a time and decodes each read by itself.

A character that is split between two reads crashes that reader, so none may lie across the end of a read. Where reads end isn't
known: they are counted from the start of this message if the reader had read everything before, else from the start of an earlier
message. So all these possible ends are avoided: where a character would lie across one, spaces before its word move it past it.
"""

import re
from typing import Final

BYTES_PER_READ: Final = 1024
"""Bytes of one read."""
UNREAD_SECONDS: Final = 10.0
"""After this long a message counts as read."""
MOST_UNREAD: Final = 64
"""Unread messages that are taken into account."""
MOST_SPACES: Final = 8
"""Spaces inserted before a word, at most."""


class WholeCharacters:
    """Encoder of one connection. Remembers where the messages began that its reader may not have read yet."""

    def __init__(self) -> None:
        self._sent = 0
        self._begun: list[tuple[int, float]] = []

    def encode(self, text: str, now: float) -> bytes:
        """Return the next message in UTF-8. ``now``: the time of a monotonic clock, in seconds."""
        unread = [(start, at) for start, at in self._begun if now - at < UNREAD_SECONDS]
        self._begun = [*unread, (self._sent, now)][-MOST_UNREAD:]
        ends = frozenset(start % BYTES_PER_READ for start, _ in self._begun)
        encoded = bytearray()
        for word in re.findall(r"\s*\S+|\s+", text):
            encoded += _moved(word, self._sent + len(encoded), ends)
        self._sent += len(encoded)
        return bytes(encoded)


def _moved(word: str, place: int, ends: frozenset[int]) -> bytes:
    for spaces in range(MOST_SPACES + 1):
        if _fits(word, place + spaces, ends):
            return b" " * spaces + _utf8(word)
    return _spread(word, place, ends)


def _fits(word: str, place: int, ends: frozenset[int]) -> bool:
    for character in word:
        length = len(_utf8(character))
        if _lies_across(place, length, ends):
            return False
        place += length
    return True


def _spread(word: str, place: int, ends: frozenset[int]) -> bytes:
    """Insert spaces between the characters of a word that is too long to be moved, or whose script has no spaces."""
    encoded = bytearray()
    for character in word:
        data = _utf8(character)
        while _lies_across(place + len(encoded), len(data), ends):
            encoded += b" "
        encoded += data
    return bytes(encoded)


def _lies_across(place: int, length: int, ends: frozenset[int]) -> bool:
    return any((place + step) % BYTES_PER_READ in ends for step in range(1, length))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate can't be encoded
