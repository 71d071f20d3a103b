"""The part of a file that a request asks for, by its header ``Range``; one part at a time."""

import re
from typing import Final

from rasa_handoff.protocol.values import Value

_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


class ByteRange(Value, frozen=True, kw_only=True):
    """Bytes of a file: ``length`` of them, from the one with number ``first`` on. ``whole``: all of it was asked for."""

    first: int
    length: int
    whole: bool = False

    @property
    def status(self) -> int:
        """The status of the answer."""
        return 200 if self.whole else 206

    def headers(self, size: int) -> dict[str, str]:
        """Return the headers of the answer that say which bytes it has."""
        headers = {"Content-Length": str(self.length)}
        if not self.whole:
            headers["Content-Range"] = f"bytes {self.first}-{self.first + self.length - 1}/{size}"
        return headers


def read_range(header: str | None, size: int) -> ByteRange | None:
    """Return what is asked for of a file with so many bytes; None if the file has nothing of it.

    A header that can't be read, or asks for several parts, asks for the whole file.

    >>> read_range("bytes=10-19", 100)
    ByteRange(first=10, length=10, whole=False)
    >>> read_range("bytes=-5", 100).first
    95
    """
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return ByteRange(first=0, length=size, whole=True)
    if not found[1]:  # so many bytes from the end
        length = min(int(found[2]), size)
        return ByteRange(first=size - length, length=length) if length else None
    first = int(found[1])
    last = min(int(found[2]) if found[2] else size - 1, size - 1)
    return ByteRange(first=first, length=last - first + 1) if first <= last else None
