"""Events of the account webhook, and messages that the bot says outside a call.

The rules for events:

1. Only conversations that the bot knows count; the webhook reports the whole account.
2. Agents' messages are written to the tracker as they come: they change nothing for the bot.
3. Customers' messages are written to the tracker while people have the conversation; otherwise they come to the bot's own
   webhook. Both webhooks report the first message after the return, in any order. So a message of a customer waits here for
   ``crossing_seconds``, and is not written if the bot has it by then.
4. A conversation that is resolved or given to one of our bots is resumed. If it is given to a bot, and there is the REST
   API to say something by, the bot speaks.

Outside a call the bot speaks by a reminder, a triggered intent or an action run by the HTTP API. With Kommunicate's REST API such
messages are sent at once, otherwise with the next answer. While people have the conversation the bot stays silent, but may still
resolve it or give it back (``handoff.py``).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel
from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.inbound.turn_lock import TurnLock, WorkUnderWay
from rasa_handoff.channel.tracker.bot import AGAIN_SECONDS, Bot
from rasa_handoff.channel.tracker.tracker_writer import agent_event, customer_event
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.platforms.kommunicate.api import Api, carry_out
from rasa_handoff.platforms.kommunicate.handoff import (
    DeskAction,
    KommunicateMessage,
    assignment,
    hands_over,
    split_directives,
)
from rasa_handoff.platforms.kommunicate.messages import rendered
from rasa_handoff.platforms.kommunicate.requests import AccountEvent
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.platforms.tracker_changes import last_handoff
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest, read_marker
from rasa_handoff.protocol.outbox_bodies import AgentSaidBody, CustomerSaidBody

log = get_log(__name__)

PLATFORMS_BOT: Final = "bot"
"""The id of the bot that every account has. It speaks for the platform: away messages and the like."""
DONE_WITHIN: Final = 60.0
"""Seconds for which an event waits for a tracker store that is unavailable."""
PREFIX: Final = "account:"
"""Before a message's key in the tracker: the bare key marks messages that came by the bot's webhook."""


class UnpromptedMessages:
    """Says messages outside a call, in order. It works beside the turn that says them, since the turn holds Rasa's lock."""

    def __init__(
        self,
        bot: Bot,
        conversations: Conversations,
        settings: KommunicateSettings,
        api: Api | None,
        work: WorkUnderWay,
    ) -> None:
        self._bot, self._conversations, self._settings = bot, conversations, settings
        self._api, self._work = api, work
        self._turns = TurnLock()

    async def say(self, conversation_id: str, message: Mapping[str, Any]) -> None:
        """Say one of Rasa's messages soon, and carry out what it asks for."""
        self._work.begin(self._say(conversation_id, dict(message)))

    async def send(
        self,
        conversation_id: str,
        bot_id: str,
        messages: list[KommunicateMessage],
        desk_actions: Iterable[DeskAction] = (),
    ) -> None:
        """Send messages and carry out desk actions now, in this bot's name; what can't be sent waits for the next answer."""
        actions = list(desk_actions)

        async def push(messages: list[KommunicateMessage]) -> list[KommunicateMessage]:
            return await carry_out(actions, self._api, bot_id, conversation_id, messages)

        await self._conversations.memory.push_late(conversation_id, messages, push)

    async def _say(self, conversation_id: str, message: dict[str, Any]) -> None:
        async with self._turns.turn(conversation_id):
            tracker = await self._bot.tracker_when_back(conversation_id)
            shown, desk_actions = split_directives(
                await self._conversations.shown(conversation_id, message), self._settings
            )
            if tracker.is_paused():
                log.warning("The bot stays silent for %s: people have the conversation.", short_id(conversation_id))
                messages = []
            else:
                messages = self._rendered(shown)
                if any(hands_over(one, self._settings.bots) for one in messages) or any(
                    self._assigns_people(desk_action) for desk_action in desk_actions
                ):
                    await self._conversations.leave_to_people(conversation_id)
            await self.send(conversation_id, self._bot_of(tracker), messages, desk_actions)

    def _rendered(self, message: Mapping[str, Any]) -> list[KommunicateMessage]:
        """Translate one of Rasa's messages, with the handoff that its marker asks for."""
        marker = read_marker(message.get("custom"))
        if not isinstance(marker, HandoffRequest):
            return rendered(message)
        handing_over = {"message": "", "metadata": assignment(marker, self._settings)}
        return [*rendered({**message, "custom": None}), handing_over]

    def _assigns_people(self, desk_action: DeskAction) -> bool:
        return desk_action.assign is not None and desk_action.assign not in self._settings.bots

    def _bot_of(self, tracker: DialogueStateTracker) -> str:
        """Return the bot in whose name a message is sent: the one that the customer wrote to last."""
        for event in reversed(tracker.events):
            known = (event.metadata or {}).get("kommunicate")
            if isinstance(known, Mapping) and known.get("bot_id") in self._settings.bots:
                return str(known["bot_id"])
        return next(iter(self._settings.bots))


