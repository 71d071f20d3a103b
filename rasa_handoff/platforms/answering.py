"""A call that waits for its answer: everything the bot says, or what it has said when the time is over.

1. A call that comes again gets the answer it had.
2. What came too late for one answer goes out with the next, before its own words.
3. If that gives the conversation to people, the call's own message is theirs: only its answer tells the platform so.
4. The turn is finished, also when the time is over. An answer that failed is shown to nobody, and what waited waits on: the
   call fails, which to the platform is a broken bot, whose conversation it gives to its people. A turn that fails after its
   answer had to go out says so itself, as what comes too late does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from rasa_handoff.platforms.answers import Answer, Answers
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.rasa_room.turns import Work
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

DRAIN_SECONDS: Final = 5.0

Push = Callable[[list[Any]], Awaitable[list[Any]]]
"""Says by another way what came too late, and returns what it couldn't."""


async def _cannot(late: list[Any]) -> list[Any]:
    return late


class Call(NamedTuple):
    """A platform's call. ``key`` tells its message; None: nothing does. ``to_bot`` lets the bot fill the answer, ``to_people``
    notes that the message is theirs. ``push``: if there is a way for what is late."""

    conversation_id: str
    key: str | None
    answer: Answer
    to_bot: Callable[[], Awaitable[None]]
    to_people: Callable[[], Awaitable[None]]
    push: Push = _cannot


class Answering:
    """``seconds``: until an answer is given as it is; ``given_away``: whether a message of an answer gives the conversation to
    people. ``answers`` and ``work`` are the channel's, for what else it says."""

    def __init__(self, seconds: float, given_away: Callable[[Any], bool]) -> None:
        self._seconds, self._given_away = seconds, given_away
        self.answers, self.work = Answers(), Work()

    async def answer(self, conversations: Conversations, call: Call) -> list[Any]:
        """What goes out now."""
        try:
            await asyncio.wait_for(self.work.finish(self._take(conversations, call)), self._seconds)
        except asyncio.TimeoutError:
            log.warning(
                "The answer to %s of %s isn't complete after %s s: the rest follows.",
                call.key, short_id(call.conversation_id), self._seconds,
            )  # fmt: skip
        return call.answer.give()

    async def close(self) -> None:
        """What was begun is finished."""
        await self.work.drained(DRAIN_SECONDS)

    async def _take(self, conversations: Conversations, call: Call) -> None:
        async with conversations.turn(call.conversation_id):
            known = self.answers.known(call.conversation_id, call.key)
            if known is not None:
                log.info("The message %s of %s came again: the same answer.", call.key, short_id(call.conversation_id))
                call.answer.messages.extend(known)
                return
            await self._make(conversations, call)
            if call.answer.late:
                self.answers.leave(call.conversation_id, await call.push(call.answer.late))

    async def _make(self, conversations: Conversations, call: Call) -> None:
        """A new answer, with what waits at its head."""
        id, answer = call.conversation_id, call.answer
        waiting = self.answers.take_late(id)
        answer.messages.extend(waiting)
        try:
            await (call.to_people if any(map(self._given_away, waiting)) else call.to_bot)()
        except (Exception, asyncio.CancelledError) as problem:
            if answer.given is None:
                self.answers.leave(id, waiting)
            else:
                await answer.send_response(id, await conversations.not_taken(id))
                self.answers.leave(id, await call.push(answer.late))
            if isinstance(problem, asyncio.CancelledError):  # the bot's: nobody calls ours off
                raise RuntimeError("The turn was called off from within.") from problem
            raise
        finally:
            answer.over = True
        self.answers.keep(id, call.key, answer)
