"""Pass a customer's message to the desk: as a choice, a repeated request, the wish to leave, or words for the agent."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import UserMessage

from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.choices import (
    NO,
    NUMBER,
    PAYLOADS,
    WAYS_OUT,
    choice_meant,
    event_of,
    payload_meant,
    plain_answer,
)
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.control import ASKING, Control, Conversation
from rasa_handoff.core.conversation import LEAVING_MESSAGE
from rasa_handoff.core.rasa_messages import attachment_parts
from rasa_handoff.core.transcript import COMMAND
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.message_parts import AnyPart, TextPart, in_words, worth_keeping
from rasa_handoff.protocol.values import Line, ShownChoice, Speaker
from rasa_handoff.relay.relay import CUSTOMER, Relay

log = get_log(__name__)

SHOWN_SECONDS: Final = 1.0
"""How long an answer waits until it is known whether its question was shown."""
WORDLESS: Final = "[a message without text]"
RETURN_SECONDS: Final = 5.0
"""How long the request of a customer who leaves waits for the bot's first message."""


class ToDesk:
    """Passes customers' messages to the desk, while that is active. ``too_long`` is called to refuse a message."""

    def __init__(
        self,
        settings: Settings,
        relay: Relay,
        bot: Bot,
        delivery_methods: Mapping[str, DeliveryMethod],
        too_long: Callable[[str, UserMessage], Awaitable[None]],
    ) -> None:
        intents = f"{re.escape(settings.intents.execute)}|{re.escape(settings.intents.options)}"
        # As Rasa reads it: an intent, perhaps with entities. What merely begins so is said to the agent.
        self._asks_again = re.compile(rf"/({intents})\s*(\{{.*\}})?", re.DOTALL)
        self._start_payloads = settings.start_payloads
        self._relay, self._bot, self._delivery_methods, self._too_long = relay, bot, delivery_methods, too_long

    async def receive(
        self, channel: str, message: UserMessage, conversation: Conversation, is_first: bool = False
    ) -> None:
        """Apply the event that this message means: a choice, a repeated request, leaving, or a message for the agent.

        A request without a message, on a channel that can't push, only fetches what waits; what a widget sends when it is opened
        means nothing. ``is_first``: the inbox isn't known to have the message.

        Raises:
            IllegalEvent: the desk is no longer active.
            CameBefore: the inbox has it, although it should be the first.
            StoreError: the event can't be stored now.
        """
        if only_fetches(message, self._delivery_methods[channel]):
            return
        if (message.text or "").strip() in self._start_payloads:
            return
        said, text = message_facts().said, (message.text or "").strip()
        if not said.parts:
            conversation = await self._with_what_was_shown(text, conversation)
            text = await self._named_payload(text, conversation)
        common = self._common_fields(channel, message, is_first)
        chosen = _chosen(text, conversation)
        parts = (TextPart(text=chosen.title),) if chosen is not None else _parts(text, message, conversation)
        content: dict[str, Any] = {
            "id": message.message_id,
            "text": in_words(parts) or WORDLESS,
            "at": time.time(),
        }
        if len(content["text"]) > LONGEST_MESSAGE:
            await self._too_long(channel, message)
        # What has a picture is no answer to a question of ours, and what answers an agent's is for the agent.
        elif said.parts or said.is_change or chosen is not None:
            await self._say(channel, message, events.CustomerSaid(**common, **content, parts=worth_keeping(parts)))
        elif text in PAYLOADS or (text in WAYS_OUT and conversation.state in LEAVING_MESSAGE):
            await self._apply(event_of(text, conversation, common, content))
        elif self._asks_again.fullmatch(text):
            await self._relay.apply(events.CustomerAskedAgain(**common))
        elif text.casefold() == conversation.leaving_word.casefold():
            await self._apply(events.CustomerLeaving(**common, **content))
        else:
            await self._say(channel, message, events.CustomerSaid(**common, **content, parts=worth_keeping(parts)))

    async def _say(self, channel: str, message: UserMessage, said: events.CustomerSaid) -> None:
        """Say it to the agent; the customer hears if too much waits for the desk already."""
        try:
            await self._apply(said)
        except Refused as problem:
            log.warning("A message of %s was not accepted: %s", short_id(message.sender_id), problem)
            await self._tell(channel, message, names.UTTER_TOO_MANY)
            message_facts().refused = (problem.code, str(problem))  # not noted as done: it may be sent again

    def _common_fields(self, channel: str, message: UserMessage, is_first: bool) -> dict[str, Any]:
        """Return the fields that each event of a customer's message has."""
        return {
            "conversation_id": message.sender_id,
            "inbox_id": message.message_id if message_facts().id is not None else None,
            "is_first": is_first,
            "channel": channel,
            "return_data": self._delivery_methods[channel].return_data(message.output_channel),
        }

    async def _named_payload(self, text: str, conversation: Conversation) -> str:
        """Return the payload of the choice that the text names, if a question is open; else the text itself, without blanks."""
        text = text.strip()
        if conversation.state is Control.CONTACT and plain_answer(text) == NO:
            return names.WITHOUT_CONTACT_PAYLOAD
        asked = conversation.state is Control.CONTACT or (conversation.state is Control.WAITING and conversation.asked)
        if asked and not conversation.choices:
            # The customer answers at once, and that they were shown the question isn't stored yet.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._relay.flush(CUSTOMER, conversation.conversation_id), SHOWN_SECONDS)
            conversation = self._relay.conversation(conversation.conversation_id)
        payload = payload_meant(text, conversation.choices)
        return payload if payload in PAYLOADS else text

    async def _with_what_was_shown(self, text: str, conversation: Conversation) -> Conversation:
        """Return the conversation with the question that a number answers, which may not be known as shown yet."""
        lane = conversation.conversation_id
        if not NUMBER.fullmatch(plain_answer(text)) or not self._relay.delivers(CUSTOMER, lane):
            return conversation
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._relay.flush(CUSTOMER, lane), SHOWN_SECONDS)
        return self._relay.conversation(lane)

    async def _tell(self, channel: str, message: UserMessage, response: str) -> None:
        notice = await self._bot.render_safely(response, message.sender_id, channel)
        await message.output_channel.send_response(message.sender_id, notice)

    async def _apply(self, event: events.Event) -> None:
        """Apply the event; if the customer leaves, wait briefly, so that the bot's message is part of the same response."""
        conversation = await self._relay.apply(event)
        if conversation.state is Control.RETURNING:
            with contextlib.suppress(asyncio.TimeoutError):
                returned = self._relay.wait_while(event.conversation_id, {Control.RETURNING})
                await asyncio.wait_for(returned, RETURN_SECONDS)


