"""Cuts a text that is longer than a channel takes into pieces, at a place where a reader would pause.

Nothing is cut inside what a reader sees as one character (a letter with its accents, a flag, a family of emoji), nor inside an
address, unless that alone is longer than a piece may be.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

Measure = Callable[[str], int]
"""Returns the length of a text, as the channel counts it."""

LINK: Final = re.compile(
    r"(?:(?:https?://|www\.|mailto:)[!-~]+|[\w.+-]+@[\w-]+\.[\w.-]+)[\u0300-\u036f\u200d\ufe0f]*", re.ASCII
)
JOINER: Final = "\u200d"
HANGUL: Final = ("\u1100", "\u115f"), ("\u1160", "\u11a7"), ("\u11a8", "\u11ff")
"""Jamo: leading consonants, vowels, closing consonants."""
SPACING_VOWELS: Final = "\u0e33\u0eb3"
"""Vowels of Thai and Lao that are letters to Unicode, and belong to the letter before."""
ENDINGS: Final = ".!?\u2026\u3002\uff01\uff1f\u061f\u0964"
"""What ends a sentence, in several scripts."""
LEAST_SHARE: Final = 0.5
"""A pause in the first half of a piece isn't taken, if there is another place behind it."""


def cut(text: str, most: int, measure: Measure = len) -> list[str]:
    """Return the text in pieces, none longer than ``most``; together they are the text, but for the blanks between them.

    >>> cut("One sentence. Another one, longer. https://example.org/a", 24)
    ['One sentence.', 'Another one, longer.', 'https://example.org/a']
    """
    if measure(text) <= most:
        return [text]
    pieces = []
    rest = list(_unbroken(text, most, measure))
    while rest:
        end = _end_of_piece(rest, most, measure)
        pieces.append("".join(rest[:end]).strip())
        rest = rest[end:]
        while rest and rest[0].isspace():
            rest.pop(0)
    return [piece for piece in pieces if piece] or [text]


def _unbroken(text: str, most: int, measure: Measure) -> Iterator[str]:
    """Return the parts of a text that stay whole: its addresses, and the characters between them."""
    begin = 0
    for found in LINK.finditer(text):
        if measure(found[0]) <= most:
            yield from graphemes(text[begin : found.start()])
            yield found[0]
            begin = found.end()
    yield from graphemes(text[begin:])


def _end_of_piece(parts: list[str], most: int, measure: Measure) -> int:
    """Return how many parts go into the next piece: as many as fit, back to the best pause in its second half."""
    length = fitting = 0
    while fitting < len(parts) and (length := length + measure(parts[fitting])) <= most:
        fitting += 1
    if fitting == len(parts):
        return fitting
    fitting = max(fitting, 1)
    least = int(fitting * LEAST_SHARE)
    for is_pause in (_ends_paragraph, _ends_line, _ends_sentence, _ends_word):
        for end in range(fitting, least, -1):
            if is_pause(parts, end):
                return end
    return next((end for end in range(least, 0, -1) if _ends_word(parts, end)), fitting)


def _ends_paragraph(parts: list[str], end: int) -> bool:
    return parts[end] == "\n" and end + 1 < len(parts) and parts[end + 1] == "\n"


def _ends_line(parts: list[str], end: int) -> bool:
    return parts[end] == "\n"


def _ends_sentence(parts: list[str], end: int) -> bool:
    return parts[end - 1][-1] in ENDINGS and (parts[end].isspace() or parts[end - 1] in "\u3002\uff01\uff1f")


def _ends_word(parts: list[str], end: int) -> bool:
    return parts[end].isspace()


def graphemes(text: str) -> Iterator[str]:
    """Return what a reader sees as single characters, nearly as Unicode's annex 29 does.

    >>> list(graphemes("ne\u0301e"))
    ['n', 'e\u0301', 'e']
    """
    begin = flags = 0
    for place, character in enumerate(text):
        flags = flags + 1 if _is_flag(character) else 0
        if place and not _goes_on(text[place - 1], character, flags):
            yield text[begin:place]
            begin, flags = place, min(flags, 1)
    if text:
        yield text[begin:]


def _goes_on(before: str, character: str, flags: int) -> bool:
    """Return whether a character belongs to the one before. ``flags``: letters of flags up to it, in its grapheme."""
    if before < "\u0300" and character < "\u0300":
        return before == "\r" and character == "\n"
    if flags == 2:
        return True
    if character == JOINER or before == JOINER or _is_mark(character):
        return before not in "\r\n"
    is_modifier = "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"
    return is_modifier or _is_syllable(before, character)


def _is_mark(character: str) -> bool:
    return character in SPACING_VOWELS or unicodedata.category(character) in ("Mn", "Mc", "Me")


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_syllable(before: str, character: str) -> bool:
    """Return whether two characters are in one syllable of Hangul."""
    jamo = [place for place, (first, last) in enumerate(HANGUL) if first <= character <= last]
    if not jamo:
        return "\uac00" <= character <= "\ud7a3" and HANGUL[0][0] <= before <= HANGUL[0][1]
    earlier = [place for place, (first, last) in enumerate(HANGUL) if first <= before <= last]
    if "\uac00" <= before <= "\ud7a3":
        earlier = [2 if (ord(before) - 0xAC00) % 28 else 1]
    if not earlier:
        return False
    return earlier[0] <= jamo[0] and not (jamo[0] == 2 and earlier[0] == 0)
