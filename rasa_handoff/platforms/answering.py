"""A call that waits for its answer: everything the bot says, or what it has said when the time is over.

The turn is finished in either case; what comes too late goes out with the conversation's next answer. A call that comes
again gets the answer it had.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa_handoff.platforms.answers import Answer, Answers
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.rasa_room.turns import Work

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 5.0

ToBot = Callable[[Answer], Awaitable[None]]
"""Lets the bot fill the answer."""
Push = Callable[[list[Any]], Awaitable[list[Any]]]
"""Says by another way what came too late, and returns what it couldn't."""


class Answering:
    """``seconds``: until an answer is given as it is; ``hands_over``: whether a message gives the conversation away, so that
    only the answer with it tells the platform whose it is. ``answers`` and ``work`` are the channel's, for what else it says."""

    def __init__(self, seconds: float, hands_over: Callable[[Any], bool]) -> None:
        self._seconds, self._hands_over = seconds, hands_over
        self.answers, self.work = Answers(), Work()

    async def answer(
        self,
        conversations: Conversations,
        conversation_id: str,
        key: str | None,
        answer: Answer,
        to_bot: ToBot,
        push: Push | None = None,
    ) -> list[Any]:
        """What goes out now. ``key`` tells the message; None: nothing does. ``push``: if there is a way for what is late."""
        taken = self._take(conversations, conversation_id, key, answer, to_bot, push)
        try:
            await asyncio.wait_for(self.work.finish(taken), self._seconds)
        except asyncio.TimeoutError:
            log.warning(
                "The answer to %s of %s isn't complete after %s s: the rest follows.",
                key,
                conversation_id,
                self._seconds,
            )
        return answer.give()

    async def _take(
        self,
        conversations: Conversations,
        conversation_id: str,
        key: str | None,
        answer: Answer,
        to_bot: ToBot,
        push: Push | None,
    ) -> None:
        async with conversations.turn(conversation_id):
            known = self.answers.known(conversation_id, key)
            late = self.answers.take_late(conversation_id)
            answer.messages.extend(late if known is None else known)
            try:
                if known is not None:
                    log.info("The message %s of %s came again: the same answer.", key, conversation_id)
                elif not any(self._hands_over(message) for message in late):
                    await to_bot(answer)
                    self.answers.keep(conversation_id, key, answer)
                # Else only this answer tells the platform whose the conversation is: the message is for people.
            except Exception:
                self.answers.leave(conversation_id, late)  # an answer that failed is shown to nobody
                raise
            finally:
                answer.over = True
            late = answer.late
            self.answers.leave(conversation_id, await push(late) if late and push is not None else late)

    async def close(self) -> None:
        """What was begun is finished."""
        await self.work.drained(DRAIN_SECONDS)
