"""The customer's last hop: an outbox target that speaks through whatever channel the customer is on.

What is told counts as delivered when the customer's side has acknowledged it, each channel in its way (``reach.py``); on a
channel that can't push, when the answer with it was written (``handing.py``). Until then it stays in the outbox, and the agent
is told that it waits. What could not be delivered for too long has failed: the agent is told why, and the next has its turn.
"""

import asyncio
import contextlib
import itertools
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from rasa.core.channels.channel import OutputChannel, UserMessage

from rasa_handoff.guard.recent import Recent
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.buttons import with_payloads
from rasa_handoff.rasa_room.choices import with_choices
from rasa_handoff.rasa_room.handing import Hands
from rasa_handoff.rasa_room.incoming import sent
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.relay.inbox import Inbox
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.apart import apart
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.transcript import in_words
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import HandoffError, Refused, Unreachable, Waits
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.text import shown, valid
from rasa_handoff.vocabulary.values import Speaker, Status

log = get_log(__name__)

FLUSH_SECONDS: Final = 5.0
STALE_SECONDS: Final = 86_400.0
"""After this the bot's own words in a turn of its own are no longer news to who comes back."""
MOST_REMEMBERED: Final = 100_000
"""Conversations for which something waits, and entries that fail."""


class _InAnswer(Waits):
    """It waits for an answer to be written, which nobody needs to be told."""


