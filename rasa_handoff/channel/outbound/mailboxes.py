"""Mailboxes that are fetched at once: requests that wait until there is something for their customer.

On a channel that can't push, what is said to a customer waits in the outbox for the next request. A request may wait for it too:
it is then given what has come, and the next request names the last id of that, which is the acknowledgement. What isn't named
stays, and the next request is given it again.

A waiting request asks the database for nothing. It is woken by the commit that puts an entry (``Store.on_changes``), or by the
process that has made it, through the change log: a customer's request may wait at any of the processes that share the database.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from rasa.core.channels.channel import CollectingOutputChannel

from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.outbound.response_batch import ResponseBatch, ResponseBatches, outdated_keys
from rasa_handoff.core.native_messages import ChannelMessage
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.changes import Change, Put
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import begin

log = get_log(__name__)

MAILBOX: Final = "mailbox"
"""The topic of a change that says that a customer's mailbox has another entry."""
NAMED_WITHIN: Final = 3.0
"""Seconds in which an entry is named as seen, or a client that was there comes back, before the agent is told that it waits."""
MOST_REMEMBERED: Final = 10_000
"""The most conversations and entries that are remembered: whose client left a moment ago, and since when an entry waits."""
TOO_MANY: Final = "too_many"
"""The code of a refusal because too many requests wait."""


class Reader:
    """A request that waits. ``given``: the key of the last entry that it was given, or looked at."""

    def __init__(self, conversation_id: str, method: DeliveryMethod) -> None:
        self.conversation_id, self.method = conversation_id, method
        self.given = 0
        self.signal = asyncio.Event()


