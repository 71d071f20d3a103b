"""LivePersonChannel: one entry in ``credentials.yml`` for a LivePerson Function and for Custom Endpoint v1.

rasa_handoff.LivePersonChannel:
  skill: human_skill
  functions:
    shop: {header: X-Handoff-Key, secret: "${LIVEPERSON_KEY}"}
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.handoff_request import Happened
from rasa_handoff.platforms.answers import Answering, Call
from rasa_handoff.platforms.base import PlatformChannel, Rejected
from rasa_handoff.platforms.conversations import Conversations, TextForBot
from rasa_handoff.platforms.liveperson.answer_parts import (
    CLOSE,
    Action,
    Intent,
    Saying,
    Understood,
    function_answer,
    hands_over,
)
from rasa_handoff.platforms.liveperson.authentication import answer_or_refuse, authenticate_function
from rasa_handoff.platforms.liveperson.endpoint import Endpoint
from rasa_handoff.platforms.liveperson.handoff import note, transfer
from rasa_handoff.platforms.liveperson.messages import LivePersonAnswer, rendered
from rasa_handoff.platforms.liveperson.requests import (
    TEST,
    WELCOME,
    LivePersonCall,
    from_function,
    metadata,
    read_text_for_bot,
)
from rasa_handoff.platforms.liveperson.settings import LivePersonSettings, read_settings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.features import YES, Feature, Features, Theirs
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest, directives_in
from rasa_handoff.protocol.names import HANDOFF_MARKER

MOST_INTENTS: Final = 3
"""How many intents LivePerson gets, likeliest first."""
CONNECTED: Final = {"messages": ["The Rasa bot can be reached."], "context": {}}
"""The answer to a Function that is called without a conversation, as Test Connection may."""

log = get_log(__name__)


FEATURES: Final[Features] = {
    Feature.INTENTS: YES,
    Feature.OPTIONS: YES,
    Feature.DEPARTMENT: "skill, by priority too",
    Feature.AGENT: YES,
    Feature.RULES: "the skill's routing",
    Feature.OTHER_BOT: YES,
    Feature.SILENT: YES,
    Feature.TRANSCRIPT: "a private note",
    Feature.REASON: "the note; the priority by the skill, or with the options",
    Feature.PRIORITY: YES,
    Feature.RECOGNISED: YES,
    Feature.RELAY: Theirs("LivePerson"),
    Feature.SEVERAL: YES,
    Feature.ACTIVE: Theirs("LivePerson knows"),
    Feature.BACK: "its next call",
    Feature.OUTCOME: "`resolved`",
    Feature.CLOSE: YES,
    Feature.WELCOME: "in its three forms",
    Feature.FILES: YES,
    Feature.EVENTS: "rich content",
    Feature.BUTTONS: YES,
    Feature.PICTURES: YES,
    Feature.CUSTOM: "checked before it leaves",
    Feature.DELAYS: YES,
    Feature.METADATA: "engagement attributes too",
    Feature.LATE: "with the next",
    Feature.SEVERAL_BOTS: YES,
    Feature.AUTHENTICATION: "a header per Function; a signed token",
    Feature.ONCE: YES,
    Feature.TEST: YES,
}
"""The channel's capabilities, for the capability matrix."""


