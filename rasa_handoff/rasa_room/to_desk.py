"""What a customer says while the desk is active: a button by its title, a payload or ``/restart`` as what it is, words."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import UserMessage

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.choices import PAYLOADS, chosen
from rasa_handoff.rasa_room.incoming import sent
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.relay.relay import Relay
from rasa_handoff.thinking.control import Control, Conversation
from rasa_handoff.thinking.transcript import COMMAND
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import IntentSettings

log = get_log(__name__)

RETURN_SECONDS: Final = 5.0


class ToDesk:
    """The way of a message to the desk. ``too_long``: refuses one."""

    def __init__(
        self,
        intents: IntentSettings,
        relay: Relay,
        bot: Bot,
        reaches: Mapping[str, Reach],
        too_long: Callable[[str, UserMessage], Awaitable[None]],
    ) -> None:
        self._execute, self._ask = f"/{intents.execute}", f"/{intents.options}"
        self._relay, self._bot, self._reaches, self._too_long = relay, bot, reaches, too_long

    async def receive(self, channel: str, message: UserMessage, conversation: Conversation) -> None:
        """Pass it on.

        Raises:
            IllegalEvent: it isn't the desk's any more.
            StoreError: it can't be written down now.
        """
        text = (message.text or "").strip()
        id = message.message_id if sent().id is not None else None
        data = self._reaches[channel].return_data(message.output_channel)
        here: dict[str, Any] = {
            "conversation_id": message.sender_id,
            "sent": id,
            "channel": channel,
            "return_data": data,
        }
        said: dict[str, Any] = {
            "id": message.message_id,
            "text": _as_read(text, message, conversation),
            "at": time.time(),
        }
        if len(said["text"]) > LONGEST_MESSAGE:
            await self._too_long(channel, message)
        elif text in PAYLOADS:
            await self._leave(chosen(text, conversation, here, said))
        elif text.startswith((self._execute, self._ask)):
            await self._relay.apply(e.CustomerAskedAgain(**here))
        elif text.casefold() == conversation.leaving_word.casefold():
            await self._leave(e.CustomerLeaving(**here, **said))
        else:
            try:
                await self._relay.apply(e.CustomerSaid(**here, **said))
            except Refused as problem:
                log.warning("A message of %s wasn't taken: %s", short_id(message.sender_id), problem)
                await self._tell(channel, message, names.UTTER_TOO_MANY)
                sent().refused = (problem.code, str(problem))  # not done: it may be sent again

    async def _tell(self, channel: str, message: UserMessage, response: str) -> None:
        words = await self._bot.say(response, message.sender_id, channel)
        await message.output_channel.send_response(message.sender_id, words)

    async def _leave(self, event: e.Event) -> None:
        """Who leaves is still there: what the bot then says belongs into the same answer."""
        conversation = await self._relay.apply(event)
        if conversation.state is Control.RETURNING:
            with contextlib.suppress(asyncio.TimeoutError):
                returned = self._relay.wait_while(event.conversation_id, {Control.RETURNING})
                await asyncio.wait_for(returned, RETURN_SECONDS)


def _as_read(text: str, message: UserMessage, conversation: Conversation) -> str:
    """The customer's message as a person reads it: a button by its title, what isn't text in words."""
    if text.startswith(COMMAND) and text in conversation.titles:  # a handoff of an older version has other titles too
        return conversation.titles[text]
    own: Any = message.metadata
    attachments = own.get("attachments") if isinstance(own, Mapping) else None
    described = f"[Attachment: {attachments}]" if attachments else ""
    return " ".join(part for part in (text, described) if part) or "[a message without text]"
