"""Texts of every kind: those that people and machines send, and those that databases, encoders and readers fail on."""

import os
import random
from typing import Any, Final

from hypothesis import strategies as st

COUNT: Final = int(os.environ.get("TEXTS", "40"))
"""Texts at each place. Set ``TEXTS=1000`` for a longer test, and another ``seed`` for other texts."""
LONGEST: Final = 19_000

KINDS: Final = (
    "",
    " ",
    "\n",
    "hello \ud83d",  # half a character, as a field that cuts at a length leaves it
    "\ude00 late half",
    "\ud83d\ude00",  # both halves, apart
    "\ude00\ud83d",
    "\ud800",
    "\udfff\udfff",
    "\udc80\udcff",  # bytes that weren't UTF-8, as Python's surrogateescape has them
    "nul \0 inside",
    "\0",
    "\0\ud83d\0\ude00",  # halves that NULs part
    "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "\u202etxt.exe\u202c \u2066left\u2069 \u200f",
    "\ufeffbom\ufffe\uffff\U0010ffff",
    "\u2028line\u2029paragraph",
    "e\u0301 Z\u0335\u0321\u0322" + "\u0301" * 200,
    "👩‍👩‍👧‍👦 🇿🇦 1️⃣",
    "שלום مرحبا नमस्ते ይግባኝ 中文 ภาษา",
    "\\ud83d \\u0000 \\x00 %00 %ED%A0%BD",
    "</script><script>alert(1)</script> & &lt; '\" ${HOME} {name} {{x}} %s %(a)s",
    "'; DROP TABLE messages; --",
    "a" * LONGEST,
    "😀" * (LONGEST // 2),
    "\ud83d" * (LONGEST // 2),
)


def some(count: int, seed: int = 1) -> list[str]:
    """Return this many texts, the same ones for a seed: one of each kind, then mixtures."""
    chance = random.Random(seed)
    return [*KINDS, *(_mixed(chance) for _ in range(count - len(KINDS)))][:count]


def dense(text: str) -> str:
    """Return a text without its blanks, which not every way keeps: Rasa parts it at empty lines, some channels drop layout."""
    return "".join(text.split())


def _mixed(chance: random.Random) -> str:
    length = chance.choice((1, 2, 3, 10, 40))
    return "".join(chance.choice(_MAKERS)(chance) for _ in range(length))


_MAKERS: Final = (
    lambda chance: chr(chance.randrange(0xD800, 0xE000)),
    lambda chance: chr(chance.randrange(0xD800, 0xDC00)) + chr(chance.randrange(0xDC00, 0xE000)),
    lambda chance: chr(chance.randrange(0x20)),
    lambda chance: chr(chance.randrange(0x110000)),
    lambda chance: chance.choice("\0\u202e\u200d\u0301\ufe0f\u2028"),
    lambda chance: chance.choice(KINDS)[:20],
    lambda chance: "".join(chance.choices("abc ", k=5)),
)

texts = st.one_of(
    st.text(st.characters()),
    st.text(st.characters(categories=["Cs"])),
    st.sampled_from(KINDS),
    st.text(),
    st.just("\0"),
)
"""A strategy for Hypothesis. Its ``characters()`` includes lone surrogates."""

_scalars = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.floats())

data: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
"""JSON-like data as Python reads it: with lone surrogates, NaN and numbers of any size."""
