"""Response batches: entries that go into the response to a customer's request, on channels that can't push.

They leave the outbox once the response was written, or, for a client that acknowledges, once a later request names them as seen
(``handoff_after``). If a response could not be written, its entries go into the next one.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.channel.compat.http_answers import HttpAnswer, answer
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.outbound.speakers import speaker_of
from rasa_handoff.core.outdated_notices import outdated
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.failures import MOST_TRIES_OF_WRONG, Failure, meaning_of
from rasa_handoff.store.outbox import Entry

log = get_log(__name__)

WRITING_SECONDS: Final = 5.0
"""How long a request waits to learn whether the response before it was written."""
CLOSING_SECONDS: Final = 1.0
"""How long a stop waits for responses to be written, and then for their entries to leave the outbox. With all else that a stop
waits for, it has to stay below the 10 s after which Docker kills the process."""
MOST_FETCHED: Final = 10_000
"""Delivered entries that are remembered until they leave the outbox."""

MakeMessage = Callable[[Entry, str], Awaitable[dict[str, Any]]]
"""Makes Rasa's message dict of an entry, for the channel of this name."""


class ResponseBatch:
    """The entries in one response.

    ``names_speakers``: whether a message says who speaks. ``messages``: the messages by their entries' keys. ``missed``: whether
    an entry may have come too late for this response.
    """

    def __init__(self, method: DeliveryMethod, output: OutputChannel, names_speakers: bool) -> None:
        self.method, self.output, self.names_speakers = method, output, names_speakers
        self.messages: dict[int, dict[str, Any]] = {}
        self.answer: HttpAnswer | None = None
        self.missed = False


