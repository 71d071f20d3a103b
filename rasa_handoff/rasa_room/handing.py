"""Words handed into the answer to a customer's request, on channels that can't push.

They leave the outbox when the answer was written, or, for the owner of a mailbox, when a later request names them as seen
(``handoff_after``). An answer that could not be written leaves them for the next one.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.rasa_room.answers import Answer, answer
from rasa_handoff.rasa_room.incoming import sent
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.failures import MOST_TRIES_OF_WRONG, Failure, meaning_of
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

WRITING_SECONDS: Final = 5.0
"""How long a request waits to learn whether the answer before it was written."""
MOST_FETCHED: Final = 10_000

Words = Callable[[Entry, str], Awaitable[dict[str, Any]]]


class Hand:
    """What was handed into one answer. ``handed``: the words by their entry's key; ``missed``: whether there
    is something that may have come too late for it."""

    def __init__(self, reach: Reach, output: OutputChannel) -> None:
        self.reach, self.output = reach, output
        self.handed: dict[int, dict[str, Any]] = {}
        self.answer: Answer | None = None
        self.missed = False


class Hands:
    """The answers in the making, one for each conversation. ``words`` makes a message of an entry."""

    def __init__(self, relay: Relay, words: Words) -> None:
        self._relay, self._words = relay, words
        self._hands: dict[str, Hand] = {}
        self._fetched: dict[int, dict[str, Any]] = {}
        self._rings: set[asyncio.Task[None]] = set()

    def busy(self, conversation_id: str) -> bool:
        """Whether an answer is being made or written; the conversation's lane is rung when that is over."""
        hand = self._hands.get(conversation_id)
        if hand is not None:
            hand.missed = True
        return hand is not None

    def fetched(self, entry: Entry) -> dict[str, Any] | None:
        """The words of this entry, if the customer has got them."""
        return self._fetched.get(entry.key)

    @asynccontextmanager
    async def answering(
        self, conversation_id: str, reach: Reach, output: OutputChannel, waits: bool
    ) -> AsyncIterator[None]:
        """While a request is answered: what ``waits`` first, at the end what has come of it."""
        before = self._hands.get(conversation_id)
        if before is not None and before.answer is not None:
            await asyncio.wait({before.answer.fate}, timeout=WRITING_SECONDS)
            before.answer.settle(False)  # rather twice than never
        if sent().keeps:
            await self._see(conversation_id, reach.channel.name(), sent().after)
        hand = self._hands[conversation_id] = Hand(reach, output)
        try:
            if waits or before is not None:
                await self.add(conversation_id)
            yield
            await self.add(conversation_id)
        finally:
            self._conclude(conversation_id, hand)

    def late(self, conversation_id: str) -> bool:
        """Whether something has come up since the answer was begun that may not be in it yet."""
        hand = self._hands.get(conversation_id)
        return hand is not None and (hand.missed or self._relay.delivers(CUSTOMER, conversation_id))

    async def add(self, conversation_id: str) -> bool:
        """Hand in what is to be told and isn't in yet. False where no answer is being made."""
        hand = self._hands.get(conversation_id)
        if hand is None or hand.answer is not None:
            return False
        try:
            for entry in await self._relay.queue(CUSTOMER, conversation_id):
                if entry.key not in hand.handed and entry.key not in self._fetched:
                    await self._hand_in(hand, conversation_id, entry)
        except Exception:
            log.exception("What waits for %s could not be put into the answer; it waits on.", short_id(conversation_id))
        return True

    async def _hand_in(self, hand: Hand, conversation_id: str, entry: Entry) -> None:
        """One entry. What can't be put into any answer is set aside, and what comes after it has its turn."""
        for tries in itertools.count(1):
            try:
                message = await self._words(entry, hand.reach.channel.name())
                await hand.reach.send(hand.output, conversation_id, message, entry.body["id"])
                hand.handed[entry.key] = message
                return
            except Exception as problem:
                failure = meaning_of(problem)
                if failure in (Failure.WAIT, Failure.RETRY_LATER):
                    raise
                if failure is Failure.REJECT or tries >= MOST_TRIES_OF_WRONG:
                    return await self._relay.set_aside(entry, problem)

    async def _see(self, conversation_id: str, channel: str, after: str | None) -> None:
        """The owner of a mailbox has seen everything up to this one."""
        entries = await self._relay.queue(CUSTOMER, conversation_id)
        ids = [entry.id for entry in entries]
        if after in ids:
            for entry in entries[: ids.index(after) + 1]:
                try:
                    self._note(entry.key, await self._words(entry, channel))
                except Exception:
                    log.exception("How something read that %s has seen can't be told.", short_id(conversation_id))
                    self._note(entry.key, {})
            await self._relay.ring(CUSTOMER, conversation_id)

    def _note(self, key: int, message: dict[str, Any]) -> None:
        self._fetched[key] = message
        if len(self._fetched) > MOST_FETCHED:
            del self._fetched[next(iter(self._fetched))]

    def _conclude(self, conversation_id: str, hand: Hand) -> None:
        hand.answer = answer() or _written()
        mailbox = sent().keeps

        def known(fate: "asyncio.Future[bool]") -> None:
            if fate.result() and not mailbox:
                for key, message in hand.handed.items():
                    self._note(key, message)
            if self._hands.get(conversation_id) is hand:
                del self._hands[conversation_id]
            if hand.handed or hand.missed:
                ring = asyncio.ensure_future(self._relay.ring(CUSTOMER, conversation_id))
                self._rings.add(ring)
                ring.add_done_callback(self._rings.discard)

        hand.answer.fate.add_done_callback(known)


def _written() -> Answer:
    """For a channel whose requests can't be followed: handed in is as far as one can see."""
    unseen = Answer()
    unseen.settle(True)
    return unseen
