"""The outbox's target ``"customer"``: delivers messages and notices through whatever channel the customer is on.

An entry is delivered once the customer's side has acknowledged it, each channel in its way (``delivery_methods.py``); on a
channel that can't push, once the response that contains it was written (``response_batch.py``). Until then it stays in the
outbox, and the agent is notified that it waits. An entry that couldn't be delivered for too long fails: the agent is notified of
the reason, and the next entry is delivered.
"""

import asyncio
import contextlib
import itertools
import time
import zlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import msgspec
from rasa.core.channels.channel import OutputChannel, UserMessage

from rasa_handoff.channel.compat.output_observer import with_payloads
from rasa_handoff.channel.compat.rasa_channels import replace_sending
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.agent_files import AgentFiles
from rasa_handoff.channel.outbound.choices import QUESTIONS, BotsQuestions, choices_of, with_choices
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.outbound.fitting import PARTS
from rasa_handoff.channel.outbound.mailboxes import Mailboxes
from rasa_handoff.channel.outbound.notice_values import TitleOf, readable
from rasa_handoff.channel.outbound.response_batch import ResponseBatches, outdated_keys
from rasa_handoff.channel.outbound.speakers import speaker_of
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.outdated_notices import REPLACED_BY
from rasa_handoff.core.rasa_messages import choices_in, message_in_words
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.errors import HandoffError, Refused, Unreachable, Waits
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.message_parts import TextPart
from rasa_handoff.protocol.outbox_bodies import CustomerBody
from rasa_handoff.protocol.text import in_paragraphs, own_buttons, shown, valid
from rasa_handoff.protocol.values import ShownChoice, Speaker, Status
from rasa_handoff.relay.inbox import Inbox
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.failures import isolated
from rasa_handoff.store.outbox import Entry

log = get_log(__name__)

FLUSH_SECONDS: Final = 5.0
"""How long the next message waits until the waiting ones are delivered."""
STALE_SECONDS: Final = 86_400.0
"""After this, a waiting message of the bot's own turns is dropped, since it is no longer news to a customer who comes back."""
MOST_REMEMBERED: Final = 100_000
"""The most conversations with waiting entries, and the most failing entries, that are remembered."""


class OtherDepartments(Protocol):
    """Offers a customer other departments when the desk has refused them in one (``turn/options.py``)."""

    def may_leave_message(self) -> bool:
        """Return whether a message can be left now, while nobody is there."""
        ...

    async def closed_text(self, conversation_id: str, channel: str) -> str | None:
        """Return what customers are told while it is closed; None if opening hours aren't why nobody is there."""
        ...

    async def offer_others(self, conversation_id: str, channel: str, instead_of: str) -> dict[str, Any]:
        """Return the message that offers other departments than one that can't be had."""
        ...


class _InResponse(Waits):
    """The entry waits for a response to be written, which the agent needn't know."""


