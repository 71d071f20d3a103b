"""Whatever is unread when, a reader that decodes each take by itself meets only whole characters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasa_handoff.core.tkinter_chunks import BYTES_PER_READ, UNREAD_SECONDS, WholeCharacters

CHARACTERS = st.text(alphabet="a é€😀\n", min_size=1, max_size=900)


def takes(messages: list[bytes], reads_after: list[bool]) -> list[bytes]:
    """What the reader takes that reads all there is after some of the messages, and after the last."""
    waiting, taken = b"", []
    for message, reads in zip(messages, [*reads_after, True], strict=False):
        waiting += message
        while reads and waiting:
            taken.append(waiting[:BYTES_PER_READ])
            waiting = waiting[BYTES_PER_READ:]
    return taken


@settings(max_examples=150, deadline=None)
@given(st.lists(CHARACTERS, min_size=1, max_size=6), st.lists(st.booleans(), min_size=5, max_size=5))
def test_every_take_can_be_decoded(texts: list[str], reads_after: list[bool]) -> None:
    whole = WholeCharacters()
    messages = [whole.encode(text, float(number)) for number, text in enumerate(texts)]
    shown = "".join(take.decode() for take in takes(messages, reads_after[: len(texts) - 1]))
    assert "".join(shown.split()) == "".join("".join(texts).split())
    spaces = len(shown) - sum(map(len, texts))
    assert spaces <= 8 * (1 + sum(map(len, messages)) // BYTES_PER_READ) * len(texts), "a few, where a take may end"


def test_sent_as_it_is_a_character_is_cut() -> None:
    with pytest.raises(UnicodeDecodeError):
        [take.decode() for take in takes([("a" + "é" * 600).encode()], [])]


def test_a_word_longer_than_a_take_is_spread() -> None:
    words = "€" * 2000
    shown = "".join(take.decode() for take in takes([WholeCharacters().encode(words, 0.0)], []))
    assert shown.replace(" ", "") == words
    assert len(shown) < len(words) + 20


def test_what_was_read_long_ago_moves_nothing() -> None:
    whole, text = WholeCharacters(), "é" * 500
    for number in range(50):
        assert whole.encode(text, number * (UNREAD_SECONDS + 1)) == text.encode()


def test_half_a_surrogate_pair_is_no_character() -> None:
    assert WholeCharacters().encode("a\ud83d", 0.0) == b"a?"
