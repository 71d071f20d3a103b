"""The checks of what was lost and of its order, on books written by hand."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos import checks
from tests.chaos.book import Book, Heard, Said

WHO = "c1"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path)) as book:
        book.customer(WHO, "rest")
        yield book


def bot_was_given(*words: str) -> checks.Trackers:
    return checks.Trackers({WHO: [{"event": "user", "text": word} for word in words]})


def agent_said(book: Book, *moments: float) -> list[Said]:
    table = book.table("handoff", WHO)
    said = [book.agent_says(table, "a1") for _ in moments]
    for one, at in zip(said, moments, strict=True):
        one.at, one.fate = at, "accepted"
    return said


@pytest.mark.parametrize(
    ("failures", "kinds"),
    [
        ([], ["lost"]),
        ([5], ["lost"]),  # before it was said
        ([15], []),
        ([60], ["lost"]),  # long after the next one was heard
    ],
)
def test_on_rest_a_word_is_lost_only_with_an_answer_that_may_have_held_it(
    book: Book, failures: Sequence[float], kinds: list[str]
) -> None:
    _, later = agent_said(book, 10, 19)
    book.heard[WHO].append(Heard(20, later.word, "agent"))
    book.failures[WHO].extend(failures)
    checks.words_arrived(book, bot_was_given())
    assert [kind for kind, _, _ in book.findings] == kinds


def test_an_answer_of_another_customers_is_no_excuse(book: Book) -> None:
    agent_said(book, 10)
    book.customer("c2", "rest")
    book.failures["c2"].append(15)
    checks.words_arrived(book, checks.Trackers({WHO: [], "c2": []}))
    assert [kind for kind, _, _ in book.findings] == ["lost"]


@pytest.mark.parametrize(("given", "kinds"), [((0, 1, 2), []), ((1, 0, 2), ["reordered"])])
def test_the_bot_is_given_words_in_their_order(book: Book, given: Sequence[int], kinds: list[str]) -> None:
    said = [book.customer_says(WHO, f"{WHO}-h1-{number}") for number in range(3)]
    for one in said:
        one.fate = "accepted"
    checks.order_held(book, bot_was_given(*(said[place].word for place in given)))
    assert [kind for kind, _, _ in book.findings] == kinds


def test_a_word_without_an_answer_may_come_to_the_bot_later(book: Book) -> None:
    first, second = (book.customer_says(WHO, f"{WHO}-h1-{number}") for number in range(2))
    second.fate = "accepted"
    checks.order_held(book, bot_was_given(second.word, first.word))
    assert not book.findings
