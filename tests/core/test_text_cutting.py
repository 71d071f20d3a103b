"""Long texts are cut where a reader would pause."""

import random

import pytest

from rasa_handoff.core.text_cutting import LINK, cut, graphemes
from rasa_handoff.protocol.channel_capabilities import Length, Unit

PARTS = (
    "word", " ", "\n", "\n\n", ". ", "! ", "e\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1ff\U0001f1e6",
    "\U0001f44d\U0001f3fd", "\u65e5\u672c\u8a9e", "\uac01", "\u1100\u1161\u11a8", "https://example.org/a?b=c&d=e", "\u0e01\u0e33",
    "1", "\u3002", "x" * 30, "\r\n", "thabo@example.org", "\u05e9\u05b8", "\u0915\u093f",
)  # fmt: skip


def some_text(chance: random.Random) -> str:
    return "".join(chance.choice(PARTS) for _ in range(chance.randrange(1, 60)))


@pytest.mark.parametrize("seed", range(300))
def test_pieces_fit_and_are_the_text(seed: int) -> None:
    chance = random.Random(seed)
    text, unit, most = some_text(chance), chance.choice(list(Unit)), chance.randrange(40, 120)
    longest = Length(most=most, unit=unit)
    pieces = cut(text, most, longest.of)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert [piece for piece in pieces if not longest.fits(piece)] == []
    whole = [one for one in graphemes(text) if not one.isspace()]
    assert [one for piece in pieces for one in graphemes(piece) if not one.isspace()] == whole
    links = [found[0] for found in LINK.finditer(text) if longest.fits(found[0])]
    assert [link for link in links if not any(link in piece for piece in pieces)] == []


@pytest.mark.parametrize("seed", range(100))
def test_characters_are_those_that_a_reader_sees(seed: int) -> None:
    regex = pytest.importorskip("regex")
    text = some_text(random.Random(seed))
    assert list(graphemes(text)) == regex.findall(r"\X", text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("short", ["short"]),
        ("One paragraph.\n\nAnother, that is.", ["One paragraph.", "Another, that is."]),
        ("A line that is\nfollowed by another", ["A line that is", "followed by another"]),
        ("It is so today. It isn't ever.", ["It is so today.", "It isn't ever."]),
        ("several words without any pause", ["several words", "without any pause"]),
        ("abcdefghijklmnopqrstuvwxyz", ["abcdefghijklmnopqrst", "uvwxyz"]),
        ("see https://a.example", ["see", "https://a.example"]),
    ],
)
def test_it_is_cut_at_the_best_pause(text: str, pieces: list[str]) -> None:
    assert cut(text, 20) == pieces
