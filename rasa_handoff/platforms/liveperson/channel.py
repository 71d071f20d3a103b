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

from rasa_handoff.platforms import answers
from rasa_handoff.platforms.answering import Answering, Call
from rasa_handoff.platforms.base import PlatformChannel
from rasa_handoff.platforms.conversations import Conversations, Hear
from rasa_handoff.platforms.door import Rejected
from rasa_handoff.platforms.hearing import Happened
from rasa_handoff.platforms.liveperson.assigning import note, transfer
from rasa_handoff.platforms.liveperson.door import answered, open_to_function
from rasa_handoff.platforms.liveperson.endpoint import Endpoint
from rasa_handoff.platforms.liveperson.features import FEATURES
from rasa_handoff.platforms.liveperson.hearing import heard, metadata
from rasa_handoff.platforms.liveperson.reading import TEST, WELCOME, Incoming, from_function
from rasa_handoff.platforms.liveperson.responding import function_answer
from rasa_handoff.platforms.liveperson.sayings import CLOSE, Action, Intent, Saying, Understood, hands_over
from rasa_handoff.platforms.liveperson.writing import rendered
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.vocabulary.directives import directives_in
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.liveperson import LivePersonSettings, read_settings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.names import HANDOFF_MARKER

MOST_INTENTS: Final = 3
"""The likeliest ones go to LivePerson."""
CONNECTED: Final = {"messages": ["The Rasa bot can be reached."], "context": {}}
"""The answer to a Function that is tried without a conversation, as Test Connection may."""

log = get_log(__name__)


class Answer(answers.Answer):
    """One answer, before it is written for a surface."""

    def __init__(self, settings: LivePersonSettings, outside: answers.Say) -> None:
        super().__init__(outside)
        self._settings = settings

    @classmethod
    def name(cls) -> str:
        """By this name Rasa chooses channel-specific responses."""
        return "liveperson"

    def rendered(self, message: dict[str, Any]) -> list[Saying]:
        """One of Rasa's messages as LivePerson's."""
        return rendered(message, self._settings.quick_replies, self._settings.other_bots)


class LivePersonChannel(PlatformChannel):
    """Channel and desk are LivePerson's; the bot answers a Function's calls, and those of Custom Endpoint."""

    features = FEATURES

    bot: Bot
    conversations: Conversations

    @classmethod
    def name(cls) -> str:
        """The webhook is ``/webhooks/liveperson/webhook``."""
        return "liveperson"

    @classmethod
    def from_settings(cls, data: Any) -> "LivePersonChannel":
        """The channel, of what stands under its name.

        Raises:
            SettingsError: one sentence.
        """
        return cls(read_settings(data))

    def __init__(self, settings: LivePersonSettings) -> None:
        self.settings = settings
        self.intents, self.departments = settings.intents, settings.offered
        self.crossing_seconds = settings.crossing_seconds
        self._answering = Answering(settings.answer_seconds, hands_over)
        self._endpoint: Endpoint | None = None
        if settings.endpoint is not None:
            self._endpoint = Endpoint(settings.endpoint, settings.body_limit, self.answer, lambda: self.bot.ready)

    def add_routes(self, blueprint: Blueprint) -> None:
        """The webhook of the Functions, and Custom Endpoint's addresses."""
        if self.settings.functions:

            @blueprint.route("/webhook", methods=["POST"])
            async def webhook(request: Request) -> HTTPResponse:
                return await answered(request, self._webhook(request))

        if self._endpoint is not None:
            self._endpoint.add_routes(blueprint)

    def open(self, bot: Bot, conversations: Conversations) -> None:
        """The bot is there."""
        self.bot, self.conversations = bot, conversations

    def get_output_channel(self) -> OutputChannel:
        """For what is said from outside: a triggered intent, a reminder."""
        output = Answer(self.settings, self._say)
        output.over = True
        return output

    async def _say(self, conversation_id: str, message: Mapping[str, Any]) -> None:
        """LivePerson has no way to call it: it waits for the next answer. Nobody can be asked to take over there."""
        shown = dict(await self.conversations.shown(conversation_id, message))
        if HANDOFF_MARKER in (shown.get("custom") or ()):
            log.warning("A handoff of %s was asked for outside a call: it isn't made.", short_id(conversation_id))
            shown["custom"] = directives_in(shown["custom"])
        words = rendered(shown, self.settings.quick_replies, self.settings.other_bots)
        self._answering.answers.leave(conversation_id, words)
        log.info(
            "%s messages for %s, said outside a call, wait for its next answer.", len(words), short_id(conversation_id)
        )

    async def close(self) -> None:
        """What was begun is finished."""
        await self._answering.close()

    async def _webhook(self, request: Request) -> HTTPResponse:
        arrived = time.time()
        caller, body = open_to_function(request, self.settings.functions, self.settings.body_limit)
        incoming = from_function(body, caller)
        if incoming.kind != TEST:
            return response.json(function_answer(await self.answer(incoming, arrived)))
        if not self.bot.ready:
            raise Rejected(503, "No model is loaded yet.")
        return response.json(CONNECTED)

    async def answer(self, incoming: Incoming, arrived: float) -> list[Saying]:
        """What the bot says to a call, as far as it has said it in time."""
        id, answer = incoming.conversation_id, Answer(self.settings, self._say)
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
            # What came too late to close the conversation is overtaken: the customer has written again.
            answer.messages[:] = [one for one in answer.messages if not (isinstance(one, Action) and one.name == CLOSE)]
            await self._to_bot(incoming, arrived, answer, message, hear)

        async def to_people() -> None:
            await self.conversations.pass_by(message, hear)

        return await self._answering.answer(self.conversations, Call(id, incoming.key, answer, to_bot, to_people))

    async def _to_bot(
        self, incoming: Incoming, arrived: float, answer: Answer, message: UserMessage, hear: Hear
    ) -> None:
        before = len(answer.messages)
        request = await self.conversations.take(
            message,
            arrived,
            hear,
            welcome=incoming.kind == WELCOME,
            parting=lambda: None if _has_words(answer.messages[before:]) else self.settings.handoff_response,
        )
        if not any(isinstance(one, Understood) for one in answer.messages[before:]):
            answer.messages.extend(_understood(message.parse_data or {}))
        if request is not None:
            await self._hand_over(message.sender_id, answer, request)

    async def _hand_over(self, conversation_id: str, answer: Answer, request: HandoffRequest) -> None:
        """The note and the transfer, at the end of one answer: what comes after a transfer isn't shown."""
        if self.settings.transfer_note:
            private = note(request, await self._happened(conversation_id))
            answer.messages.extend([private] if private is not None else [])
        answer.messages.append(transfer(request, self.settings))

    async def _happened(self, conversation_id: str) -> list[dict[str, Any]]:
        try:
            return [event.as_dict() for event in (await self.bot.tracker(conversation_id)).events]
        except Unreachable:  # a note without what was said: nobody waits for it
            return []


def _has_words(said: Sequence[Saying]) -> bool:
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
