"""Orphaned pauses: trackers that are paused for a handoff which the relay doesn't know.

The relay's database was lost, or an action paused and no handoff came of it. A conversation is checked at its first message in a
process, and at the next message after a turn that said nothing or asked for a handoff. The desk is asked whether an agent has the
conversation; if none has, the bot resumes, so that no customer is left without both.

A pause of the project's own, without a handoff, is left alone, and ends when the project resumes.
"""

import asyncio
import time
from typing import Any, Final

from rasa.shared.core.events import BotUttered, ConversationPaused, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.tracker_writer import resume_events
from rasa_handoff.channel.turn.handoff_request import intent_of
from rasa_handoff.desks.base import Desk
from rasa_handoff.protocol import events as relay_events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import MarkerError, Refused, StoreUnavailable, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest, read_marker
from rasa_handoff.protocol.values import Agent, Offer
from rasa_handoff.relay.relay import Relay

log = get_log(__name__)

ASKS_EVERY: Final = 0.2
"""Seconds between two attempts to ask the desk."""
ANOTHERS: Final = "Another Rasa server with another database speaks for this bot, and knows who has this conversation."
MOST: Final = 100_000
"""Conversations remembered as checked. Beyond that all are forgotten, and checked once more."""


def paused_for_handoff(tracker: DialogueStateTracker, execute: str) -> bool:
    """Return whether the conversation is paused for a handoff.

    The pause then carries a handoff's id, or was made in a turn that asked for a handoff, by a marker or by the intent
    ``execute``. Any other ``ConversationPaused()`` is the project's own.
    """
    if not tracker.is_paused():
        return False
    events = list(tracker.events)
    pauses = [index for index, event in enumerate(events) if isinstance(event, ConversationPaused)]
    if not pauses:
        return False
    if (events[pauses[-1]].metadata or {}).get("handoff_id") is not None:
        return True
    return any(_asks(event, execute) for event in _turn_around(events, pauses[-1]))


def _turn_around(events: list[Any], index: int) -> list[Any]:
    """Return the events of the turn that contains the event at this index."""
    users = [user for user, event in enumerate(events) if isinstance(event, UserUttered)]
    start = max((user for user in users if user < index), default=0)
    end = min((user for user in users if user > index), default=len(events))
    return events[start:end]


def _asks(event: Any, execute: str) -> bool:
    if isinstance(event, UserUttered):
        return intent_of(event.parse_data or {}) == execute
    if not isinstance(event, BotUttered):
        return False
    try:
        return isinstance(read_marker((event.data or {}).get("custom")), HandoffRequest)
    except MarkerError:  # it can't be read, but it asked for a handoff
        return True


class OrphanedPauses:
    """Finds orphaned pauses and ends them, or continues their handoff."""

    def __init__(self, bot: Bot, relay: Relay, desk: Desk, settings: Settings) -> None:
        self._bot, self._relay, self._desk, self._settings = bot, relay, desk, settings
        self._checked: set[str] = set()

    async def resume_orphan(self, conversation_id: str, channel: str) -> None:
        """Check this conversation, unless that was done before, and resume it if its pause is orphaned."""
        if conversation_id in self._checked or not self._bot.ready:
            return
        try:
            is_paused = await self._is_paused_for_handoff(conversation_id)
        except Unreachable:  # the tracker is unknown, but the desk knows whether an agent has the conversation
            await self._adopt(conversation_id, channel)
            return
        if is_paused and not await self._adopt(conversation_id, channel):
            log.warning(
                "%s was paused for a handoff and nobody has the conversation: the bot goes on.",
                short_id(conversation_id),
            )
            async with self._bot.locked(conversation_id) as tracker:
                tracker.update_with_events(resume_events(tracker), self._bot.domain)
        if len(self._checked) >= MOST:
            self._checked.clear()
        # Last, so that a check that raised, at a locked database for example, is repeated.
        self._checked.add(conversation_id)

    async def _is_paused_for_handoff(self, conversation_id: str) -> bool:
        if not await self._bot.may_be_paused(conversation_id):
            return False
        return paused_for_handoff(await self._bot.tracker(conversation_id), self._settings.intents.execute)

    def look_again(self, conversation_id: str) -> None:
        """Check this conversation again: the bot was silent, or asked for a handoff that didn't start, and may be paused."""
        self._checked.discard(conversation_id)

    async def _find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """Ask the desk for the conversation's handoff and agent.

        Waits for the desk, which may not be connected yet after a start, since a bot must not speak beside an agent.

        Raises:
            StoreUnavailable: another Rasa server knows it; this one's database isn't the bot's.
        """
        deadline = time.monotonic() + self._settings.start_timeout
        while True:
            try:
                return await self._desk.find(conversation_id)
            except (Unreachable, Refused) as problem:
                if isinstance(problem, Refused) or time.monotonic() > deadline:
                    if self._desk.serves_another:
                        raise StoreUnavailable(ANOTHERS) from problem
                    log.warning("The desk couldn't be asked about %s: %s", short_id(conversation_id), problem)
                    return None
            await asyncio.sleep(ASKS_EVERY)

    async def _adopt(self, conversation_id: str, channel: str) -> bool:
        """Continue the handoff that the desk has of this conversation; return whether there is one."""
        found = await self._find(conversation_id)
        if found is None:
            return False
        offer, agent = found
        log.warning(
            "%s is with an agent, which this relay had forgotten: the handoff goes on.", short_id(conversation_id)
        )
        word = self._settings.leaving_word(offer.language)
        common: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": offer.handoff_id}
        await self._relay.apply(relay_events.HandoffAdopted(**common, offer=offer, leaving_word=word, channel=channel))
        if agent is not None:
            await self._relay.apply(relay_events.AgentJoined(**common, agent=agent))
        return True
