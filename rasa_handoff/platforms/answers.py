"""Answers to a platform's calls: everything the bot says in a turn, or what it has said when the time is over.

The rules:

1. A call that is repeated gets the answer it had, whichever process it reaches. A message's key tells that it is repeated. The
   answers are stored (``memory.py``); for older ones, and while the database can't be used, the tracker has each message's id
   (``bot_turn.py``). An answer that hands over is repeated only as long as it is the conversation's last one.
2. Messages that came too late for one answer go out with the next one, before its own messages.
3. If such a late message gives the conversation to people, the customer's message in this call is for them, not for the bot: the
   platform learns of the handoff only from the answer to this call.
4. A turn is always finished, also when the time is over. If it fails before its answer went out, the call fails: to the platform
   that is a broken bot, and it gives the conversation to its people. Nothing of the failed answer is shown, and late messages go
   on waiting. If it fails after its answer went out, the customer gets a failure notice, as a late message.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from rasa.core.channels.channel import OutputChannel

from rasa_handoff.channel.inbound.turn_lock import WorkUnderWay
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.platforms.memory import OpenTurn, PushMessages
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

DRAIN_SECONDS: Final = 5.0
"""How long a stopping server waits for turns under way."""

Say = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Says one of Rasa's messages to a conversation when there is no call to answer."""


class PlatformAnswer(OutputChannel):
    """The output channel of one call, which collects what the bot says.

    ``turn``: the turn of the call, once it has begun. ``sent_count``: how many messages had been said when the answer went out;
    None before that. Rasa keeps the channel for reminders: once its turn is ``over``, messages go to ``say_unprompted``.
    """

    has_own_desk = True
    """HandoffChannel leaves messages on it alone."""

    def __init__(self, say_unprompted: Say) -> None:
        self._say_unprompted = say_unprompted
        self.messages: list[Any] = []
        self.sent_count: int | None = None
        self.over = False
        self.turn: OpenTurn | None = None

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


class Call(NamedTuple):
    """A platform's call.

    ``key``: identifies its message; None if nothing does. ``to_bot`` lets the bot fill the answer; ``to_people`` notes that the
    message is for people. ``push`` sends late messages; None: the platform has no way for that.
    """

    conversation_id: str
    key: str | None
    answer: PlatformAnswer
    to_bot: Callable[[], Awaitable[None]]
    to_people: Callable[[], Awaitable[None]]
    push: PushMessages | None = None


class Answering:
    """Answers calls, by the rules above.

    ``seconds``: how long an answer may take; ``hands_over``: whether a message hands the conversation over; ``kind``: the type of
    a message, which is stored as JSON. The channel uses ``work`` too, for messages outside a call.
    """

    def __init__(self, seconds: float, hands_over: Callable[[Any], bool], kind: Any) -> None:
        self._seconds, self._hands_over = seconds, hands_over
        self._message, self._answer = msgspec.json.Decoder(kind), msgspec.json.Decoder(list[kind])
        self.work = WorkUnderWay()

    async def answer(self, conversations: Conversations, call: Call) -> list[Any]:
        """Run the turn and return the messages for this call's answer."""
        try:
            await asyncio.wait_for(self.work.finish(self._take(conversations, call)), self._seconds)
        except asyncio.TimeoutError:
            log.warning(
                "The answer to %s of %s isn't complete after %s s: the rest follows.",
                call.key, short_id(call.conversation_id), self._seconds,
            )  # fmt: skip
            given, open_turn = call.answer.give(), call.answer.turn
            if open_turn is not None and open_turn.late:
                await open_turn.give(given)  # so that no other answer has these late messages too
            return given
        return call.answer.give()

    async def close(self) -> None:
        """Wait for turns under way."""
        await self.work.drained(DRAIN_SECONDS)

    async def _take(self, conversations: Conversations, call: Call) -> None:
        async with conversations.turn(call.conversation_id, call.key) as open_turn:
            if open_turn.known is not None:
                log.info("The message %s of %s came again: the same answer.", call.key, short_id(call.conversation_id))
                call.answer.messages.extend(self._answer.decode(open_turn.known))
                return
            call.answer.turn = open_turn
            await self._fill(conversations, call, self._late_in(open_turn, call.conversation_id))
            await self._finish(call, open_turn)

    def _late_in(self, open_turn: OpenTurn, conversation_id: str) -> list[Any]:
        """Return the late messages that wait for this answer. One that can't be read is left out."""
        found = []
        for body in open_turn.late:
            try:
                found.append(self._message.decode(body))
            except msgspec.DecodeError as problem:
                log.error("A late message of %s can't be read: %s", short_id(conversation_id), problem)
        return found

    async def _fill(self, conversations: Conversations, call: Call, waiting: Sequence[Any]) -> None:
        """Fill a new answer, with the late messages at its head."""
        id, answer = call.conversation_id, call.answer
        answer.messages.extend(waiting)
        try:
            await (call.to_people if any(map(self._hands_over, waiting)) else call.to_bot)()
        except (Exception, asyncio.CancelledError) as problem:
            if answer.sent_count is not None:
                await answer.send_response(id, await conversations.failure_notice(id))
                assert answer.turn is not None
                await self._finish(call, answer.turn)
            if isinstance(problem, asyncio.CancelledError):  # by the bot's code: nobody cancels this task
                raise RuntimeError("The turn was cancelled from within.") from problem
            raise
        finally:
            answer.over = True

    async def _finish(self, call: Call, open_turn: OpenTurn) -> None:
        """End the turn: its answer is stored before it goes out, and what came too late for it is sent, or waits."""
        late = call.answer.late
        if late and call.push is not None:
            late = await open_turn.push(late, call.push)
        given = call.answer.messages[: call.answer.sent_count]
        await open_turn.finish(given, late, while_last=any(map(self._hands_over, given)))
