"""A rating as a front end sends it: what is read, and what is refused with a sentence."""

import pytest

from rasa_handoff.core.rating import EXPECTED, is_rating, read_rating
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ('/handoff_rate{"score": 4, "comment": "Quick, and kind"}', Rating(score=4, comment="Quick, and kind")),
        (' /handoff_rate {"score": 1} ', Rating(score=1)),
        ('/handoff_rate{"score": 5, "comment": " ", "page": "help"}', Rating(score=5)),
        ('/handoff_rate{"score": 5, "comment": null}', Rating(score=5)),
        (f'/handoff_rate{{"score": 5, "comment": "{"x" * 1_000}"}}', Rating(score=5, comment="x" * 1_000)),
    ],
)
def test_a_score_and_a_comment_are_read(text: str, rating: Rating) -> None:
    assert is_rating(text)
    assert read_rating(text) == rating


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/handoff_rate", EXPECTED),
        ("/handoff_rate{", EXPECTED),
        ("/handoff_rate, please", EXPECTED),
        ("/handoff_rate" + "[" * 20_000, EXPECTED),
        ("/handoff_rate 5", "It must be an object, not a whole number."),
        ("/handoff_rate{}", "'score' is missing."),
        ('/handoff_rate{"score": 0}', "'score' must be at least 1."),
        ('/handoff_rate{"score": 6}', "'score' must be at most 5."),
        ('/handoff_rate{"score": 4.5}', "'score' must be a whole number, not a number."),
        ('/handoff_rate{"score": "4"}', "'score' must be a whole number, not a text."),
        ('/handoff_rate{"score": true}', "'score' must be a whole number, not true or false."),
        (f'/handoff_rate{{"score": 5, "comment": "{"x" * 1_001}"}}', "'comment' may have 1,000 characters at most."),
        ('/handoff_rate{"score": 5, "comment": 7}', "'comment' must be a text or null, not a whole number."),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    assert is_rating(text)
    with pytest.raises(Refused) as refused:
        read_rating(text)
    assert (refused.value.code, str(refused.value)) == ("invalid", sentence)


@pytest.mark.parametrize("text", [None, "", "hello", "/handoff_rates", "/handoff_rate_us{}", "my /handoff_rate{}"])
def test_what_only_looks_like_one_is_none(text: str | None) -> None:
    assert not is_rating(text)