class LivePersonChannel(PlatformChannel):
    """The channel of LivePerson, which is channel and desk in one; the bot answers calls of Functions and of Custom Endpoint."""

    features = FEATURES

    bot: Bot
    conversations: Conversations

    @classmethod
    def name(cls) -> str:
        """Return the channel's name in Rasa; its webhook is ``/webhooks/liveperson/webhook``."""
        return "liveperson"

    @classmethod
    def from_settings(cls, data: Any) -> "LivePersonChannel":
        """Create the channel from the settings under its name.

        Raises:
            SettingsError: one sentence.
        """
        return cls(read_settings(data))

    def __init__(self, settings: LivePersonSettings) -> None:
        self.settings = settings
        self.intents, self.departments = settings.intents, settings.offered
        self.crossing_seconds = settings.crossing_seconds
        self.database = settings.database
        self._answering = Answering(settings.answer_seconds, hands_over, Saying)
        self._endpoint: Endpoint | None = None
        if settings.endpoint is not None:
            self._endpoint = Endpoint(
                settings.endpoint,
                settings.body_limit,
                self.answer,
                lambda: self.bot.ready,
                lambda: self.conversations.memory,
            )

    def add_routes(self, blueprint: Blueprint) -> None:
        """Add the webhook of the Functions, and the routes of Custom Endpoint."""
        if self.settings.functions:

            @blueprint.route("/webhook", methods=["POST"])
            async def webhook(request: Request) -> HTTPResponse:
                return await answer_or_refuse(request, self._webhook(request))

        if self._endpoint is not None:
            self._endpoint.add_routes(blueprint)

    def open(self, bot: Bot, conversations: Conversations) -> None:
        """Set up what needs the bot, once Rasa's application exists."""
        self.bot, self.conversations = bot, conversations

    def get_output_channel(self) -> OutputChannel:
        """Return the output channel for messages outside a call, such as a reminder or a triggered intent."""
        output = LivePersonAnswer(self.settings, self._say)
        output.over = True
        return output

    async def _say(self, conversation_id: str, message: Mapping[str, Any]) -> None:
        """Keep a message outside a call for the next answer, since LivePerson can't be called. A handoff can't be made here."""
        shown = dict(await self.conversations.shown(conversation_id, message))
        if HANDOFF_MARKER in (shown.get("custom") or ()):
            log.warning("A handoff of %s was asked for outside a call: it isn't made.", short_id(conversation_id))
            shown["custom"] = directives_in(shown["custom"])
        messages = rendered(shown, self.settings.quick_replies, self.settings.other_bots)
        await self.conversations.memory.keep_late(conversation_id, messages)
        log.info(
            "%s messages for %s, said outside a call, wait for its next answer.",
            len(messages),
            short_id(conversation_id),
        )

    async def close(self) -> None:
        """Wait for turns under way."""
        await self._answering.close()

    async def _webhook(self, request: Request) -> HTTPResponse:
        arrived = time.time()
        caller, body = authenticate_function(request, self.settings.functions, self.settings.body_limit)
        incoming = from_function(body, caller)
        if incoming.kind != TEST:
            return response.json(function_answer(await self.answer(incoming, arrived)))
        if not self.bot.ready:
            raise Rejected(503, "No model is loaded yet.")
        return response.json(CONNECTED)

    async def answer(self, incoming: LivePersonCall, arrived: float) -> list[Saying]:
        """Return what the bot says to a call, as far as it has said it in time."""
        id, answer = incoming.conversation_id, LivePersonAnswer(self.settings, self._say)
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
            # A late request to close the conversation no longer counts: the customer has written again.
            answer.messages[:] = [one for one in answer.messages if not (isinstance(one, Action) and one.name == CLOSE)]
            await self._to_bot(incoming, arrived, answer, message, text_for_bot)

        async def to_people() -> None:
            await self.conversations.note_for_people(message, text_for_bot)

        return await self._answering.answer(self.conversations, Call(id, incoming.key, answer, to_bot, to_people))

    async def _to_bot(
        self,
        incoming: LivePersonCall,
        arrived: float,
        answer: LivePersonAnswer,
        message: UserMessage,
        text_for_bot: TextForBot,
    ) -> None:
        before = len(answer.messages)
        request = await self.conversations.take(
            message,
            arrived,
            text_for_bot,
            welcome=incoming.kind == WELCOME,
            parting=lambda: None if _says_something(answer.messages[before:]) else self.settings.handoff_response,
        )
        if not any(isinstance(one, Understood) for one in answer.messages[before:]):
            answer.messages.extend(_understood(message.parse_data or {}))
        if request is not None:
            await self._hand_over(message.sender_id, answer, request)

    async def _hand_over(self, conversation_id: str, answer: LivePersonAnswer, request: HandoffRequest) -> None:
        """Add the note and the transfer, at the end of the answer: messages after a transfer aren't shown."""
        if self.settings.transfer_note:
            private = note(request, await self._happened(conversation_id))
            answer.messages.extend([private] if private is not None else [])
        answer.messages.append(transfer(request, self.settings))

    async def _happened(self, conversation_id: str) -> list[dict[str, Any]]:
        try:
            return [event.as_dict() for event in (await self.bot.tracker(conversation_id)).events]
        except Unreachable:  # the note is then sent without a transcript, at once
            return []


def _says_something(said: Sequence[Saying]) -> bool:
    return any(not isinstance(one, Understood | Action) for one in said)


def _understood(parsed: Mapping[str, Any]) -> list[Saying]:
    ranking = parsed.get("intent_ranking") or [parsed.get("intent") or {}]
    best = parsed.get("intent") or {}
    listed = [best, *(one for one in ranking if one.get("name") != best.get("name"))]
    intents = [
        Intent(id=one["name"], name=one["name"], confidence=float(one.get("confidence") or 0))
        for one in listed
        if one.get("name")
    ]
    return [Understood(intents=tuple(intents[:MOST_INTENTS]))] if intents else []
