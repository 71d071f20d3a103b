"""A message that wasn't taken: its customer is told, however it failed. An error of a turn is never silence.

1. The words go the way the bot's own go: into the answer, to the socket, to the vendor. They need neither the tracker nor the
   domain: where those fail too, they are the preset's.
2. A page that acknowledges hears it in the acknowledgement of its message.
3. A channel that can push, and doesn't take the words now, gets them by the outbox.
"""

import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from rasa.core.channels.channel import UserMessage
from rasa.core.channels.rest import QueueOutputChannel

from rasa_handoff.guard.recent import Recent
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.customers import Customers
from rasa_handoff.rasa_room.incoming import sent
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import HandoffError, StoreError
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

TRACE_SECONDS: Final = 60.0
"""How long the trace of an error that comes again isn't written again."""
MOST_PLACES: Final = 1_000


class Refusing:
    """Tells customers. ``reaches``: the hosted channels' ways, by name."""

    def __init__(self, bot: Bot, customers: Customers, reaches: Mapping[str, Reach]) -> None:
        self._bot, self._customers, self._reaches = bot, customers, reaches
        self._traced: dict[tuple[Any, ...], float] = Recent(MOST_PLACES)

    async def failed(self, channel: str, message: UserMessage, problem: BaseException) -> None:
        """The turn failed, in the bot, in its channel or in us: told and logged, once each.

        Raises:
            the problem: if nobody can be told, so that the sender's side may know.
        """
        trace = None if isinstance(problem, HandoffError) or self._traced_lately(problem) else problem
        log.error(
            "A message of %s on %s was not taken: %r", short_id(message.sender_id), channel, problem, exc_info=trace
        )
        sent().refused = ("failed", "Your message could not be handled.")
        if self._hears_by_acknowledgement(channel):
            return
        words = await self._bot.say(names.UTTER_NOT_TAKEN, message.sender_id, channel)
        try:
            await self._send(message, words)
        except Exception as second:
            log.warning("That couldn't be told to %s now: %r", short_id(message.sender_id), second)
            if not self._reaches[channel].push:
                raise problem from None
            await self._customers.tell_later(channel, message, words)

    def _traced_lately(self, problem: BaseException) -> bool:
        """Whether the log has where this comes from already: customers mustn't be able to fill it."""
        last = traceback.extract_tb(problem.__traceback__)[-1:]
        place = (type(problem).__name__, *((frame.filename, frame.lineno) for frame in last))
        now = time.monotonic()
        lately = now - self._traced.get(place, -TRACE_SECONDS) < TRACE_SECONDS
        if not lately:
            self._traced[place] = now
        return lately

    async def too_long(self, channel: str, message: UserMessage) -> None:
        """A message of more than ``LONGEST_MESSAGE`` characters, to the bot or to an agent: refused for good."""
        log.warning("A message of %s has %s characters: refused.", short_id(message.sender_id), len(message.text or ""))
        words = await self._bot.say(names.UTTER_TOO_LONG, message.sender_id, channel)
        await message.output_channel.send_response(message.sender_id, words)
        if self._hears_by_acknowledgement(channel):
            sent().refused = ("too_long", f"A message has at most {LONGEST_MESSAGE:,} characters.")

    async def unwritable(self, channel: str, message: UserMessage, problem: StoreError) -> None:
        """Nothing can be written down now: better said than accepted and lost.

        Raises:
            StoreError: if the sender's side has given the message an id, and so may send it again.
        """
        if self._hears_by_acknowledgement(channel):
            raise problem
        words = await self._bot.say(names.UTTER_NOT_TAKEN, message.sender_id, channel)
        await self._send(message, words)
        if sent().id is not None and not isinstance(message.output_channel, QueueOutputChannel):
            raise problem
        log.error("A message of %s on %s was not taken: %s", short_id(message.sender_id), channel, problem)

    async def tell(self, channel: str, message: UserMessage, response: str) -> None:
        """Say this at once, if that can be done."""
        try:
            await self._send(message, await self._bot.say(response, message.sender_id, channel))
        except Exception as problem:
            log.warning("%s couldn't be told to %s now: %r", response, short_id(message.sender_id), problem)

    def _hears_by_acknowledgement(self, channel: str) -> bool:
        return sent().keeps and sent().id is not None and self._reaches[channel].push

    async def _send(self, message: UserMessage, words: dict[str, Any]) -> None:
        # The class's own: on this object it may be watched, or lead to the outbox, which may not be writable either.
        output = message.output_channel
        await type(output).send_response(output, message.sender_id, dict(words))