class UnpromptedOutput(OutputChannel):
    """Rasa's output channel for messages outside a call."""

    has_own_desk = True

    def __init__(self, unprompted: UnpromptedMessages) -> None:
        self._unprompted = unprompted

    @classmethod
    def name(cls) -> str:
        """Return the name by which Rasa chooses channel-specific responses."""
        return "kommunicate"

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Say one of Rasa's messages as a whole."""
        await self._unprompted.say(recipient_id, message)

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """Say a text, for code that doesn't use ``send_response``."""
        await self._unprompted.say(recipient_id, {"text": text})


class AccountEvents:
    """Takes account events, in order for each conversation. ``channel``: the platform's name in Rasa."""

    def __init__(
        self,
        bot: Bot,
        conversations: Conversations,
        unprompted: UnpromptedMessages,
        settings: KommunicateSettings,
        channel: str,
    ) -> None:
        self._bot, self._conversations, self._unprompted = bot, conversations, unprompted
        self._settings, self._channel = settings, channel
        self._turns = TurnLock()

    async def take(self, event: AccountEvent, arrived: float) -> None:
        """Write an event to the tracker, or let it take effect, once the tracker store is available.

        ``arrived``: when the call came.

        Raises:
            Unreachable: the store wasn't available within ``DONE_WITHIN`` seconds; the platform may call again.
        """
        async with self._turns.turn(event.conversation_id):
            while True:
                try:
                    return await self._take(event, arrived)
                except Unreachable as problem:
                    if time.time() - arrived > DONE_WITHIN:
                        raise
                    log.warning("An account event of %s waits: %s", short_id(event.conversation_id), problem)
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, event: AccountEvent, arrived: float) -> None:
        if not await self._bot.knows(event.conversation_id):
            log.debug("The conversation %s isn't one of our bots'.", short_id(event.conversation_id))
        elif event.over or event.assignee in self._settings.bots:
            await self._end_handoff(event)
        elif event.shown and event.full_text and event.sender not in (*self._settings.bots, PLATFORMS_BOT, None):
            await self._note(event, arrived)

    async def _end_handoff(self, event: AccountEvent) -> None:
        speak = not event.over and self._settings.api_key is not None
        responses = await self._conversations.end(event.conversation_id, event.at, event.text or None, speak=speak)
        if responses and event.assignee is not None:
            messages = [message for response in responses for message in rendered(response)]
            await self._unprompted.send(event.conversation_id, event.assignee, messages)

    async def _note(self, event: AccountEvent, arrived: float) -> None:
        from_customer = event.sender in _customers(await self._bot.tracker(event.conversation_id))
        if from_customer:
            await asyncio.sleep(max(0.0, arrived + self._settings.crossing_seconds - time.time()))
        async with self._conversations.turn(event.conversation_id):
            if not _is_to_be_noted(await self._bot.tracker(event.conversation_id), event, from_customer):
                return
            async with self._bot.locked(event.conversation_id) as tracker:
                if _is_to_be_noted(tracker, event, from_customer):  # another process may just have written it
                    tracker.update(self._event_of(tracker, event, from_customer), self._bot.domain)

    def _event_of(self, tracker: DialogueStateTracker, event: AccountEvent, from_customer: bool) -> Event:
        said: dict[str, Any] = {
            "handoff_id": last_handoff(tracker),
            "id": f"{PREFIX}{event.key}",
            "text": event.full_text,
            "at": event.at or time.time(),
            "attachments": [dict(event.file)] if event.file else [],
        }
        if from_customer:
            return customer_event(CustomerSaidBody(**said), self._channel)
        return agent_event(AgentSaidBody(**said, agent=event.sender))


def _customers(tracker: DialogueStateTracker) -> set[str]:
    """Return the ids of everybody who has written to the bot in this conversation."""
    senders = ((event.metadata or {}).get("kommunicate") for event in tracker.events)
    return {str(sender["user_id"]) for sender in senders if isinstance(sender, dict) and sender.get("user_id")}


def _is_to_be_noted(tracker: DialogueStateTracker, event: AccountEvent, from_customer: bool) -> bool:
    """Return whether a message isn't in the tracker yet, and people have the conversation if a customer says it."""
    return not _is_known(tracker, event.key) and (tracker.is_paused() or not from_customer)


def _is_known(tracker: DialogueStateTracker, key: str) -> bool:
    """Return whether the message is in the tracker, by either webhook."""
    for event in reversed(tracker.events):
        ids = (getattr(event, "message_id", None), (event.metadata or {}).get("handoff_message_id"))
        if key in ids or f"{PREFIX}{key}" in ids:
            return True
    return False
