"""What the account webhook tells, taken into Rasa's tracker: words of a handed-over conversation, and its end.

The rules:

1. Only conversations the bot knows; the webhook tells of the whole account.
2. Agents' words are written down as they come: they change nothing for the bot.
3. Customers' words are written down while people have the conversation; else they come to the bot's own webhook. Both webhooks
   tell of the first words after the way back, in any order: so they wait, in case the bot gets them.
4. A conversation that is resolved or given to one of our bots is resumed; given to a bot, the bot speaks, if it can.
"""

import asyncio
import time
from typing import Any, Final

from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.platforms.conversations import Conversations, last_handoff
from rasa_handoff.platforms.kommunicate.account import Seen
from rasa_handoff.platforms.kommunicate.outside import Outside
from rasa_handoff.platforms.kommunicate.writing import rendered
from rasa_handoff.rasa_room.bot import AGAIN_SECONDS, Bot
from rasa_handoff.rasa_room.tracker import agent, customer
from rasa_handoff.rasa_room.turns import Turns
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

PLATFORMS_BOT: Final = "bot"
"""The id of the bot every account has, which speaks for the platform: away messages and the like."""
DONE_WITHIN: Final = 60.0
"""Seconds in which a tracker store that is away may come back."""
PREFIX: Final = "account:"
"""Before a key in the tracker: the bot's webhook knows by the bare key what the bot has answered."""


class Witness:
    """Takes what was seen, in order for each conversation. ``channel``: the platform's name in Rasa."""

    def __init__(
        self, bot: Bot, conversations: Conversations, outside: Outside, settings: KommunicateSettings, channel: str
    ) -> None:
        self._bot, self._conversations, self._outside = bot, conversations, outside
        self._settings, self._channel = settings, channel
        self._turns = Turns()

    async def take(self, seen: Seen, arrived: float) -> None:
        """Note it, or let it take effect, as soon as the tracker store is there. ``arrived``: when the call came.

        Raises:
            Unreachable: it couldn't be done within ``DONE_WITHIN`` seconds; the platform may call again.
        """
        async with self._turns.turn(seen.conversation_id):
            while True:
                try:
                    return await self._take(seen, arrived)
                except Unreachable as problem:
                    if time.time() - arrived > DONE_WITHIN:
                        raise
                    log.warning("What was said in %s waits: %s", short_id(seen.conversation_id), problem)
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, seen: Seen, arrived: float) -> None:
        if not await self._bot.knows(seen.conversation_id):
            log.debug("The conversation %s isn't a bot's of ours.", short_id(seen.conversation_id))
        elif seen.over or seen.assignee in self._settings.bots:
            await self._back(seen)
        elif seen.shown and seen.words and seen.sender not in (*self._settings.bots, PLATFORMS_BOT, None):
            await self._note(seen, arrived)

    async def _back(self, seen: Seen) -> None:
        given = not seen.over and self._settings.api_key is not None
        words = await self._conversations.end(seen.conversation_id, seen.at, seen.text or None, speak=given)
        if words and seen.assignee is not None:
            messages = [message for one in words for message in rendered(one)]
            await self._outside.tell(seen.conversation_id, seen.assignee, messages)

    async def _note(self, seen: Seen, arrived: float) -> None:
        theirs = seen.sender in _customers(await self._bot.tracker(seen.conversation_id))
        if theirs:
            await asyncio.sleep(max(0.0, arrived + self._settings.crossing_seconds - time.time()))
        async with self._conversations.turn(seen.conversation_id):
            tracker = await self._bot.tracker(seen.conversation_id)
            if _is_known(tracker, seen.key) or (theirs and not tracker.is_paused()):
                return
            async with self._bot.locked(seen.conversation_id) as tracker:
                tracker.update_with_events(self._events(tracker, seen, theirs), self._bot.domain)

    def _events(self, tracker: DialogueStateTracker, seen: Seen, theirs: bool) -> list[Event]:
        body: dict[str, Any] = {
            "handoff_id": last_handoff(tracker),
            "id": f"{PREFIX}{seen.key}",
            "text": seen.words,
            "agent": None if theirs else seen.sender,
            "at": seen.at or time.time(),
            "attachments": [dict(seen.file)] if seen.file else None,
        }
        return (customer if theirs else agent)(tracker, body, self._channel)


def _customers(tracker: DialogueStateTracker) -> set[str]:
    """The ids of whoever has written to the bot in this conversation."""
    told = ((event.metadata or {}).get("kommunicate") for event in tracker.events)
    return {str(one["user_id"]) for one in told if isinstance(one, dict) and one.get("user_id")}


def _is_known(tracker: DialogueStateTracker, key: str) -> bool:
    """Whether the message is in the tracker, by either webhook."""
    for event in reversed(tracker.events):
        ids = (getattr(event, "message_id", None), (event.metadata or {}).get("handoff_message_id"))
        if key in ids or f"{PREFIX}{key}" in ids:
            return True
    return False
