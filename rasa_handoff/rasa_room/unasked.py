"""Turns that no message of the customer's began: reminders, triggers, actions run from outside.

Markers and directives don't reach the front end there either.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.rasa_room.bot_turn import BotTurn
from rasa_handoff.rasa_room.closing import Closing
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)


class Unasked:
    """What HandoffChannel puts around them (``guards.py``)."""

    def __init__(self, turn: BotTurn, closing: Closing) -> None:
        self._turn, self._closing = turn, closing

    @asynccontextmanager
    async def around(self, conversation_id: str, output: OutputChannel) -> AsyncIterator[None]:
        """Around such a turn. A handoff needs a message of the customer's, which it answers; closing doesn't."""
        if getattr(output, "has_own_desk", False):  # a platform's, which sees to it itself
            yield
            return
        with self._turn.watching(output, conversation_id) as watch:
            yield
        if watch.request is not None:
            log.warning(
                "A handoff of %s was asked for outside a message of theirs: it isn't made.", short_id(conversation_id)
            )
        if watch.close:
            await self._closing.tell(conversation_id, output.name(), output)