class Mailboxes:
    """The mailboxes of the channels with these names, and the requests that wait for them at this process.

    ``is_open``: called to learn whether requests may come: not before the start, nor from the stop on.
    """

    def __init__(self, relay: Relay, batches: ResponseBatches, channels: Collection[str], limits: Limits) -> None:
        self.is_open: Callable[[], bool] = lambda: True
        self._relay, self._batches, self._channels, self._limits = relay, batches, frozenset(channels), limits
        self._readers: dict[str, set[Reader]] = {}
        self._count, self._closed = 0, False
        self._left: dict[str, float] = Recent(MOST_REMEMBERED)
        """When the last request for a conversation ended."""
        self._waits_since: dict[int, float] = Recent(MOST_REMEMBERED)
        """When an entry, by its key, was to be delivered for the first time."""
        self._newest: dict[str, int] = Recent(MOST_REMEMBERED)
        """The key of the newest entry in a lane of which other processes were told."""
        self._looks: dict[str, asyncio.TimerHandle] = {}
        if channels:
            relay.change_handlers[MAILBOX] = self._follow
            relay.store.on_changes.append(self._take)

    @property
    def waiting(self) -> int:
        """The number of requests that wait at this process."""
        return self._count

    def close(self) -> None:
        """End the requests that wait, with nothing; no other may begin to."""
        self._closed = True
        self._wake_all()
        for timer in self._looks.values():
            timer.cancel()
        self._looks.clear()

    @property
    def closed(self) -> bool:
        """Whether this process ends."""
        return self._closed

    @contextlib.contextmanager
    def reading(self, conversation_id: str, method: DeliveryMethod) -> Iterator[Reader]:
        """Enclose a request that may wait.

        Raises:
            Refused: too many wait, of this customer or of all.
        """
        here = self._readers.get(conversation_id, set())
        if len(here) >= self._limits.waiting_requests_per_conversation:
            raise Refused(TOO_MANY, f"{len(here)} requests wait for this conversation's messages already.")
        if self._count >= self._limits.waiting_requests:
            raise Refused(TOO_MANY, f"{self._count:,} requests wait for messages already.")
        reader = Reader(conversation_id, method)
        self._readers.setdefault(conversation_id, here).add(reader)
        self._count += 1
        try:
            yield reader
        finally:
            self._count -= 1
            self._left[conversation_id] = time.monotonic()
            here.discard(reader)
            if not here:
                self._readers.pop(conversation_id, None)

    async def first(self, reader: Reader, after: str | None) -> list[ChannelMessage]:
        """Note that the client has seen everything up to and including ``after``, and return what else is there."""
        if not after:
            return await self._read(reader)
        channel, lane = reader.method.channel.name(), reader.conversation_id
        entries = await self._batches.acknowledge(lane, channel, after)
        if entries:
            await self._relay.notify(CUSTOMER, lane)  # which also ends the lease
        return await self._messages(reader, entries)

    async def next(self, reader: Reader, seconds: float) -> list[ChannelMessage]:
        """Wait for something else, ``seconds`` at most, and return it; nothing if nothing comes, or the process ends."""
        deadline = time.monotonic() + seconds
        while not self._closed and (remaining := deadline - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reader.signal.wait(), remaining)
                if messages := await self._read(reader):
                    return messages
        return []

    async def _read(self, reader: Reader) -> list[ChannelMessage]:
        reader.signal.clear()
        return await self._messages(reader, await self._relay.waiting_entries(CUSTOMER, reader.conversation_id))

    async def _messages(self, reader: Reader, entries: Sequence[Entry]) -> list[ChannelMessage]:
        """Return the entries that are for this request and that it wasn't given yet, as the channel's answers have them."""
        fresh = [entry for entry in entries if entry.key > reader.given]
        output = CollectingOutputChannel()
        batch, old = ResponseBatch(reader.method, output, names_speakers=True), outdated_keys(entries)
        channel = (await self._relay.recall(reader.conversation_id)).channel if fresh else None
        for entry in fresh:
            is_here = (entry.body.get("channel") or channel) == reader.method.channel.name()
            if entry.key in old:
                self._batches.leave_out(entry)
            elif is_here and self._batches.fetched(entry) is None and not await self._add(batch, entry):
                break
            reader.given = entry.key
        return list(output.messages)

    async def _add(self, batch: ResponseBatch, entry: Entry) -> bool:
        """Add an entry to what is given; return False if that isn't possible now."""
        try:
            await self._batches.add_entry(batch, entry.lane, entry)
        except Unreachable as problem:
            log.debug("A message for %s can't be given now: %s", short_id(entry.lane), problem)
            return False
        except Exception:
            log.exception("A message for %s can't be given now; it waits for the next request.", short_id(entry.lane))
            return False
        return True

    # What the outbox does

    async def expects(self, method: DeliveryMethod, entry: Entry) -> bool:
        """Return whether an entry is about to be fetched, so that nobody needs to know that it waits.

        Where several processes share the database, the others are told that it is there, for those who wait at them.
        """
        if method.channel.name() not in self._channels or self._closed:
            return False
        lane, now = entry.lane, time.monotonic()
        if any(reader.given < entry.key for reader in self._readers.get(lane, ())):
            self._wake(lane)  # what couldn't be given before, such as a file that had to be fetched first
        if self._relay.store.shared:
            await self._tell_others(lane)
        elif lane not in self._readers and now - self._left.get(lane, -math.inf) >= NAMED_WITHIN:
            return False
        remaining = self._waits_since.setdefault(entry.key, now) + NAMED_WITHIN - now
        if remaining > 0 and lane not in self._looks:
            self._looks[lane] = asyncio.get_running_loop().call_later(remaining, self._look_again, lane)
        return remaining > 0

    def _look_again(self, lane: str) -> None:
        del self._looks[lane]
        begin(self._relay.notify(CUSTOMER, lane))

    async def _tell_others(self, lane: str) -> None:
        entries = await self._relay.waiting_entries(CUSTOMER, lane)
        newest = entries[-1].key if entries else 0
        if newest > self._newest.get(lane, 0):
            self._newest[lane] = newest
            self._wake(lane)
            await self._relay.others.tell(MAILBOX, lane, "")

    # What wakes a request

    def _take(self, changes: Sequence[Change] | None) -> None:
        """Wake the requests for whose customers a commit has put something; all of them if that isn't known."""
        if changes is None:
            return self._wake_all()
        for change in changes if self._readers else ():
            if isinstance(change, Put) and change.entry.target == CUSTOMER:
                self._wake(change.entry.lane)

    async def _follow(self, changes: Sequence[LoggedChange]) -> None:
        """Wake the requests for whose customers another process has put something."""
        for change in changes:
            self._wake(change.subject)

    def _wake_all(self) -> None:
        for lane in self._readers:
            self._wake(lane)

    def _wake(self, lane: str) -> None:
        for reader in self._readers.get(lane, ()):
            reader.signal.set()