def _chosen(text: str, conversation: Conversation) -> ShownChoice | None:
    """Return the choice of an agent's question that the customer names; None if there is none."""
    said = message_facts().said
    if conversation.state in ASKING or said.parts or said.is_change:
        return None
    return choice_meant(text, conversation.choices)


def _parts(text: str, message: UserMessage, conversation: Conversation) -> tuple[AnyPart, ...]:
    """Return the customer's message as a person reads it: buttons by their titles, and what came with it."""
    said = message_facts().said
    if text.startswith(COMMAND) and text in conversation.titles:  # only payloads: older versions kept other titles too
        return (TextPart(text=conversation.titles[text]),)
    shown = text if said.words is None else said.words.strip()
    return *((TextPart(text=shown),) if shown else ()), *_beside_words(message)


def parts_beyond_text(message: UserMessage) -> tuple[AnyPart, ...]:
    """Return a message's parts where they tell more than its text and what stands in its metadata; none where they don't."""
    said = message_facts().said
    if not said.parts and said.words is None:
        return ()
    words = (message.text or "").strip() if said.words is None else said.words
    return *((TextPart(text=words),) if words else ()), *(worth_keeping(said.parts) or said.parts)


def line_of(message: UserMessage, at: float) -> Line:
    """Return a message as a line of the transcript."""
    parts = parts_beyond_text(message) or ((TextPart(text=message.text),) if message.text else ())
    return Line(
        speaker=Speaker.CUSTOMER, text=in_words(parts)[:LONGEST_MESSAGE] or WORDLESS, at=at, parts=worth_keeping(parts)
    )


def _beside_words(message: UserMessage) -> tuple[AnyPart, ...]:
    return message_facts().said.parts or attachment_parts(_attachments(message))


def only_fetches(message: UserMessage, method: DeliveryMethod) -> bool:
    """Return whether a request has no message, and only fetches what waits, as it can on a channel that can't push."""
    return message.text is None and not _attachments(message) and not method.push


def _attachments(message: UserMessage) -> Any:
    own: Any = message.metadata
    return own.get("attachments") if isinstance(own, Mapping) else None
