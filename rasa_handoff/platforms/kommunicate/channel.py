"""KommunicateChannel: one entry in ``credentials.yml``, one webhook for all of a project's Kommunicate bots.

rasa_handoff.KommunicateChannel:
  bots:
    my-bot-id: {header: X-Handoff-Key, secret: "${KOMMUNICATE_KEY}"}
  welcome: greet
"""

import time
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.handoff_request import Happened
from rasa_handoff.platforms.answers import Answering, Call
from rasa_handoff.platforms.base import PlatformChannel, Rejected, refuse
from rasa_handoff.platforms.conversations import Conversations, TextForBot
from rasa_handoff.platforms.kommunicate.account_events import AccountEvents, UnpromptedMessages, UnpromptedOutput
from rasa_handoff.platforms.kommunicate.api import Api, carry_out, write_details
from rasa_handoff.platforms.kommunicate.authentication import authenticate_account, authenticate_bot
from rasa_handoff.platforms.kommunicate.handoff import KommunicateMessage, assignment, hands_over, with_assignment
from rasa_handoff.platforms.kommunicate.messages import KommunicateAnswer
from rasa_handoff.platforms.kommunicate.requests import (
    WELCOME,
    KommunicateCall,
    metadata,
    read_account_event,
    read_request,
    read_text_for_bot,
)
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings, read_settings
from rasa_handoff.protocol.features import YES, Feature, Features, Theirs
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest

log = get_log(__name__)

FEATURES: Final[Features] = {
    Feature.INTENTS: YES,
    Feature.OPTIONS: YES,
    Feature.DEPARTMENT: "team or agent",
    Feature.AGENT: YES,
    Feature.RULES: "its conversation rules",
    Feature.OTHER_BOT: "with `api_key`",
    Feature.SILENT: YES,
    Feature.TRANSCRIPT: Theirs("in Kommunicate"),
    Feature.REASON: "message metadata, or customer details",
    Feature.RELAY: Theirs("Kommunicate"),
    Feature.SEVERAL: YES,
    Feature.TRACKED: "with `account_token`",
    Feature.ACTIVE: Theirs("Kommunicate knows"),
    Feature.BACK: "its next call, or at once with `account_token`",
    Feature.OUTCOME: "`resolved`, and a note with `account_token`",
    Feature.CLOSE: "with `api_key`",
    Feature.WELCOME: YES,
    Feature.FILES: YES,
    Feature.EVENTS: YES,
    Feature.BUTTONS: YES,
    Feature.PICTURES: YES,
    Feature.CUSTOM: YES,
    Feature.METADATA: YES,
    Feature.LATE: "by the REST API, else with the next",
    Feature.SEVERAL_BOTS: YES,
    Feature.AUTHENTICATION: "a header per bot",
    Feature.ONCE: YES,
}
"""The channel's capabilities, for the capability matrix."""


