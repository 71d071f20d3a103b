"""Texts of every kind for customers and agents to say, each with how it must arrive.

Half a character arrives as the replacement character, two halves as the character they make, and NUL not at all: no database and
no UTF-8 reader could take them (docs/protocol.md). Everything else arrives as it was written.
"""

import random
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
EVERY: Final = 0.25
"""The share of messages that have such a text behind their number."""

# No blank line: Rasa's output channels make several messages of a text that has one.
UNCHANGED: Final = (
    "👩🏽‍🚒🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "עברית ‏ العربية ‮ abc",
    "é Z̷͎̈a̸l̶g̴o̵ ﷽",
    "中文かなハングル",
    "\u200b\u2060\ufeffzero width",
    "<b>bold</b> &amp; <script>alert(1)</script>",
    "quotes \" ' ` \\ \\u0041 $" + "{HOME} %s {agent} {position}",
    '{"json": [1, 2.5e300, null]}',
    "https://example.org/a?b=c#d mailto:x@example.org",
    "one line\nand another\twith a tab",
    "\ufdd0 a noncharacter, \x07 a bell, \x7f and \x85",
    "long " * 400 + "end",
)
CHANGED: Final = (
    ("half \ud83d of it", f"half {REPLACEMENT} of it"),
    ("\ude00 the other half", f"{REPLACEMENT} the other half"),
    ("both \ud83d\ude00 halves", "both \N{GRINNING FACE} halves"),
    ("a NUL\x00 inside", "a NUL inside"),
)


def decorate(word: str, rng: random.Random, whole: bool = False) -> tuple[str, str]:
    """Return the message as it is sent and as it must arrive; mostly without such a text.

    ``whole``: no lone surrogates and no control characters, for customers who type into a page.
    """
    if rng.random() >= EVERY:
        return word, word
    kinds = [(text, text) for text in UNCHANGED] + [*CHANGED]
    if whole:
        kinds = [(text, text) for text in UNCHANGED if text.isprintable() or text.startswith(("👩", "עברית", "é"))]
    sent, arrives = rng.choice(kinds)
    return f"{word} ~{sent}~", f"{word} ~{arrives}~"
