"""Trackers that are paused for a handoff the relay doesn't know: its database was lost, or nothing came of an action's pause.

Looked at with a customer's first message in a process, and with the one after a turn that said nothing or asked for a handoff:
the desk is asked whether an agent has the conversation; if none has, it is resumed. A customer is never left with nobody. A
pause of the project's own, without a handoff (``pauses.py``), stays one: who paused resumes.
"""

import asyncio
import time
from typing import Any, Final

from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.desks.base import Desk
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.pauses import paused_for_handoff
from rasa_handoff.rasa_room.tracker import resumed
from rasa_handoff.relay.relay import Relay
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Refused, Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Agent, Offer

log = get_log(__name__)

ASKS_EVERY: Final = 0.2
MOST: Final = 100_000
"""Conversations remembered as looked at; beyond that the memory starts anew, at the cost of a look each."""


class Strays:
    """Finds them, and brings them home."""

    def __init__(self, bot: Bot, relay: Relay, desk: Desk, settings: Settings) -> None:
        self._bot, self._relay, self._desk, self._settings = bot, relay, desk, settings
        self._looked_at: set[str] = set()

    async def bring_home(self, conversation_id: str, channel: str) -> None:
        """Look at this conversation, unless that was done before."""
        if conversation_id in self._looked_at or not self._bot.ready:
            return
        try:
            tracker = await self._bot.tracker(conversation_id)
        except Unreachable:  # nobody can see whether it is paused; the desk knows whether an agent has it
            await self._adopted(conversation_id, channel)
            return
        if self._is_stray(tracker) and not await self._adopted(conversation_id, channel):
            log.warning(
                "%s was paused for a handoff and nobody has the conversation: the bot goes on.",
                short_id(conversation_id),
            )
            async with self._bot.locked(conversation_id) as tracker:
                tracker.update_with_events(resumed(tracker), self._bot.domain)
        if len(self._looked_at) >= MOST:
            self._looked_at.clear()
        self._looked_at.add(conversation_id)  # only now: a look that failed, at a locked database, is taken again

    def _is_stray(self, tracker: DialogueStateTracker) -> bool:
        return paused_for_handoff(tracker, self._settings.intents.execute)

    def look_again(self, conversation_id: str) -> None:
        """The bot was silent, or asked for a handoff of which nothing came: it may be paused."""
        self._looked_at.discard(conversation_id)

    async def _find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """Ask the desk. Right after a start it may not be connected yet, and a bot must not speak beside an agent."""
        deadline = time.monotonic() + self._settings.start_timeout
        while True:
            try:
                return await self._desk.find(conversation_id)
            except (Unreachable, Refused) as problem:
                if isinstance(problem, Refused) or time.monotonic() > deadline:
                    log.warning("The desk couldn't be asked about %s: %s", short_id(conversation_id), problem)
                    return None
            await asyncio.sleep(ASKS_EVERY)

    async def _adopted(self, conversation_id: str, channel: str) -> bool:
        found = await self._find(conversation_id)
        if found is None:
            return False
        offer, agent = found
        log.warning(
            "%s is with an agent, which this relay had forgotten: the handoff goes on.", short_id(conversation_id)
        )
        word = self._settings.leaving_word(offer.language)
        here: dict[str, Any] = {"conversation_id": conversation_id, "handoff_id": offer.handoff_id}
        await self._relay.apply(e.HandoffAdopted(**here, offer=offer, leaving_word=word, channel=channel))
        if agent is not None:
            await self._relay.apply(e.AgentJoined(**here, agent=agent))
        return True