class KommunicateChannel(PlatformChannel):
    """The channel of Kommunicate, which is channel and desk in one; the bot answers its webhook."""

    features = FEATURES

    conversations: Conversations
    unprompted: UnpromptedMessages

    @classmethod
    def name(cls) -> str:
        """Return the channel's name in Rasa; its webhook is ``/webhooks/kommunicate/webhook``."""
        return "kommunicate"

    @classmethod
    def from_settings(cls, data: Any) -> "KommunicateChannel":
        """Create the channel from the settings under its name.

        Raises:
            SettingsError: one sentence.
        """
        return cls(read_settings(data))

    def __init__(self, settings: KommunicateSettings) -> None:
        self.settings = settings
        self.intents, self.departments = settings.intents, settings.offered
        self.crossing_seconds = settings.crossing_seconds
        self.database = settings.database
        self._answering = Answering(
            settings.answer_seconds, lambda message: hands_over(message, settings.bots), KommunicateMessage
        )
        self._api = Api(settings, settings.api_key) if settings.api_key else None

    def add_routes(self, blueprint: Blueprint) -> None:
        """Add the bots' webhook, and the account webhook if the settings have its token."""

        @blueprint.route("/webhook", methods=["POST"])
        async def webhook(request: Request) -> HTTPResponse:
            return await self._webhook(request)

        if (token := self.settings.account_token) is not None:

            @blueprint.route("/account", methods=["POST"])
            async def account(request: Request) -> HTTPResponse:
                return await self._account(request, token)

    def open(self, bot: Bot, conversations: Conversations) -> None:
        """Set up what needs the bot, once Rasa's application exists."""
        self.conversations = conversations
        self.unprompted = UnpromptedMessages(bot, conversations, self.settings, self._api, self._answering.work)
        self.account_events = AccountEvents(bot, conversations, self.unprompted, self.settings, self.name())

    def get_output_channel(self) -> OutputChannel:
        """Return the output channel for messages outside a call, such as a reminder or a triggered intent."""
        return UnpromptedOutput(self.unprompted)

    async def close(self) -> None:
        """Wait for turns under way."""
        await self._answering.close()

    async def _webhook(self, request: Request) -> HTTPResponse:
        arrived = time.time()
        try:
            incoming = read_request(authenticate_bot(request, self.settings.bots, self.settings.body_limit))
        except Rejected as rejection:
            return refuse(request, rejection)
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
            event = read_account_event(authenticate_account(request, token, self.settings.body_limit))
        except Rejected as rejection:
            return refuse(request, rejection)
        try:
            await self._answering.work.finish(self.account_events.take(event, arrived))
        except Exception:
            log.exception("The message %s of %s isn't in the tracker.", event.key, short_id(event.conversation_id))
            return response.json({"error": "The message could not be written to the tracker."}, 500)
        return response.json({"status": "ok"})

    async def _answer(self, incoming: KommunicateCall, arrived: float) -> list[KommunicateMessage]:
        """Return what the bot says to a call, as far as it has said it in time."""
        id, answer = incoming.conversation_id, KommunicateAnswer(self.settings, self.unprompted.say)
        message = UserMessage(
            output_channel=answer,
            sender_id=id,
            input_channel=self.name(),
            message_id=incoming.key,
            metadata=metadata(incoming),
        )

        def text_for_bot(happened: Happened) -> str | None:
            return read_text_for_bot(incoming, self.settings, happened)

        async def to_bot() -> None:
            await self._to_bot(incoming, arrived, answer, message, text_for_bot)

        async def to_people() -> None:
            await self.conversations.note_for_people(message, text_for_bot)

        async def push(late: list[KommunicateMessage]) -> list[KommunicateMessage]:
            return await carry_out([], self._api, incoming.bot_id, id, late)

        call = Call(id, incoming.key, answer, to_bot, to_people, push)
        return await self._answering.answer(self.conversations, call)

    async def _to_bot(
        self,
        incoming: KommunicateCall,
        arrived: float,
        answer: KommunicateAnswer,
        message: UserMessage,
        text_for_bot: TextForBot,
    ) -> None:
        before = len(answer.messages)
        request = await self.conversations.take(
            message,
            arrived,
            text_for_bot,
            welcome=incoming.event in WELCOME,
            hands_over=lambda: answer.hands_over(before),
            parting=lambda: None if len(answer.messages) > before else self.settings.handoff_response,
        )
        if request is not None:
            answer.stay_open(incoming.conversation_id)
            self._hand_over(incoming, answer, request, before)
        if answer.desk_actions:
            unsent = answer.take_back()
            left = await carry_out(answer.desk_actions, self._api, incoming.bot_id, incoming.conversation_id, unsent)
            answer.messages.extend(left)

    def _hand_over(
        self, incoming: KommunicateCall, answer: KommunicateAnswer, request: HandoffRequest, before: int
    ) -> None:
        if not answer.hands_over(before):  # else the project's own message has the assignment
            sent = answer.sent_count or 0
            answer.messages[sent:] = with_assignment(answer.messages[sent:], assignment(request, self.settings))
        if self.settings.user_details and self._api is not None and incoming.user_id is not None:
            self._answering.work.begin(write_details(self._api, incoming.user_id, request))
