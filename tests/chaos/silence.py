"""The check that the bot is silent while the desk is active, as far as both ends can show it.

A chat is watched from the notice that its customer waits or talks until the notice of its end. A message of the bot in between
is a finding, unless

- this chat had ended at either end, or was asked to: what the customer is told of that may still be on its way, and be
  overtaken by what the bot says in a turn, or by a reminder. Another chat's end is no excuse;
- the relay ended it by itself, which neither end can know: the customer hears of it soon after;
- it came with the answer to a request that was sent before the chat began;
- the customer is on stock ``rest``, and an answer that may have told the end broke off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import phrases
from tests.chaos.book import Book, ReceivedText, Table

SOON = 20.0
"""Seconds within which the customer gets the notice of an end that the relay made."""


@dataclass
class Chat:
    """A chat. ``asked``: when the customer began to ask for it; ``opened``: the notice that it began."""

    conversation: str
    asked: float
    opened: ReceivedText

    def is_at(self, table: Table) -> bool:
        """Return whether this may be the chat of this table: an agent heard of that after the customer began to ask."""
        return table.conversation == self.conversation and table.seen >= self.asked


def bot_was_silent(book: Book) -> None:
    """Check that the bot said nothing while the desk was active."""
    for conversation, received in book.received.items():
        chat = None
        for index, one in enumerate(received):
            if one.response in phrases.STARTS or one.response == phrases.JOINS:
                chat = _chat(book, conversation, chat, one)
            elif one.response in phrases.ENDS:
                chat = None
            elif chat and one.kind == "bot" and not _may_speak(book, chat, received[index:]):
                book.finding("bot spoke", conversation, f"{one.text!r} at {one.at:.3f}, while the desk was active")


def _chat(book: Book, conversation: str, before: Chat | None, opened: ReceivedText) -> Chat:
    """Return the chat that this notice is about: ``before``, unless the customer has asked for a person again since.

    Who missed the notice of its end has asked again, too.
    """
    asked = max((at for at in book.asked[conversation] if at <= opened.at), default=opened.at)
    return before if before is not None and before.asked == asked else Chat(conversation, asked, opened)


def _may_speak(book: Book, chat: Chat, received: Sequence[ReceivedText]) -> bool:
    """Return whether the first of these messages is no finding."""
    one = received[0]
    return (
        _ended(book, chat, one.at) or _was_asked_before(chat, one) or _relay_ended(received) or _broke(book, chat, one)
    )


def _ended(book: Book, chat: Chat, at: float) -> bool:
    resolved = [table.resolved for table in book.tables.values() if chat.is_at(table) and table.resolved is not None]
    left = [moment for moment in book.left[chat.conversation] if moment >= chat.asked]
    return any(moment <= at for moment in (*resolved, *left))


def _was_asked_before(chat: Chat, one: ReceivedText) -> bool:
    """Return whether a message answers another request than the one that opened the chat, sent before that one was answered."""
    return one.asked is not None and one.asked < chat.opened.at and one.asked != chat.opened.asked


def _relay_ended(received: Sequence[ReceivedText]) -> bool:
    turning = (one for one in received if one.response in (*phrases.STARTS, phrases.JOINS, *phrases.ENDS))
    following = next(turning, None)
    if following is None or following.at - received[0].at > SOON:
        return False
    return following.response in phrases.ENDS and following.response not in phrases.ASKED_ENDS


def _broke(book: Book, chat: Chat, one: ReceivedText) -> bool:
    failures = book.failures[chat.conversation] if book.channels[chat.conversation] == "rest" else []
    return any(chat.opened.at < failure <= one.at for failure in failures)