class Customers:
    """The outbox's target ``"customer"``. ``reaches``: the hosted channels' ways, by name. ``patience``: seconds until what
    can't be delivered has failed; None: never."""

    batch = 1

    def __init__(self, bot: Bot, relay: Relay, reaches: Mapping[str, Reach], patience: float | None = 3600.0) -> None:
        self._bot, self._relay, self._reaches, self._patience = bot, relay, reaches, patience
        self._hands, self._inbox = Hands(relay, self.words), Inbox(relay.store)
        self._failing: dict[int, float] = Recent(MOST_REMEMBERED)
        self._told_to_wait: dict[str, bool] = Recent()
        # What waits and is forgotten here comes at the end of the next answer instead of before it.
        self._waiting: dict[str, bool] = Recent(MOST_REMEMBERED)

    @asynccontextmanager
    async def request(
        self, conversation_id: str, channel: str, output: OutputChannel, message_id: str = ""
    ) -> AsyncIterator[None]:
        """A request of the customer's: on a channel that can't push, what waits goes out first and what comes of the request
        goes out with it. With a sender who acknowledges, what the bot says goes by the outbox too.
        """
        reach = self._reaches[channel]
        if sent().keeps:
            self._keep(output, conversation_id, channel, message_id)
        if not reach.push:
            waits = sent().keeps or self._may_wait(conversation_id)
            async with self._hands.answering(conversation_id, reach, output, waits):
                yield
            return
        yield
        if conversation_id in self._waiting:  # they may have come from a channel that can't push
            await self._relay.ring(CUSTOMER, conversation_id)

    async def fetch(self, conversation_id: str, channel: str, output: OutputChannel) -> bool:
        """A request without words: what waits goes out. False if nothing waits and the bot is active."""
        if not self._may_wait(conversation_id) and not self._relay.desk_active(conversation_id):
            return False
        async with self.request(conversation_id, channel, output):
            return True

    def _may_wait(self, conversation_id: str) -> bool:
        """Whether something waits for the customer, or is found to wait in this moment."""
        return conversation_id in self._waiting or self._relay.delivers(CUSTOMER, conversation_id)

    async def flush(self, conversation_id: str) -> None:
        """What is to be told goes out before anything else is said, as far as it can."""
        if not await self._hands.add(conversation_id):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._relay.flush(CUSTOMER, conversation_id), FLUSH_SECONDS)

    async def add_late(self, conversation_id: str) -> None:
        """Put what has come up since the answer was begun into it, before the bot's own."""
        if self._hands.late(conversation_id):
            await self._hands.add(conversation_id)

    async def tell_later(self, channel: str, message: UserMessage, words: dict[str, Any]) -> None:
        """Something of the bot's that the channel doesn't take now, by the outbox. To where the message came from."""
        data = self._reaches[channel].return_data(message.output_channel)
        await self._put(message.sender_id, channel, f"{message.message_id}-later", words, data)

    # The bot's words to a sender who acknowledges

    def _keep(self, output: OutputChannel, conversation_id: str, channel: str, message_id: str) -> None:
        numbers = itertools.count(1)

        async def send_response(recipient_id: str, message: dict[str, Any]) -> None:
            message = valid(message)
            # Said again after a kill, the same words in the same place have the same id.
            digest = zlib.crc32(msgspec.json.encode(message, order="sorted", enc_hook=shown))
            await self._put(conversation_id, channel, f"{message_id}-{next(numbers)}-{digest:08x}", message)

        output.send_response = send_response

    async def _put(
        self,
        conversation_id: str,
        channel: str,
        id: str,
        message: dict[str, Any],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        body = {"id": id, "handoff_id": None, "message": message, "channel": channel, "at": time.time()}
        if data:
            body["return_data"] = dict(data)
        entry = Entry(target=CUSTOMER, lane=conversation_id, name=Speaker.BOT.value, body=body)
        await self._inbox.put_once(entry)
        await self._relay.ring(CUSTOMER, conversation_id)

    # The outbox's target

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[e.Event]:
        """Say one thing to the customer and return what became of it."""
        (entry,) = entries
        conversation = await self._relay.recall(lane)
        if (message := self._hands.fetched(entry)) is not None:
            return self._said(lane, entry, message)
        if entry.body.get("at", time.time()) < time.time() - STALE_SECONDS:
            self._forget(lane, entry)
            return []
        try:
            reach = self._reach(entry.body.get("channel") or conversation.channel)
            if not reach.push and self._hands.busy(lane):
                raise _InAnswer("It goes with the answer that is being made.")
            data = entry.body.get("return_data") or conversation.return_data
            message = await self._say(reach, lane, entry, data)
        except _InAnswer:
            raise
        except Waits as problem:
            await self._waits(lane, str(problem))
            raise
        except Refused:  # for good: it is set aside, and the agent is told
            self._forget(lane, entry)
            raise
        except Exception as problem:
            await self._note_failure(lane, entry, problem)
            raise
        return self._said(lane, entry, message)

    def _reach(self, channel: str | None) -> Reach:
        reach = self._reaches.get(channel or "")
        if reach is None:
            raise Unreachable(f"The channel '{channel}' is no longer hosted.")
        return reach

    async def _say(self, reach: Reach, lane: str, entry: Entry, data: Mapping[str, Any]) -> dict[str, Any]:
        output = await reach.output(lane, data)
        message = await self.words(entry, reach.channel.name())
        await reach.send(output, lane, message, entry.body["id"])
        return message

    async def words(self, entry: Entry, channel: str) -> dict[str, Any]:
        """An entry as Rasa's message dict."""
        return with_payloads(valid(await self._rendered(entry, channel)))

    async def _rendered(self, entry: Entry, channel: str) -> dict[str, Any]:
        body = entry.body
        if body.get("message") is not None:
            return dict(body["message"])
        if body.get("response") is not None:
            message = await self._bot.render(body["response"], entry.lane, channel, body["values"])
            if body["response"] == names.UTTER_NOBODY_YET:
                return await with_choices(message, self._bot, entry.lane, channel)
            return message
        return {"text": body["text"]}

    # What became of it

    async def _note_failure(self, lane: str, entry: Entry, problem: Exception) -> None:
        """It is tried again until it was tried for too long; the time of those behind it runs too.

        Raises:
            Refused: it was.
        """
        now = time.monotonic()
        for waiting in await self._relay.queue(CUSTOMER, lane):
            self._failing.setdefault(waiting.key, now)
        reason = str(problem) if isinstance(problem, HandoffError) else f"It can't be sent: {problem!r}."
        await self._waits(lane, reason)
        if self._patience is not None and now - self._failing.get(entry.key, now) >= self._patience:
            self._forget(lane, entry)
            raise Refused("timeout", f"Tried for {self._patience:g} s: {reason}") from problem

    async def _waits(self, lane: str, reason: str) -> None:
        """Tell the agent, once per message; those behind the first wait too."""
        self._waiting[lane] = True
        for entry in await self._relay.queue(CUSTOMER, lane):
            # Without one it is set aside in its turn.
            if entry.name == Speaker.AGENT.value and entry.id is not None and entry.id not in self._told_to_wait:
                with apart(log, "That a message for %s waits can't be told.", short_id(lane)):
                    await self._relay.apply(_report(lane, entry, Status.WAITING, reason))
                self._told_to_wait[entry.id] = True

    def _said(self, lane: str, entry: Entry, message: Mapping[str, Any]) -> list[e.Event]:
        self._forget(lane, entry)
        if entry.name == Speaker.AGENT.value:
            return [_report(lane, entry, Status.DELIVERED)]
        if entry.name != Speaker.SYSTEM.value:
            return []  # the bot's words come from the tracker and are there already
        text = in_words(message.get("text"), message)
        about = {"handoff_id": entry.body["handoff_id"], "id": entry.body["id"], "response": entry.body["response"]}
        return [e.NoticeShown(conversation_id=lane, text=text, at=time.time(), **about)]

    def _forget(self, lane: str, entry: Entry) -> None:
        self._waiting.pop(lane, None)
        self._failing.pop(entry.key, None)
        if entry.id is not None:
            self._told_to_wait.pop(entry.id, None)


def _report(lane: str, entry: Entry, status: Status, reason: str | None = None) -> e.MessageReported:
    about = {"handoff_id": entry.body["handoff_id"], "message_id": entry.body["id"]}
    return e.MessageReported(conversation_id=lane, **about, status=status, reason=reason)
