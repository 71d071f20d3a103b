"""Notices to customers whose message was not accepted. No failed turn ends in silence.

1. The notice goes the way the bot's own messages go: into the response, to the socket, to the vendor. It needs neither the
   tracker nor the domain: where those fail too, the preset's text is used.
2. A page that asks for acknowledgements gets no notice: the acknowledgement of its message is a refusal. Only if its message is
   too long does it get both.
3. If a channel that can push doesn't take the notice now, the notice goes into the outbox.
"""

import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from rasa.core.channels.channel import UserMessage
from rasa.core.channels.rest import QueueOutputChannel

from rasa_handoff.channel.compat.rasa_channels import send_directly
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.customers import Customers
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol import names
from rasa_handoff.protocol.errors import HandoffError, StoreError
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

TRACE_SECONDS: Final = 60.0
"""How long the traceback of a repeated error is left out of the log."""
MOST_PLACES: Final = 1_000
"""Places in the code whose last traceback is remembered."""


class FailureNotices:
    """Sends the notices. ``delivery_methods``: the delivery methods of the hosted channels, by name."""

    def __init__(self, bot: Bot, customers: Customers, delivery_methods: Mapping[str, DeliveryMethod]) -> None:
        self._bot, self._customers, self._delivery_methods = bot, customers, delivery_methods
        self._traced: dict[tuple[Any, ...], float] = Recent(MOST_PLACES)

    async def failed(self, channel: str, message: UserMessage, problem: BaseException) -> None:
        """Log that a turn failed, in the bot, its channel or this package, and notify the customer.

        Raises:
            BaseException: the problem itself, if the notice can't be delivered in any way: the request then gets an error.
        """
        trace = None if isinstance(problem, HandoffError) or self._traced_lately(problem) else problem
        log.error(
            "A message of %s on %s was not accepted: %r", short_id(message.sender_id), channel, problem, exc_info=trace
        )
        message_facts().refused = ("failed", "Your message could not be handled.")
        if self._hears_by_acknowledgement(channel):
            return
        notice = await self._bot.render_safely(names.UTTER_NOT_TAKEN, message.sender_id, channel)
        try:
            await self._send(message, notice)
        except Exception as second:
            log.warning("The notice could not be sent to %s now: %r", short_id(message.sender_id), second)
            if not self._delivery_methods[channel].push:
                raise problem from None
            await self._customers.send_later(channel, message, notice)

    def _traced_lately(self, problem: BaseException) -> bool:
        """Return whether the log had a traceback from this place lately: customers must not be able to fill it."""
        last = traceback.extract_tb(problem.__traceback__)[-1:]
        place = (type(problem).__name__, *((frame.filename, frame.lineno) for frame in last))
        now = time.monotonic()
        lately = now - self._traced.get(place, -TRACE_SECONDS) < TRACE_SECONDS
        if not lately:
            self._traced[place] = now
        return lately

    async def too_long(self, channel: str, message: UserMessage) -> None:
        """Refuse a message of more than ``LONGEST_MESSAGE`` characters, whoever it is for; sending it again doesn't help."""
        log.warning("A message of %s has %s characters: refused.", short_id(message.sender_id), len(message.text or ""))
        notice = await self._bot.render_safely(names.UTTER_TOO_LONG, message.sender_id, channel)
        await message.output_channel.send_response(message.sender_id, notice)
        if self._hears_by_acknowledgement(channel):
            message_facts().refused = ("too_long", f"A message has at most {LONGEST_MESSAGE:,} characters.")

    async def unwritable(self, channel: str, message: UserMessage, problem: StoreError) -> None:
        """Notify the customer that nothing can be stored now, which is better than to accept the message and lose it.

        Raises:
            StoreError: the sender's side has given the message an id, and so may send it again.
        """
        if self._hears_by_acknowledgement(channel):
            raise problem
        notice = await self._bot.render_safely(names.UTTER_NOT_TAKEN, message.sender_id, channel)
        await self._send(message, notice)
        if message_facts().id is not None and not isinstance(message.output_channel, QueueOutputChannel):
            raise problem
        log.error("A message of %s on %s was not accepted: %s", short_id(message.sender_id), channel, problem)

    async def tell(self, channel: str, message: UserMessage, response: str) -> None:
        """Send a response of the bot at once; a failure is only logged."""
        try:
            await self._send(message, await self._bot.render_safely(response, message.sender_id, channel))
        except Exception as problem:
            log.warning("%s could not be sent to %s now: %r", response, short_id(message.sender_id), problem)

    def _hears_by_acknowledgement(self, channel: str) -> bool:
        return message_facts().acknowledges and message_facts().id is not None and self._delivery_methods[channel].push

    async def _send(self, message: UserMessage, notice: dict[str, Any]) -> None:
        # Not by the outbox, which may fail as well.
        await send_directly(message.output_channel, message.sender_id, dict(notice))
