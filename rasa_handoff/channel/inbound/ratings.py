"""Ratings among the customers' messages: they concern the last handoff, whoever is active, and the bot is never given one.

What can't be read is refused: to a page and on HTTP where the request is read (``channel/message_ids.py``), here to the customers
of every other channel.
"""

import time

from rasa.core.channels.channel import UserMessage

from rasa_handoff.channel.inbound.failure_notices import FailureNotices
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.core.rating import is_rating, read_rating
from rasa_handoff.protocol import names
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.events import CustomerRated
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.relay.relay import Relay

log = get_log(__name__)


class Ratings:
    """Passes ratings to the relay."""

    def __init__(self, relay: Relay, failure_notices: FailureNotices) -> None:
        self._relay, self._failure_notices = relay, failure_notices

    async def take(self, channel: str, message: UserMessage) -> bool:
        """Apply the message if it is a rating, and return whether it is one; one that can't be read is told to the customer.

        The inbox must have the message if its sender gave it an id; applying it marks it as done there.

        Raises:
            StoreError: the rating can't be stored now.
        """
        if message.text is None or not is_rating(message.text):
            return False
        try:
            rating = read_rating(message.text)
        except Refused as problem:
            log.info("A rating of %s was refused: %s", short_id(message.sender_id), problem)
            message_facts().refused = (problem.code, str(problem))
            await self._failure_notices.tell(channel, message, names.UTTER_NOT_TAKEN)
            return True
        inbox_id = message.message_id if message_facts().id is not None else None
        await self._relay.apply(
            CustomerRated(conversation_id=message.sender_id, inbox_id=inbox_id, at=time.time(), rating=rating)
        )
        return True
