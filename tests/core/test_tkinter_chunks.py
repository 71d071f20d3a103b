"""A reader that decodes each read by itself meets only whole characters, however much was unread when a message came."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasa_handoff.core.tkinter_chunks import BYTES_PER_READ, UNREAD_SECONDS, WholeCharacters

CHARACTERS = st.text(alphabet="a é€😀\n", min_size=1, max_size=900)


def reads_of(messages: list[bytes], reads_after: list[bool]) -> list[bytes]:
    """Return the reads of a reader that reads all there is after some of the messages, and after the last."""
    waiting, found = b"", []
    for message, now in zip(messages, [*reads_after, True], strict=False):
        waiting += message
        while now and waiting:
            found.append(waiting[:BYTES_PER_READ])
            waiting = waiting[BYTES_PER_READ:]
    return found


@settings(max_examples=150)
@given(st.lists(CHARACTERS, min_size=1, max_size=6), st.lists(st.booleans(), min_size=5, max_size=5))
def test_every_read_can_be_decoded(texts: list[str], reads_after: list[bool]) -> None:
    whole = WholeCharacters()
    messages = [whole.encode(text, float(number)) for number, text in enumerate(texts)]
    shown = "".join(read.decode() for read in reads_of(messages, reads_after[: len(texts) - 1]))
    assert "".join(shown.split()) == "".join("".join(texts).split())
    spaces = len(shown) - sum(map(len, texts))
    assert spaces <= 8 * (1 + sum(map(len, messages)) // BYTES_PER_READ) * len(texts), "a few, where a read may end"


def test_sent_as_it_is_a_character_is_cut() -> None:
    with pytest.raises(UnicodeDecodeError):
        [read.decode() for read in reads_of([("a" + "é" * 600).encode()], [])]


def test_a_word_longer_than_a_read_is_spread() -> None:
    words = "€" * 2000
    shown = "".join(read.decode() for read in reads_of([WholeCharacters().encode(words, 0.0)], []))
    assert shown.replace(" ", "") == words
    assert len(shown) < len(words) + 20


def test_what_was_read_long_ago_moves_nothing() -> None:
    whole, text = WholeCharacters(), "é" * 500
    for number in range(50):
        assert whole.encode(text, number * (UNREAD_SECONDS + 1)) == text.encode()


def test_half_a_surrogate_pair_is_no_character() -> None:
    assert WholeCharacters().encode("a\ud83d", 0.0) == b"a?"
