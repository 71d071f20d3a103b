"""Handoff requests: offering a conversation to the desk and waiting for its answer.

The desk has ``start_timeout`` seconds. An offer that isn't answered by then is withdrawn, and cancelled at the desk in case it
arrived.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Protocol

from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control, Conversation, IllegalEvent
from rasa_handoff.protocol import events
from rasa_handoff.protocol.effects import OfferAgain, OfferMessage, OfferWithoutTranscript, WithdrawOffer
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.payloads import OfferPayload
from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import DESK
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import isolated
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

OLD_REQUEST_SECONDS: Final = 5.0
"""Seconds beyond ``start_timeout`` after which nobody waits for the answer any more: the process that asked has ended."""
LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for such requests."""
OFFER: Final = OfferPayload.event
"""The name of an outbox entry that offers a handoff to the desk."""


class ConversationAccess(Protocol):
    """The part of the relay that handoff requests and the desk's reconnection use (``relay.py``)."""

    async def apply(self, event: events.Event) -> Conversation:
        """Apply an event, and return the conversation after the commit."""

    def conversation(self, conversation_id: str) -> Conversation:
        """Return the conversation as it is now."""

    async def wait_while(self, conversation_id: str, states: set[Control]) -> Conversation:
        """Wait until the conversation has left these states."""

    @property
    def under_way(self) -> list[Conversation]:
        """Every conversation with a handoff under way."""


class HandoffRequests:
    """Offers handoffs and waits for the desk's answers. ``start_timeout``: seconds that the desk has to answer."""

    def __init__(self, conversations: ConversationAccess, start_timeout: float) -> None:
        self._conversations, self._start_timeout = conversations, start_timeout
        self._waiting: set[asyncio.Task[Any]] = set()

    async def offer(self, event: events.HandoffRequested) -> Conversation:
        """Offer a handoff to the desk and wait until it has answered, ``start_timeout`` seconds at most.

        The state of the returned conversation is ``WAITING`` or later if the desk accepted, ``BOT`` if it didn't,
        ``PREPARING`` if it will be offered once its transcript can be read.

        Raises:
            IllegalEvent: another handoff of this conversation is under way.
            StoreUnavailable: the database can't be used now; nothing was changed.
        """
        conversation = await self._conversations.apply(event)
        if conversation.state is Control.PREPARING:
            return conversation
        return await self._await_answer(event.conversation_id, event.offer.handoff_id)

    def await_answer_later(self, conversation: Conversation) -> None:
        """Wait in the background for the answer to an offer that was made after the bot's turn had ended.

        Its transcript couldn't be read during the turn.
        """
        self._begin(self._await_answer(conversation.conversation_id, str(conversation.handoff_id)))

    @contextlib.asynccontextmanager
    async def unanswered_ended(self, store: Store) -> AsyncIterator[None]:
        """Time out the requests that an earlier process left unanswered: nobody waits for the answer any more.

        Where other processes share the database, they may wait for theirs: then only those that are too old are timed out, and
        that is repeated, since any process may end.
        """
        if not store.shared:
            for conversation in self._unanswered():
                await self._end_unanswered(conversation)
            yield
            return
        task = asyncio.create_task(self._end_old())
        try:
            yield
        finally:
            await cancel_all(task)

    async def _end_old(self) -> None:
        """Time out requests for whose answers nobody waits any more.

        Their age is counted here, from the first look that found them: a handoff's start says less, because a transcript may
        have come long after it, and because another machine's clock may differ.
        """
        seen_since: dict[str, float] = {}
        while True:
            unanswered, now = self._unanswered(), time.monotonic()
            seen_since = {str(one.handoff_id): seen_since.get(str(one.handoff_id), now) for one in unanswered}
            for conversation in unanswered:
                if now - seen_since[str(conversation.handoff_id)] > self._start_timeout + OLD_REQUEST_SECONDS:
                    await self._end_unanswered(conversation)
            await asyncio.sleep(LOOK_SECONDS)

    def _unanswered(self) -> list[Conversation]:
        return [one for one in self._conversations.under_way if one.state is Control.REQUESTED]

    async def _end_unanswered(self, conversation: Conversation) -> None:
        whose = short_id(conversation.conversation_id)
        with isolated(log, "The request of %s can't be ended.", whose):
            await self._time_out(conversation.conversation_id, str(conversation.handoff_id))

    async def stop_waiting(self) -> None:
        """Cancel what waits in the background for an answer, and wait until it has ended."""
        await cancel_all(*self._waiting)

    async def _await_answer(self, conversation_id: str, handoff_id: str) -> Conversation:
        answered = self._conversations.wait_while(conversation_id, {Control.REQUESTED})
        try:
            return await asyncio.wait_for(answered, self._start_timeout)
        except asyncio.TimeoutError:
            return await self._time_out(conversation_id, handoff_id)

    async def _time_out(self, conversation_id: str, handoff_id: str) -> Conversation:
        event = events.StartTimedOut(conversation_id=conversation_id, handoff_id=handoff_id)
        try:
            return await self._conversations.apply(event)
        except IllegalEvent:  # the desk has just answered
            return self._conversations.conversation(conversation_id)

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


def offer_entries(
    connection: Connection,
    lane: str,
    handoff_id: str | None,
    effect: WithdrawOffer | OfferAgain | OfferWithoutTranscript | OfferMessage,
) -> list[Entry]:
    """Return the outbox entries of an effect that concerns the offer itself, and remove those that it replaces.

    ``lane``: the conversation's id.
    """
    if isinstance(effect, OfferWithoutTranscript | OfferMessage):
        offer = repository.offer_of(connection, str(handoff_id))
        return [_offer(connection, lane, OfferPayload.of(offer, left=isinstance(effect, OfferMessage)))]
    waiting = repository.waiting_for_desk(connection, lane, handoff_id)
    repository.outbox.remove(connection, waiting)
    if isinstance(effect, WithdrawOffer):
        return []
    return [_offer(connection, lane, effect.offer), *(entry for entry in waiting if entry.name != OFFER)]


def _offer(connection: Connection, lane: str, payload: OfferPayload) -> Entry:
    return Entry.of(DESK, lane, payload.event, repository.numbered(connection, payload))
