"""A customer's leaving is noted as an end where it ends the chat: by the first leaving word in a queue, else by the second."""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer

QUEUED = "Thank you, I've asked for a person. You are number 1 in the queue. To leave it, type disconnect."
JOINED = "Thandi is here and can read what we wrote so far."
PASSED_ON = "You are being passed on to somebody else. Thank you for your patience."


class Quiet(Customer):
    """A customer whose messages go nowhere; ``noted``: how many ends the book had by the time of each text."""

    channel = "socketio"

    def __init__(self, book: Book) -> None:
        super().__init__("c1", book, random.Random(1), 1.0)
        self.noted: list[int] = []

    def rasa(self) -> str:
        return ""

    async def send(self, text: str, file: str | None = None) -> bool:
        self.noted.append(len(self.book.left[self.name]))
        return True


@pytest.mark.parametrize(
    ("received", "noted"), [([QUEUED], [1, 2]), ([QUEUED, JOINED], [0, 1]), ([QUEUED, JOINED, PASSED_ON], [1, 2])]
)
async def test_leaving_ends_a_live_chat_with_the_second_word(
    tmp_path: Path, received: Sequence[str], noted: list[int]
) -> None:
    with closing(Book(tmp_path)) as book:
        customer = Quiet(book)
        for text in received:
            customer.hear(text)
        await customer.leave()
    assert customer.noted == noted
