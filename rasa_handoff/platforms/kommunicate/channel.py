"""KommunicateChannel: one entry in ``credentials.yml``, one webhook for all of a project's Kommunicate bots.

rasa_handoff.KommunicateChannel:
  bots:
    my-bot-id: {header: X-Handoff-Key, secret: "${KOMMUNICATE_KEY}"}
  welcome: greet
"""

import time
from typing import Any

from rasa.core.channels.channel import OutputChannel, UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.platforms.answering import Answering, Call
from rasa_handoff.platforms.base import PlatformChannel
from rasa_handoff.platforms.conversations import Conversations, Hear
from rasa_handoff.platforms.door import Rejected
from rasa_handoff.platforms.hearing import Happened
from rasa_handoff.platforms.kommunicate.account import read_account
from rasa_handoff.platforms.kommunicate.answers import Answer
from rasa_handoff.platforms.kommunicate.api import Api
from rasa_handoff.platforms.kommunicate.assigning import assignment, hands_over, with_assignment
from rasa_handoff.platforms.kommunicate.deeds import describe, do
from rasa_handoff.platforms.kommunicate.door import open_to, open_to_account
from rasa_handoff.platforms.kommunicate.features import FEATURES
from rasa_handoff.platforms.kommunicate.hearing import heard, metadata
from rasa_handoff.platforms.kommunicate.outside import Outside, OutsideOutput
from rasa_handoff.platforms.kommunicate.reading import WELCOME, Incoming, read_request
from rasa_handoff.platforms.kommunicate.witness import Witness
from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings, read_settings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest

log = get_log(__name__)


class KommunicateChannel(PlatformChannel):
    """Channel and desk are Kommunicate's; the bot answers its webhook."""

    features = FEATURES

    conversations: Conversations
    outside: Outside

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
        self._answering = Answering(settings.answer_seconds, lambda message: hands_over(message, settings.bots))
        self._api = Api(settings, settings.api_key) if settings.api_key else None

    def add_routes(self, blueprint: Blueprint) -> None:
        """The bots' webhook, and the account's if the settings have its token."""

        @blueprint.route("/webhook", methods=["POST"])
        async def webhook(request: Request) -> HTTPResponse:
            return await self._webhook(request)

        if (token := self.settings.account_token) is not None:

            @blueprint.route("/account", methods=["POST"])
            async def account(request: Request) -> HTTPResponse:
                return await self._account(request, token)

    def open(self, bot: Bot, conversations: Conversations) -> None:
        """The bot is there."""
        self.conversations = conversations
        self.outside = Outside(bot, conversations, self.settings, self._api, self._answering)

        self.witness = Witness(bot, conversations, self.outside, self.settings, self.name())

    def get_output_channel(self) -> OutputChannel:
        """For what is said from outside: a triggered intent, a reminder."""
        return OutsideOutput(self.outside)

    async def close(self) -> None:
        """What was begun is finished."""
        await self._answering.close()

    async def _webhook(self, request: Request) -> HTTPResponse:
        arrived = time.time()
        try:
            incoming = read_request(open_to(request, self.settings.bots, self.settings.body_limit))
        except Rejected as no:
            return _refused(request, no)
        try:
            return response.json(await self._answer(incoming, arrived))
        except Exception:
            log.exception(
                "The message %s of %s failed; Kommunicate passes it to people.",
                incoming.key,
                short_id(incoming.conversation_id),
            )
            return response.json({"error": "The bot failed."}, 500)

    async def _account(self, request: Request, token: str) -> HTTPResponse:
        arrived = time.time()
        try:
            seen = read_account(open_to_account(request, token, self.settings.body_limit))
        except Rejected as no:
            return _refused(request, no)
        try:
            await self._answering.work.finish(self.witness.take(seen, arrived))
        except Exception:
            log.exception("What was said in %s (%s) isn't in the tracker.", short_id(seen.conversation_id), seen.key)
            return response.json({"error": "It could not be noted."}, 500)
        return response.json({"status": "ok"})

    async def _answer(self, incoming: Incoming, arrived: float) -> list[Message]:
        """What the bot says to a call, as far as it has said it in time."""
        id, answer = incoming.conversation_id, Answer(self.settings, self.outside.say)
        message = UserMessage(
            output_channel=answer,
            sender_id=id,
            input_channel=self.name(),
            message_id=incoming.key,
            metadata=metadata(incoming),
        )

        def hear(happened: Happened) -> str | None:
            return heard(incoming, self.settings, happened)

        async def to_bot() -> None:
            await self._to_bot(incoming, arrived, answer, message, hear)

        async def to_people() -> None:
            await self.conversations.pass_by(message, hear)

        async def push(late: list[Message]) -> list[Message]:
            return await do([], self._api, incoming.bot_id, id, late)

        call = Call(id, incoming.key, answer, to_bot, to_people, push)
        return await self._answering.answer(self.conversations, call)

    async def _to_bot(
        self, incoming: Incoming, arrived: float, answer: Answer, message: UserMessage, hear: Hear
    ) -> None:
        before = len(answer.messages)
        request = await self.conversations.take(
            message,
            arrived,
            hear,
            welcome=incoming.event in WELCOME,
            hands_over=lambda: answer.hands_over(before),
            parting=lambda: None if len(answer.messages) > before else self.settings.handoff_response,
        )
        if request is not None:
            answer.stay_open(incoming.conversation_id)
            self._hand_over(incoming, answer, request, before)
        if answer.deeds:
            words = answer.take_back()
            left = await do(answer.deeds, self._api, incoming.bot_id, incoming.conversation_id, words)
            answer.messages.extend(left)

    def _hand_over(self, incoming: Incoming, answer: Answer, request: HandoffRequest, before: int) -> None:
        if not answer.hands_over(before):  # else the project's own words say whose it is
            place = answer.given or 0
            answer.messages[place:] = with_assignment(answer.messages[place:], assignment(request, self.settings))
        if self.settings.user_details and self._api is not None and incoming.user_id is not None:
            self._answering.work.begin(describe(self._api, incoming.user_id, request))


def _refused(request: Request, no: Rejected) -> HTTPResponse:
    log.warning("A request of %s to %s was refused with %s: %s", request.ip, request.path, no.status, no)
    return response.json({"error": no.shown}, no.status)