class Customers:
    """Delivers the outbox's entries to customers.

    ``delivery_methods``: the delivery methods of the hosted channels, by name. ``patience``: seconds until an entry that can't be
    delivered fails; None: never. ``title_of``: returns a department's title. ``other_departments``: what a customer
    is offered whom the desk has refused. ``mailboxes``: the channels whose clients may wait for messages, and ``limits`` says how
    many. ``public_url``: where vendors reach Rasa.
    """

    batch = 1
    recognises = False
    """Most channels have no ids by which a customer's side would know a message that comes again."""

    def __init__(
        self,
        bot: Bot,
        relay: Relay,
        delivery_methods: Mapping[str, DeliveryMethod],
        patience: float | None = 3600.0,
        title_of: TitleOf = str,
        other_departments: OtherDepartments | None = None,
        mailboxes: Collection[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - immutable
        public_url: str | None = None,
    ) -> None:
        self.bots_questions = BotsQuestions()
        self._bot, self._relay, self._delivery_methods, self._patience = bot, relay, delivery_methods, patience
        self._title_of, self._other_departments = title_of, other_departments
        self._batches, self._inbox = ResponseBatches(relay, self.make_message), Inbox(relay.store)
        self.mailboxes = Mailboxes(relay, self._batches, mailboxes, limits)
        self._files = AgentFiles(bot, relay, public_url)
        self._failing: dict[int, float] = Recent(MOST_REMEMBERED)
        # What an entry said on a channel when it was tried first, by its key.
        self._rendered_for: dict[int, tuple[str, dict[str, Any]]] = Recent()
        # By the ids of agents' messages that were reported as waiting: whether they wait for the customer to come back.
        self._reported_waiting: dict[str, bool] = Recent()
        # A conversation that no longer fits in here gets its entries at the end of the next response, not at the beginning.
        self._waiting: dict[str, bool] = Recent(MOST_REMEMBERED)

    async def close(self) -> None:
        """Wait, briefly, until what is in the responses under way has left the outbox. Call it once no request is handled."""
        await self._batches.close()

    @asynccontextmanager
    async def request(
        self, conversation_id: str, channel: str, output: OutputChannel, message_id: str = ""
    ) -> AsyncIterator[None]:
        """Enclose the handling of a customer's request.

        On a channel that can't push, waiting entries go into the response first, and those caused by the request follow. For a
        sender who acknowledges, the bot's messages go by the outbox too.
        """
        method = self._delivery_methods[channel]
        if message_facts().acknowledges:
            self._redirect_to_outbox(output, conversation_id, channel, message_id)
        if not method.push:
            waits = message_facts().acknowledges or self._may_wait(conversation_id)
            async with self._batches.answering(conversation_id, method, output, waits):
                yield
            return
        yield
        if conversation_id in self._waiting:  # they wait since the customer was on a channel that can't push
            await self._relay.notify(CUSTOMER, conversation_id)

    async def fetch(self, conversation_id: str, channel: str, output: OutputChannel) -> bool:
        """Deliver waiting entries to a request without a message; return False if nothing waits and the bot is active."""
        if not self._may_wait(conversation_id) and not self._relay.silences_bot(conversation_id):
            return False
        async with self.request(conversation_id, channel, output):
            return True

    def _may_wait(self, conversation_id: str) -> bool:
        """Return whether entries wait for the customer, or are being delivered, as far as this process can know."""
        if self._relay.store.shared:
            return True  # another process may have put them
        return conversation_id in self._waiting or self._relay.delivers(CUSTOMER, conversation_id)

    async def flush(self, conversation_id: str) -> None:
        """Deliver what waits, as far as possible, before anything else is sent."""
        if not await self._batches.add(conversation_id):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._relay.flush(CUSTOMER, conversation_id), FLUSH_SECONDS)

    async def add_late(self, conversation_id: str, channel: str) -> None:
        """Deliver what waits, or arrived since the response was begun, before the bot's own messages."""
        if self._batches.may_lack_entries(conversation_id):
            await self._batches.add(conversation_id)
            return
        by_outbox = message_facts().acknowledges  # the bot's messages go by the outbox too
        if self._delivery_methods[channel].push and not by_outbox and self._may_wait(conversation_id):
            await self.flush(conversation_id)

    async def send_later(self, channel: str, message: UserMessage, notice: dict[str, Any]) -> None:
        """Send by the outbox what the channel doesn't take now, to where the message came from."""
        data = self._delivery_methods[channel].return_data(message.output_channel)
        await self._put(message.sender_id, channel, f"{message.message_id}-later", notice, data)

    # The bot's messages to a sender who acknowledges

    def _redirect_to_outbox(self, output: OutputChannel, conversation_id: str, channel: str, message_id: str) -> None:
        """Put what the bot sends to this output into the outbox instead."""
        numbers = itertools.count(1)

        async def send_response(recipient_id: str, message: dict[str, Any]) -> None:
            message = valid(message)
            # When the turn is repeated after a crash, the same message in the same place gets the same id.
            digest = zlib.crc32(msgspec.json.encode(message, order="sorted", enc_hook=shown))
            await self._put(conversation_id, channel, f"{message_id}-{next(numbers)}-{digest:08x}", message)

        replace_sending(output, lambda _: send_response)

    async def _put(
        self,
        conversation_id: str,
        channel: str,
        id: str,
        message: dict[str, Any],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        body = CustomerBody(
            id=id,
            handoff_id=None,
            message=message,
            channel=channel,
            return_data=dict(data) if data else None,
            at=time.time(),
        )
        entry = Entry.of(CUSTOMER, conversation_id, Speaker.BOT.value, body)
        await self._inbox.put_once(entry)
        await self._relay.notify(CUSTOMER, conversation_id)

    # The outbox's target

    async def process_of(self, lane: str) -> str | None:
        """Return the process that has the customer's page, if that isn't this one; None on channels without pages."""
        conversation = await self._relay.recall(lane)
        method = self._delivery_methods.get(conversation.channel or "")
        if method is None or not method.by_page or method.has_page(lane):
            return None
        return await self._relay.pages.elsewhere(lane)

    def keeps(self, lane: str) -> bool:
        """Return whether a response is being made or written that takes along what waits."""
        return self._batches.under_way(lane)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Deliver one entry to the customer and return the events that report it."""
        (entry,) = entries
        conversation = await self._relay.recall(lane)
        if self._batches.left_out(entry):
            self._forget(lane, entry)
            return []
        if (message := self._batches.fetched(entry)) is not None:
            return self._delivered(lane, entry, message)
        try:
            body = entry.read(CustomerBody)
            if body.at is not None and body.at < time.time() - STALE_SECONDS:
                self._forget(lane, entry)
                return []
            method = self._method_of(body.channel or conversation.channel)
            if method.push and await self._is_outdated(entry):
                self._forget(lane, entry)
                return []
            if not method.push:
                await self._files.store(entry)
            if not method.push and self._batches.note_missed(lane):
                raise _InResponse("It goes with the response that is being made.")
            if not method.push and await self.mailboxes.expects(method, entry):
                self._waiting[lane] = True
                raise _InResponse("A request waits for it, or has just been given it.")
            message = await self._say(method, lane, entry, body.return_data or conversation.return_data)
        except _InResponse:
            raise
        except Waits as problem:
            await self._note_waiting(lane, str(problem), customer_is_away=True)
            raise
        except Refused:  # for good: the entry is set aside, and the agent gets the reason
            self._forget(lane, entry)
            raise
        except Exception as problem:
            await self._note_failure(lane, entry, problem)
            raise
        return self._delivered(lane, entry, message)

    async def _is_outdated(self, entry: Entry) -> bool:
        """Return whether a newer notice that waits behind this one makes it out of date."""
        if entry.body.get("response") not in REPLACED_BY:
            return False
        return entry.key in outdated_keys(await self._relay.waiting_entries(CUSTOMER, entry.lane))

    def _method_of(self, channel: str | None) -> DeliveryMethod:
        method = self._delivery_methods.get(channel or "")
        if method is None:
            raise Unreachable(f"The channel '{channel}' is no longer hosted.")
        return method

    async def _say(self, method: DeliveryMethod, lane: str, entry: Entry, data: Mapping[str, Any]) -> dict[str, Any]:
        output = await method.output(lane, data)
        message = await self.make_message(entry, method.channel.name())
        speaker = speaker_of(entry) if method.names_speakers else {}
        await method.send(output, lane, {**message, **speaker}, str(entry.id))
        return message

    async def make_message(self, entry: Entry, channel: str) -> dict[str, Any]:
        """Return an entry as Rasa's message dict; what isn't the bot's is for the delivery method to fit to its channel."""
        entry = await self._files.ready(entry, self._delivery_methods.get(channel))
        message = with_payloads(valid(await self._rendered(entry, channel)))
        if entry.name == Speaker.BOT.value:
            return message
        message, body = _in_paragraphs(message), entry.read(CustomerBody)
        if body.response is None:
            return {**message, PARTS: valid(body.parts or (TextPart(text=body.text or ""),))}
        if body.parts:  # the answer to a message that was left
            return {**message, PARTS: valid((TextPart(text=str(message.get("text") or "")), *body.parts))}
        # What a project shows beside a notice of its own is understood as its payload only, which Rasa's lines have.
        is_fitted = body.response in QUESTIONS or body.response == names.UTTER_INSTEAD or not own_buttons(message)
        return {**message, PARTS: None} if is_fitted else message

    async def _rendered(self, entry: Entry, channel: str) -> dict[str, Any]:
        """Return an entry as Rasa's message dict, the same at each attempt: of a response's variations Rasa chooses any."""
        known = self._rendered_for.get(entry.key)
        if known is None or known[0] != channel:
            self._rendered_for[entry.key] = known = channel, await self._render(entry, channel)
        return dict(known[1])

    async def _render(self, entry: Entry, channel: str) -> dict[str, Any]:
        body = entry.read(CustomerBody)
        if body.message is not None:
            return body.message
        if body.response == names.UTTER_INSTEAD and self._other_departments is not None:
            offered = await self._other_departments.offer_others(
                entry.lane, channel, str(body.values.get("department"))
            )
            self.bots_questions.open(entry.lane, offered)
            return offered
        if body.response is not None:
            if body.response == names.UTTER_NOBODY and self._other_departments is not None:
                closed = await self._other_departments.closed_text(entry.lane, channel)
                if closed is not None:
                    return await self._as_question({"text": closed}, body.response, entry.lane, channel)
            message = await self._bot.render(body.response, entry.lane, channel, await self._values(entry, channel))
            return await self._as_question(message, body.response, entry.lane, channel)
        return {"text": body.text or ""}

    async def _values(self, entry: Entry, channel: str) -> dict[str, Any]:
        async def words(response: str, values: Mapping[str, Any]) -> str:
            message = await self._bot.render(response, entry.lane, channel, dict(values))
            return str(message.get("text") or "")

        return await readable(entry.read(CustomerBody).values, self._title_of, words)

    async def _as_question(self, message: dict[str, Any], response: str, lane: str, channel: str) -> dict[str, Any]:
        """Return a notice with its choices, if it is a question that this desk allows."""
        takes_messages = self._other_departments is not None and self._other_departments.may_leave_message()
        if response not in QUESTIONS or (response == names.UTTER_NOBODY and not takes_messages):
            return message
        question = await with_choices(message, response, self._bot, lane, channel)
        if response == names.UTTER_NOBODY:  # the bot is active then
            self.bots_questions.open(lane, question)
        return question

    # Outcomes

    async def _note_failure(self, lane: str, entry: Entry, problem: Exception) -> None:
        """Note that an attempt failed, which starts the clock of the entries behind it too.

        Raises:
            Refused: the entry has been tried for too long.
        """
        now = time.monotonic()
        for waiting in await self._relay.waiting_entries(CUSTOMER, lane):
            self._failing.setdefault(waiting.key, now)
        reason = str(problem) if isinstance(problem, HandoffError) else f"It can't be sent: {problem!r}."
        await self._note_waiting(lane, reason)
        if self._patience is not None and now - self._failing.get(entry.key, now) >= self._patience:
            self._forget(lane, entry)
            raise Refused("timeout", f"Tried for {self._patience:g} s: {reason}") from problem

    async def _note_waiting(self, lane: str, reason: str, customer_is_away: bool = False) -> None:
        """Report to the agent that this message and those behind it wait.

        Each is reported once, and once more if it no longer waits for the channel, but for the customer.
        """
        self._waiting[lane] = True
        for entry in await self._relay.waiting_entries(CUSTOMER, lane):
            # An entry without an id can't be reported; it is set aside when it is the next to deliver.
            if entry.name != Speaker.AGENT.value or entry.id is None:
                continue
            reported = self._reported_waiting.get(entry.id)
            if reported is None or customer_is_away > reported:
                with isolated(log, "A message for %s waits, and that can't be reported to the agent.", short_id(lane)):
                    await self._relay.apply(_report(lane, entry, Status.WAITING, reason, customer_is_away))
                self._reported_waiting[entry.id] = customer_is_away

    def _delivered(self, lane: str, entry: Entry, message: Mapping[str, Any]) -> list[events.Event]:
        self._forget(lane, entry)
        if entry.name == Speaker.AGENT.value:
            choices = choices_in(entry.read(CustomerBody).parts)
            return [_report(lane, entry, Status.DELIVERED, self._files.reason(entry), choices=choices)]
        if entry.name != Speaker.SYSTEM.value:
            return []  # the bot's messages come from the tracker and are already in it
        text = message_in_words(message.get("text"), message)
        body = entry.read(CustomerBody)
        about: dict[str, Any] = {"handoff_id": body.handoff_id, "id": body.id, "response": body.response or ""}
        choices = choices_of(message) if body.response in QUESTIONS else ()
        return [events.NoticeShown(conversation_id=lane, text=text, at=time.time(), choices=choices, **about)]

    def _forget(self, lane: str, entry: Entry) -> None:
        self._waiting.pop(lane, None)
        self._failing.pop(entry.key, None)
        self._rendered_for.pop(entry.key, None)
        if entry.id is not None:
            self._reported_waiting.pop(entry.id, None)


def _in_paragraphs(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    return {**message, "text": in_paragraphs(text)} if isinstance(text, str) else message


def _report(
    lane: str,
    entry: Entry,
    status: Status,
    reason: str | None = None,
    customer_is_away: bool = False,
    choices: tuple[ShownChoice, ...] = (),
) -> events.MessageReported:
    return events.MessageReported(
        conversation_id=lane,
        handoff_id=entry.handoff_id,
        message_id=str(entry.id),
        status=status,
        reason=reason,
        customer_is_away=customer_is_away,
        choices=choices,
    )
