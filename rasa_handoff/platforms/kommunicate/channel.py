"""KommunicateChannel: one entry in ``credentials.yml``, one webhook for all of a project's Kommunicate bots.

rasa_handoff.KommunicateChannel:
  bots:
    my-bot-id: {header: X-Handoff-Key, secret: "${KOMMUNICATE_KEY}"}
  welcome: greet
"""

import asyncio
import logging
import time
from typing import Any, Final

from rasa.core.channels.channel import UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.platforms.base import PlatformChannel
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.platforms.kommunicate.answers import Answer, Answers
from rasa_handoff.platforms.kommunicate.api import Api
from rasa_handoff.platforms.kommunicate.assigning import assignment, hands_over, with_assignment
from rasa_handoff.platforms.kommunicate.door import Rejected, open_to
from rasa_handoff.platforms.kommunicate.hearing import heard, metadata
from rasa_handoff.platforms.kommunicate.reading import Incoming, read_request
from rasa_handoff.platforms.kommunicate.writing import Message, rendered
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.turns import Work
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings, read_settings
from rasa_handoff.vocabulary.marker import HandoffRequest

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 5.0


class KommunicateChannel(PlatformChannel):
    """Channel and desk are Kommunicate's; the bot answers its webhook."""

    bot: Bot
    conversations: Conversations

    @classmethod
    def name(cls) -> str:
        """The webhook is ``/webhooks/kommunicate/webhook``."""
        return "kommunicate"

    @classmethod
    def from_settings(cls, data: Any) -> "KommunicateChannel":
        """The channel, of what stands under its name.

        Raises:
            SettingsError: one sentence.
        """
        return cls(read_settings(data))

    def __init__(self, settings: KommunicateSettings) -> None:
        self.settings = settings
        self.intents, self.departments = settings.intents, settings.offered
        self.crossing_seconds = settings.crossing_seconds
        self._answers, self._work = Answers(), Work()
        self._api = Api(settings.api_url, settings.api_key) if settings.api_key else None

    def add_routes(self, blueprint: Blueprint) -> None:
        """The webhook."""

        @blueprint.route("/webhook", methods=["POST"])
        async def webhook(request: Request) -> HTTPResponse:
            return await self._webhook(request)

    def open(self, bot: Bot, conversations: Conversations) -> None:
        """The bot is there."""
        self.bot, self.conversations = bot, conversations

    async def close(self) -> None:
        """What was begun is finished."""
        await self._work.drained(DRAIN_SECONDS)

    async def _webhook(self, request: Request) -> HTTPResponse:
        arrived = time.time()
        try:
            incoming = read_request(open_to(request, self.settings.bots, self.settings.body_limit))
        except Rejected as no:
            log.warning("A request of %s to Kommunicate's webhook was refused with %s: %s", request.ip, no.status, no)
            return response.json({"error": str(no)}, no.status)
        try:
            return response.json(await self._answer(incoming, arrived))
        except Exception:
            log.exception(
                "The message %s of %s failed; Kommunicate passes it to people.", incoming.key, incoming.conversation_id
            )
            return response.json({"error": "The bot failed."}, 500)

    async def _answer(self, incoming: Incoming, arrived: float) -> list[Message]:
        """Everything the bot says, or what it has said when the time is over; the turn is finished then all the same."""
        answer = Answer()
        try:
            await asyncio.wait_for(
                self._work.finish(self._take(incoming, arrived, answer)), self.settings.answer_seconds
            )
        except asyncio.TimeoutError:
            log.warning(
                "The answer to %s of %s isn't complete after %s s: the rest follows.",
                incoming.key, incoming.conversation_id, self.settings.answer_seconds,
            )  # fmt: skip
        return answer.give()

    async def _take(self, incoming: Incoming, arrived: float, answer: Answer) -> None:
        conversation_id, key = incoming.conversation_id, incoming.key
        async with self.conversations.turn(conversation_id):
            known = self._answers.known(conversation_id, key)
            late = self._answers.take_late(conversation_id)
            answer.messages.extend(late if known is None else known)
            try:
                if known is not None:
                    log.info("The message %s of %s came again: the same answer.", key, conversation_id)
                elif not any(hands_over(message) for message in late):
                    await self._to_bot(incoming, arrived, answer)
                    self._answers.keep(conversation_id, key, answer)
                # Else only this answer tells the platform whose the conversation is: the message is for people.
            except Exception:
                self._answers.leave(conversation_id, late)  # an answer that failed is shown to nobody
                raise
            self._answers.leave(conversation_id, await self._untold(incoming, answer.late))

    async def _untold(self, incoming: Incoming, late: list[Message]) -> list[Message]:
        """Say by the REST API what came too late for the answer; returns what couldn't be said so."""
        if late and self._api is not None:
            try:
                await self._api.tell(incoming.bot_id, incoming.conversation_id, late)
            except Unreachable as problem:
                log.warning("The rest for %s waits for the next answer: %s", incoming.conversation_id, problem)
        return late

    async def _to_bot(self, incoming: Incoming, arrived: float, answer: Answer) -> None:
        message = UserMessage(
            output_channel=answer,
            sender_id=incoming.conversation_id,
            input_channel=self.name(),
            message_id=incoming.key,
            metadata=metadata(incoming),
        )
        before = len(answer.messages)
        request = await self.conversations.take(
            message, arrived, lambda happened: heard(incoming, self.settings, happened)
        )
        if request is not None:
            await self._hand_over(incoming.conversation_id, answer, request, said=len(answer.messages) > before)

    async def _hand_over(self, conversation_id: str, answer: Answer, request: HandoffRequest, said: bool) -> None:
        if not said and self.settings.handoff_response is not None:
            words = await self.bot.render(self.settings.handoff_response, conversation_id, self.name(), {})
            answer.messages.extend(rendered(words))
        open = answer.given or 0
        answer.messages[open:] = with_assignment(answer.messages[open:], assignment(request, self.settings))
