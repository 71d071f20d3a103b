"""Answers to a platform's calls: everything the bot says in a turn, or what it has said when the time is over.

The rules:

1. A call that is repeated gets the answer it had. A message's key tells that it is repeated. The last answer of each conversation
   is kept in this process; for older ones, and after a restart, the tracker has each message's id (``bot_turn.py``).
2. Messages that came too late for one answer go out with the next one, before its own messages.
3. If such a late message gives the conversation to people, the customer's message in this call is for them, not for the bot: the
   platform learns of the handoff only from the answer to this call.
4. A turn is always finished, also when the time is over. If it fails before its answer went out, the call fails: to the platform
   that is a broken bot, and it gives the conversation to its people. Nothing of the failed answer is shown, and late messages go
   on waiting. If it fails after its answer went out, the customer gets a failure notice, as a late message.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.channel.inbound.turn_lock import WorkUnderWay
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

MOST: Final = 2_000
"""Entries of a bounded memory, one for each conversation: last answers, late messages, and contexts of Custom Endpoint."""
DRAIN_SECONDS: Final = 5.0
"""How long a stopping server waits for turns under way."""

Say = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Says one of Rasa's messages to a conversation when there is no call to answer."""
PushMessage = Callable[[list[Any]], Awaitable[list[Any]]]
"""Sends late messages outside a call, and returns those it couldn't send."""


class PlatformAnswer(OutputChannel):
    """The output channel of one call, which collects what the bot says.

    ``sent_count``: how many messages had been said when the answer went out; None before that. Rasa keeps the channel for
    reminders: once its turn is ``over``, messages go to ``say_unprompted``.
    """

    has_own_desk = True
    """HandoffChannel leaves messages on it alone."""

    def __init__(self, say_unprompted: Say) -> None:
        self._say_unprompted = say_unprompted
        self.messages: list[Any] = []
        self.sent_count: int | None = None
        self.over = False

    @abstractmethod
    def rendered(self, message: dict[str, Any]) -> list[Any]:
        """Translate one of Rasa's messages into the platform's."""

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Collect one of Rasa's messages as a whole: a text and its buttons are one message on the platform too."""
        if self.over:
            await self._say_unprompted(recipient_id, message)
        else:
            self.messages.extend(self.rendered(message))

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """Collect a text, for code that doesn't use ``send_response``."""
        await self.send_response(recipient_id, {"text": text})

    def give(self) -> list[Any]:
        """Return the messages so far. Whatever is said from now on is late."""
        self.sent_count = len(self.messages)
        return list(self.messages)

    @property
    def late(self) -> list[Any]:
        """The messages that came after the answer had gone out."""
        return [] if self.sent_count is None else self.messages[self.sent_count :]


class KeptAnswers:
    """The last answer and the late messages of each conversation, in bounded memory."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, PlatformAnswer]] = {}
        self._late: dict[str, list[Any]] = {}

    def known(self, conversation_id: str, key: str | None) -> list[Any] | None:
        """Return the answer to this message, if it was the conversation's last one.

        Messages that came too late for it are left out: they go out once, with the next answer or by the platform's API.
        """
        last_key, answer = self._last.get(conversation_id, (None, None))
        return answer.messages[: answer.sent_count] if answer is not None and last_key == key else None

    def keep(self, conversation_id: str, key: str | None, answer: PlatformAnswer) -> None:
        """Keep a complete answer, for a repeated call."""
        self._last.pop(conversation_id, None)
        if key is not None:
            put(self._last, conversation_id, (key, answer))

    def keep_late(self, conversation_id: str, late: list[Any]) -> None:
        """Keep late messages for the next answer, after those that wait already."""
        if late:
            put(self._late, conversation_id, [*self._late.get(conversation_id, ()), *late])

    def take_late(self, conversation_id: str) -> list[Any]:
        """Return the late messages that wait, and forget them."""
        return self._late.pop(conversation_id, [])


def put(memory: dict[Any, Any], key: Any, value: Any) -> None:
    """Set an entry of a memory and make it the newest; of more than ``MOST`` entries the oldest is forgotten."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > MOST:
        oldest = next(iter(memory))
        if isinstance(memory.pop(oldest), list):  # late messages, which would otherwise have been sent
            log.warning(
                "The late messages of %s are dropped: more than %s conversations have some.", short_id(oldest), MOST
            )


async def _send_nothing(late: list[Any]) -> list[Any]:
    """Send nothing, for a platform that takes messages only in answers."""
    return late


class Call(NamedTuple):
    """A platform's call.

    ``key``: identifies its message; None if nothing does. ``to_bot`` lets the bot fill the answer; ``to_people`` notes that the
    message is for people. ``push`` sends late messages, where the platform has a way for that.
    """

    conversation_id: str
    key: str | None
    answer: PlatformAnswer
    to_bot: Callable[[], Awaitable[None]]
    to_people: Callable[[], Awaitable[None]]
    push: PushMessage = _send_nothing


class Answering:
    """Answers calls, by the rules above.

    ``seconds``: how long an answer may take; ``hands_over``: whether a message hands the conversation over. The channel uses
    ``answers`` and ``work`` too, for messages outside a call.
    """

    def __init__(self, seconds: float, hands_over: Callable[[Any], bool]) -> None:
        self._seconds, self._hands_over = seconds, hands_over
        self.answers, self.work = KeptAnswers(), WorkUnderWay()

    async def answer(self, conversations: Conversations, call: Call) -> list[Any]:
        """Run the turn and return the messages for this call's answer."""
        try:
            await asyncio.wait_for(self.work.finish(self._take(conversations, call)), self._seconds)
        except asyncio.TimeoutError:
            log.warning(
                "The answer to %s of %s isn't complete after %s s: the rest follows.",
                call.key, short_id(call.conversation_id), self._seconds,
            )  # fmt: skip
        return call.answer.give()

    async def close(self) -> None:
        """Wait for turns under way."""
        await self.work.drained(DRAIN_SECONDS)

    async def _take(self, conversations: Conversations, call: Call) -> None:
        async with conversations.turn(call.conversation_id):
            known = self.answers.known(call.conversation_id, call.key)
            if known is not None:
                log.info("The message %s of %s came again: the same answer.", call.key, short_id(call.conversation_id))
                call.answer.messages.extend(known)
                return
            await self._fill(conversations, call)
            if call.answer.late:
                self.answers.keep_late(call.conversation_id, await call.push(call.answer.late))

    async def _fill(self, conversations: Conversations, call: Call) -> None:
        """Fill a new answer, with the late messages at its head."""
        id, answer = call.conversation_id, call.answer
        waiting = self.answers.take_late(id)
        answer.messages.extend(waiting)
        try:
            await (call.to_people if any(map(self._hands_over, waiting)) else call.to_bot)()
        except (Exception, asyncio.CancelledError) as problem:
            if answer.sent_count is None:
                self.answers.keep_late(id, waiting)
            else:
                await answer.send_response(id, await conversations.failure_notice(id))
                self.answers.keep_late(id, await call.push(answer.late))
            if isinstance(problem, asyncio.CancelledError):  # by the bot's code: nobody cancels this task
                raise RuntimeError("The turn was cancelled from within.") from problem
            raise
        finally:
            answer.over = True
        self.answers.keep(id, call.key, answer)
