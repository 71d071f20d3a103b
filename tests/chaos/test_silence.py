"""The check of the bot's silence, on books written by hand: what it reports, and what is no finding."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos import phrases
from tests.chaos.book import Book, ReceivedText, Table
from tests.chaos.silence import SOON, bot_was_silent

WHO = "c1"
RESOLVED = "utter_handoff_resolved"
UNREACHABLE = "utter_handoff_unreachable"


class Story(Book):
    """What one customer hears, said in numbers of seconds."""

    def notifies(self, at: float, response: str, asked: float | None = None) -> None:
        self.received[WHO].append(ReceivedText(at, response, "notice", response, asked))

    def starts(self, at: float, asked: float | None = None) -> None:
        self.notifies(at, phrases.STARTS[0], asked)

    def bot(self, at: float, asked: float | None = None) -> None:
        self.received[WHO].append(ReceivedText(at, "Hello.", "bot", "", asked))

    def chat(self, asked: float, seen: float, resolved: float | None = None) -> None:
        """The customer asks for a person, and the desk has it."""
        self.asked[WHO].append(asked)
        handoff_id = f"h{len(self.tables)}"
        self.tables[handoff_id] = Table(handoff_id, WHO, seen=seen, resolved=resolved)

    def found(self) -> int:
        bot_was_silent(self)
        return len(self.findings)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with closing(Story(tmp_path)) as story:
        story.customer(WHO, "socketio")
        yield story


def test_a_word_in_a_chat_is_found(story: Story) -> None:
    story.chat(asked=1, seen=2)
    story.starts(2)
    story.bot(3)
    assert story.found() == 1


def test_words_before_and_after_a_chat_are_fine(story: Story) -> None:
    story.bot(0)
    story.chat(asked=1, seen=2, resolved=5)
    story.starts(2)
    story.notifies(6, RESOLVED)
    story.bot(6.1)
    assert not story.found()


def test_the_end_of_the_chat_before_excuses_nothing(story: Story) -> None:
    story.chat(asked=1, seen=2, resolved=5)
    story.starts(2)
    story.notifies(6, RESOLVED)
    story.chat(asked=7, seen=8)
    story.starts(8)
    story.bot(9)
    assert story.found() == 1


def test_an_agent_who_resolves_the_chat_before_late_excuses_nothing(story: Story) -> None:
    story.chat(asked=1, seen=2, resolved=9)
    story.left[WHO].append(5)
    story.starts(2)
    story.notifies(6, "utter_handoff_left")
    story.chat(asked=7, seen=8)
    story.starts(8)
    story.bot(10)
    assert story.found() == 1


def test_the_end_may_be_overtaken_on_its_way_to_the_customer(story: Story) -> None:
    story.chat(asked=1, seen=2, resolved=5)
    story.starts(2)
    story.bot(6)
    story.notifies(60, RESOLVED)
    assert not story.found()


def test_a_chat_may_have_ended_before_its_customer_hears_of_it(story: Story) -> None:
    story.chat(asked=1, seen=2, resolved=5)
    story.starts(40)
    story.bot(41)
    story.notifies(42, RESOLVED)
    assert not story.found()


def test_who_has_left_may_hear_the_bot(story: Story) -> None:
    story.chat(asked=1, seen=2)
    story.starts(2)
    story.left[WHO].append(3)
    story.bot(4)
    assert not story.found()


def test_an_end_asked_for_later_excuses_nothing(story: Story) -> None:
    story.chat(asked=1, seen=2, resolved=4)
    story.starts(2)
    story.bot(3)
    story.notifies(5, RESOLVED)
    assert story.found() == 1


@pytest.mark.parametrize(("received", "findings"), [(SOON, 0), (2 * SOON, 1)])
def test_an_end_of_the_relays_own_is_heard_soon(story: Story, received: float, findings: int) -> None:
    story.chat(asked=1, seen=2)
    story.starts(2)
    story.bot(3)
    story.notifies(3 + received, UNREACHABLE)
    assert story.found() == findings


def test_of_two_requests_the_older_one_may_be_answered_last(story: Story) -> None:
    story.chat(asked=1, seen=2)
    story.starts(2, asked=1)
    story.bot(3, asked=0.5)
    assert not story.found()


def test_what_comes_beside_the_start_is_found(story: Story) -> None:
    story.chat(asked=1, seen=2)
    story.starts(2, asked=1)
    story.bot(2, asked=1)
    assert story.found() == 1


def test_on_rest_an_end_may_be_lost_with_its_answer_once(story: Story) -> None:
    story.channels[WHO] = "rest"
    story.chat(asked=1, seen=2)
    story.starts(2)
    story.failures[WHO].append(3)
    story.bot(4)
    assert not story.found()
    story.chat(asked=5, seen=6)
    story.starts(6)
    story.bot(7)
    assert story.found() == 1