class ResponseBatches:
    """The responses under way, one for each conversation."""

    def __init__(self, relay: Relay, make_message: MakeMessage) -> None:
        self._relay, self._make_message = relay, make_message
        self._batches: dict[str, ResponseBatch] = {}
        self._fetched: dict[int, dict[str, Any]] = {}
        """The messages that customers have got, by their entries' keys: the newest ``MOST_FETCHED``."""
        self._left_out: dict[int, bool] = Recent(MOST_FETCHED)
        """The keys of entries that were out of date when a response was made."""
        self._deliveries: set[asyncio.Task[None]] = set()
        """Tasks, each of which ends when the entries of a written response have left the outbox."""

    async def close(self) -> None:
        """Wait until the responses under way are written and their entries have left the outbox.

        What a customer has got and is still in the outbox would be sent again after the next start.
        """
        answers = {batch.answer.written for batch in self._batches.values() if batch.answer is not None}
        if answers:
            await asyncio.wait(answers, timeout=CLOSING_SECONDS)
        if self._deliveries:
            await asyncio.wait(set(self._deliveries), timeout=CLOSING_SECONDS)

    def under_way(self, conversation_id: str) -> bool:
        """Return whether a response is being made, or is made and not known to be written."""
        return conversation_id in self._batches

    def note_missed(self, conversation_id: str) -> bool:
        """Note that an entry may have missed the response that is being made or written; return False if there is none.

        The conversation's lane is then notified when the response is written.
        """
        batch = self._batches.get(conversation_id)
        if batch is not None:
            batch.missed = True
        return batch is not None

    def fetched(self, entry: Entry) -> dict[str, Any] | None:
        """Return the message of this entry if the customer has got it."""
        return self._fetched.get(entry.key)

    def left_out(self, entry: Entry) -> bool:
        """Return whether this entry was out of date when a response was made, so that no response has it."""
        return entry.key in self._left_out

    def leave_out(self, entry: Entry) -> None:
        """Note that this entry was out of date when a response was made."""
        self._left_out[entry.key] = True

    @asynccontextmanager
    async def answering(
        self, conversation_id: str, method: DeliveryMethod, output: OutputChannel, waits: bool
    ) -> AsyncIterator[None]:
        """Enclose the handling of a request: add waiting entries first, if ``waits``, and at the end those that it caused."""
        before = self._batches.get(conversation_id)
        if before is not None and before.answer is not None:
            await asyncio.wait({before.answer.written}, timeout=WRITING_SECONDS)
            before.answer.settle(False)  # not known to be written, so its entries are sent again
        if message_facts().acknowledges:
            await self.acknowledge(conversation_id, method.channel.name(), message_facts().after)
        has_mailbox = message_facts().acknowledges and method.capabilities.mailbox
        batch = self._batches[conversation_id] = ResponseBatch(method, output, names_speakers=has_mailbox)
        try:
            if waits or before is not None:
                await self.add(conversation_id)
            yield
            await self.add(conversation_id)
        finally:
            self._conclude(conversation_id, batch)

    def may_lack_entries(self, conversation_id: str) -> bool:
        """Return whether the response may lack an entry that arrived after the response was begun."""
        batch = self._batches.get(conversation_id)
        if batch is None:
            return False
        # Another process may have put one.
        return batch.missed or self._relay.store.shared or self._relay.delivers(CUSTOMER, conversation_id)

    async def add(self, conversation_id: str) -> bool:
        """Add the waiting entries that aren't in the response yet, without notices that are out of date by now.

        Return False if no response is being made.
        """
        batch = self._batches.get(conversation_id)
        if batch is None or batch.answer is not None:
            return False
        try:
            entries = await self._relay.others.claimed_entries(CUSTOMER, conversation_id)
            old = outdated_keys(entries)
            for entry in entries:
                if entry.key in batch.messages or entry.key in self._fetched:
                    continue
                if entry.key in old:
                    self.leave_out(entry)
                    continue
                await self.add_entry(batch, conversation_id, entry)
        except Exception:
            log.exception(
                "Entries for %s could not be added to the response; they wait for the next.", short_id(conversation_id)
            )
        return True

    async def add_entry(self, batch: ResponseBatch, conversation_id: str, entry: Entry) -> None:
        """Add one entry. An entry that can't go into any response is set aside, so that the next ones can."""
        for tries in itertools.count(1):
            try:
                message = await self._make_message(entry, batch.method.channel.name())
                speaker = speaker_of(entry) if batch.names_speakers else {}
                await batch.method.send(batch.output, conversation_id, {**message, **speaker}, str(entry.id))
                batch.messages[entry.key] = message
                return
            except Exception as problem:
                failure = meaning_of(problem)
                if failure in (Failure.WAIT, Failure.RETRY_LATER):
                    raise
                if failure is Failure.REJECT or tries >= MOST_TRIES_OF_WRONG:
                    return await self._relay.set_aside(entry, problem)

    async def acknowledge(self, conversation_id: str, channel: str, after: str | None) -> list[Entry]:
        """Note that the client has seen all entries up to and including this one; return all that wait.

        They are leased to this process until their lane is notified.
        """
        entries = await self._relay.others.claimed_entries(CUSTOMER, conversation_id)
        ids = [entry.id for entry in entries]
        if after in ids:
            for entry in entries[: ids.index(after) + 1]:
                try:
                    self._note_fetched(entry.key, await self._make_message(entry, channel))
                except Exception:
                    log.exception("The text of an entry that %s has seen can't be made.", short_id(conversation_id))
                    self._note_fetched(entry.key, {})
            await self._relay.notify(CUSTOMER, conversation_id)
        return entries

    def _note_fetched(self, key: int, message: dict[str, Any]) -> None:
        self._fetched[key] = message
        if len(self._fetched) > MOST_FETCHED:
            del self._fetched[next(iter(self._fetched))]

    def _conclude(self, conversation_id: str, batch: ResponseBatch) -> None:
        batch.answer = answer() or _written()
        acknowledges = message_facts().acknowledges

        def known(written: "asyncio.Future[bool]") -> None:
            if written.result() and not acknowledges:
                for key, message in batch.messages.items():
                    self._note_fetched(key, message)
            if self._batches.get(conversation_id) is batch:
                del self._batches[conversation_id]
            if batch.messages or batch.missed or self._relay.store.shared:
                delivery = asyncio.ensure_future(self._relay.flush(CUSTOMER, conversation_id))
                self._deliveries.add(delivery)
                delivery.add_done_callback(self._deliveries.discard)

        batch.answer.written.add_done_callback(known)


def outdated_keys(entries: Sequence[Entry]) -> set[int]:
    """Return the keys of the notices among a lane's entries that newer ones make out of date."""
    responses = [entry.body.get("response") if entry.name == Speaker.SYSTEM.value else None for entry in entries]
    return {entries[index].key for index in outdated(responses)}


def _written() -> HttpAnswer:
    """Return an answer that counts as written, for a channel whose responses can't be observed."""
    unseen = HttpAnswer()
    unseen.settle(True)
    return unseen
