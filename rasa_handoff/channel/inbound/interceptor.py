"""The inbound interceptor: every message of a hosted channel passes here, on its way to the bot or to the desk.

The rules:

1. A customer has one turn at a time, and each message is handled once. A turn that requests a handoff ends only when the desk
   has answered.
2. While the bot is active, it gets the message with two additions: an entry in its metadata that tells actions who is at the
   desk, and its NLU result. What Rasa's channel would have dropped it isn't given: that is kept, and told in the transcript.
3. If the bot's turn asks for a handoff (``bot_turn.py``), the conversation is offered to the desk.
4. While the desk is active, nothing reaches the bot: the message goes to the relay (``to_desk.py``).
5. While the conversation returns to the bot, the message waits, and then goes to the bot.
6. A rating reaches the desk whoever is active (``ratings.py``).
7. A message of more than ``LONGEST_MESSAGE`` characters is refused, whoever it is for.
8. Whatever fails, the customer gets a notice that the message was not accepted (``failure_notices.py``).
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.closing import Closing
from rasa_handoff.channel.compat.blueprints import OnMessage
from rasa_handoff.channel.compat.output_observer import ObservedTurn
from rasa_handoff.channel.inbound.failure_notices import FailureNotices
from rasa_handoff.channel.inbound.ratings import Ratings
from rasa_handoff.channel.inbound.to_desk import ToDesk, line_of, only_fetches, parts_beyond_text
from rasa_handoff.channel.inbound.turn_lock import TurnLock, WorkUnderWay
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.choices import PAYLOADS
from rasa_handoff.channel.outbound.customers import Customers
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod
from rasa_handoff.channel.outbound.fitting import fitted_question
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.bot_turn import (
    BotTurn,
    FinishedTurn,
    ProactiveTurns,
    RequestedHandoff,
    find_finished_turn,
)
from rasa_handoff.channel.turn.handoff_offer import HandoffOffers
from rasa_handoff.channel.turn.handoff_request import intent_of
from rasa_handoff.channel.turn.options import Options, answers_with_options, replace_by_trigger
from rasa_handoff.channel.turn.orphaned_pauses import OrphanedPauses
from rasa_handoff.core.control import AWAITING_DESK, Control, Conversation, IllegalEvent
from rasa_handoff.core.rating import is_rating
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import StoreError, StoreUnavailable, Unreachable
from rasa_handoff.protocol.events import TranscriptRead
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.values import Line, Offer, plain, read
from rasa_handoff.relay.inbox import CameBefore, Inbox, MessageProgress
from rasa_handoff.relay.relay import TRACKER, Relay
from rasa_handoff.relay.unread_messages import UnreadMessages

log = get_log(__name__)

DRAIN_SECONDS: Final = 5.0
"""How long a stop waits for the messages under way."""
LAST_SECONDS: Final = 1.5
"""How long it waits for those that came after that."""
STARTED: Final = {Control.BOT: "refused or unreachable", Control.PREPARING: "waits for its transcript"}
"""How a handoff has started, for the log; in any other state it was accepted."""
RESUME_SECONDS: Final = 5.0
"""How long a turn waits for the bot to resume, if its handoff didn't start."""
MOMENT_SECONDS: Final = 0.5
"""How often to check whether a message waits because the tracker store is unreachable."""

Complete = Callable[[str, UserMessage], Awaitable[None]]
"""Gives a message, by its channel's name, what it names and the database has."""


class Interceptor:
    """Stands between the hosted channels and the bot."""

    def __init__(
        self,
        settings: Settings,
        relay: Relay,
        bot: Bot,
        customers: Customers,
        delivery_methods: Mapping[str, DeliveryMethod],
        options: Options,
        orphaned_pauses: OrphanedPauses,
        on_new_message: OnMessage,
        complete: Complete,
    ) -> None:
        self._settings, self._relay, self._bot, self._customers = settings, relay, bot, customers
        self._orphaned_pauses, self._delivery_methods, self._complete = orphaned_pauses, delivery_methods, complete
        self._offers = HandoffOffers(bot, relay, settings, delivery_methods)
        self._turns, self._work, self._inbox = TurnLock(), WorkUnderWay(), Inbox(relay.store)
        self._unread = UnreadMessages(relay.store)
        self._opened, self._leaving, self._stopping = asyncio.Event(), False, False
        self._execute, self._takes_messages = f"/{settings.intents.execute}", options.takes_messages
        self._to_desk = ToDesk(settings, relay, bot, delivery_methods, self._too_long)
        self._turn = BotTurn(bot, settings.intents, options, settings.show_marker, on_new_message, fit=self._fit)
        self._failure_notices = FailureNotices(bot, customers, delivery_methods)
        self._ratings = Ratings(relay, self._failure_notices)
        self.closing = Closing(settings.state_messages)
        self.proactive_turns = ProactiveTurns(self._turn, self.closing)

    def _fit(
        self, channel: str, output: OutputChannel, conversation_id: str, message: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the options as the messages of a channel."""
        method = self._delivery_methods.get(channel)
        return [message] if method is None else fitted_question(output, method.capabilities, conversation_id, message)

    def open(self) -> None:
        """Let messages through. Until then they wait, since a request may arrive before everything has started."""
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether others should send messages here: not before the start, nor from the stop on."""
        return self._opened.is_set() and not self._leaving

    async def leave(self) -> None:
        """Finish the messages under way, while new ones are served as before: the server still takes requests."""
        self._leaving = True
        await self._work.drained(DRAIN_SECONDS)

    async def close(self) -> None:
        """Finish the last messages. New ones are refused, since they could no longer be stored."""
        self._stopping = True
        await self._work.drained(LAST_SECONDS)
        await self._customers.close()

    async def receive(self, channel: str, message: UserMessage) -> None:
        """Handle a customer's message on a hosted channel."""
        await self._work.finish(self._receive(channel, message))

    async def _receive(self, channel: str, message: UserMessage) -> None:
        async with self._turns.turn(message.sender_id):
            await self._opened.wait()
            try:
                if self._stopping:
                    raise StoreUnavailable("The server is stopping.")
                await self._complete(channel, message)
                async with self._customers.request(
                    message.sender_id, channel, message.output_channel, message.message_id
                ):
                    await self._once(channel, message)
            except StoreError as problem:
                await self._failure_notices.unwritable(channel, message, problem)
            except (Exception, asyncio.CancelledError) as problem:  # from the bot, its channel or this package
                await self._failure_notices.failed(channel, message, problem)

    async def _once(self, channel: str, message: UserMessage) -> None:
        """Route the message unless it is a copy: a message with a sender's id is handled once, however often it arrives."""
        await self._relay.current(message.sender_id)
        if await self._pass_to_desk(channel, message):
            return
        async with self._relay.turns.turn(message.sender_id):
            await self._relay.current(message.sender_id)
            progress = await self._note_begun(message)
            if progress is MessageProgress.DONE:
                return
            if len(message.text or "") > LONGEST_MESSAGE:
                return await self._too_long(channel, message)
            if await self._ratings.take(channel, message):
                return await self._note_done(message)
            await self._route(channel, message, again=progress is MessageProgress.BEGUN)

    async def _pass_to_desk(self, channel: str, message: UserMessage) -> bool:
        """Pass a message of a live chat on, in one transaction with its id; return False if it isn't one, or may be a copy."""
        conversation = self._relay.conversation(message.sender_id)
        if (
            not conversation.bypasses_bot
            or _is_left_unread(conversation)
            or is_rating(message.text)
            or message_facts().within is not None
            or len(message.text or "") > LONGEST_MESSAGE
        ):
            return False
        try:
            await self._to_desk.receive(channel, message, conversation, is_first=True)
        except (IllegalEvent, CameBefore):
            return False
        return True

    async def _too_long(self, channel: str, message: UserMessage) -> None:
        """Refuse the message: it would slow the bot down and might exceed what the desk connection takes, at every retry."""
        await self._failure_notices.too_long(channel, message)
        if message_facts().refused is None:
            await self._note_done(message)

    async def _note_begun(self, message: UserMessage) -> MessageProgress:
        """Store the message in the inbox as begun, and return how far one with this id was processed before."""
        if message_facts().id is None:
            return MessageProgress.NEW
        try:
            if (within := message_facts().within) is None:
                return await self._inbox.begin(message.sender_id, message.message_id)
            # The sender may use the same id later for another message, so the tracker gets an id of our own.
            key, message.message_id = message.message_id, uuid.uuid4().hex
            message.message_id, progress = await self._inbox.begin_recent(message.sender_id, key, within)
            return progress
        except StoreUnavailable:
            if message_facts().acknowledges:
                raise  # the sender repeats what isn't acknowledged
            return MessageProgress.NEW

    async def _note_done(self, message: UserMessage) -> None:
        """Note in the inbox that the message was handled."""
        if message_facts().id is not None:
            # If this fails, the message stays "begun": of a copy the finished turn is found in the tracker.
            with contextlib.suppress(StoreUnavailable):
                await self._inbox.finish(message.sender_id, message.message_id)

    async def answer_silence(self, conversation_id: str, channel: str, output: OutputChannel) -> bool:
        """Answer a customer's request that has no message, and return whether it was answered.

        If that fails, the entries stay in the outbox for the next request.
        """
        await self._opened.wait()
        async with self._turns.turn(conversation_id):
            try:
                await self._relay.current(conversation_id)
                if self._stopping:  # entries that a response brings now could no longer leave the outbox
                    return self._relay.silences_bot(conversation_id)
                return await self._customers.fetch(conversation_id, channel, output)
            except Exception as problem:
                log.error("The messages waiting for %s could not be fetched: %r", short_id(conversation_id), problem)
                return False

    async def _route(self, channel: str, message: UserMessage, again: bool = False) -> None:
        """Pass the message to the bot or the desk, once the conversation is in a state in which one of them is active.

        ``again``: the message is a copy whose handling was begun, and may have been finished.
        """
        while True:
            conversation = self._relay.conversation(message.sender_id)
            if conversation.state is Control.RETURNING:
                await self._wait(channel, message, {Control.RETURNING})
                # The notice of the end and the bot's first message go before the answer to this message.
                await self._customers.flush(message.sender_id)
            elif conversation.state in AWAITING_DESK:
                await self._wait(channel, message, set(AWAITING_DESK))  # the desk's answer decides whose message it is
                await self._customers.flush(message.sender_id)
            elif _is_left_unread(conversation):
                return await self._keep_unread(message)
            elif not conversation.bypasses_bot:
                await self._orphaned_pauses.resume_orphan(message.sender_id, channel)
                if self._relay.conversation(message.sender_id).bypasses_bot:
                    continue
                await self._customers.add_late(message.sender_id, channel)
                await self._to_bot(channel, message, again)
                return await self._note_done(message)
            elif again and await self._find_finished_turn(message) is not None:
                return await self._note_done(message)  # the bot has handled it, with all its consequences
            else:
                try:
                    return await self._to_desk.receive(channel, message, conversation)
                except IllegalEvent:  # the handoff has just ended: decide anew
                    await self._relay.refresh(message.sender_id)

    async def _wait(self, channel: str, message: UserMessage, states: set[Control]) -> None:
        """Wait until the conversation has left these states.

        If that takes long because the tracker store is unreachable, send a notice, on channels that can push.
        """
        left, is_notified = asyncio.ensure_future(self._relay.wait_while(message.sender_id, states)), False
        try:
            while not (await asyncio.wait({left}, timeout=MOMENT_SECONDS))[0]:
                if (
                    not is_notified
                    and self._delivery_methods[channel].push
                    and self._bot.ready
                    and self._bot.store.holds_up
                ):
                    is_notified = True
                    await self._failure_notices.tell(channel, message, names.UTTER_MOMENT)
            left.result()
        finally:
            left.cancel()

    # The bot is active

    async def _keep_unread(self, message: UserMessage) -> None:
        """Keep a message that the bot isn't given until the transcript tells it; a change to an earlier one is no news then."""
        if not message_facts().said.is_change:
            await self._unread.keep(message.sender_id, message.message_id, line_of(message, time.time()))
        await self._note_done(message)

    async def _to_bot(self, channel: str, message: UserMessage, again: bool) -> None:
        """Run the bot's turn, or repeat the messages of a finished one, and follow its requests."""
        message.text = self._customers.bots_questions.answer(message.sender_id, message.text)
        if message.text == names.LEAVE_PAYLOAD or only_fetches(message, self._delivery_methods[channel]):
            return  # the handoff has just ended, or there is nothing to answer
        if message.text == names.MESSAGE_PAYLOAD and self._takes_messages:
            return await self._begin_message(channel, message, again)
        if message.text in PAYLOADS:
            message.text = names.CARRY_ON_PAYLOAD  # a button of a handoff that has ended
        finished = await self._find_finished_turn(message) if again else None
        await self._offers.write_unsaved(message.sender_id)
        unread = await self._unread.of(message.sender_id)
        result = await self._turn.run(channel, message, finished, _for_transcript(message, unread))
        await self._unread.drop(message.sender_id, list(unread))
        if finished is not None and await self._inbox.led_to_handoff(message.sender_id, message.message_id):
            return await result.observed.release()  # the handoff was offered with the first copy of the message
        requested_handoff = await self._turn.requested_handoff(channel, message, result)
        if requested_handoff is not None:
            return await self._hand_over(channel, message, requested_handoff, result.observed)
        if result.observed.question is not None:
            self._customers.bots_questions.open(message.sender_id, result.observed.question)
        if result.observed.marked or not result.observed.spoke:
            self._orphaned_pauses.look_again(message.sender_id)
        if intent_of(result.parsed) == self._settings.intents.options and answers_with_options(message, self._execute):
            replace_by_trigger(message, self._settings.trigger_text)
        if result.observed.close:
            await self.closing.tell(message.sender_id, channel, message.output_channel)

    async def _begin_message(self, channel: str, message: UserMessage, again: bool) -> None:
        """Let the customer leave a message, for the department in which nobody was there."""
        if again and await self._inbox.led_to_handoff(message.sender_id, message.message_id):
            return  # begun with the first copy, and over
        known = await self._relay.recall(message.sender_id)
        department = known.department if known.ended == "nobody_available" else None
        unread = await self._unread.of(message.sender_id)
        lines = [read(Line, line) for line in unread.values()]
        options = self._turn.with_options
        await self._relay.apply(
            await self._offers.message(message.sender_id, channel, department, message, options, lines)
        )
        await self._unread.drop(message.sender_id, list(unread))

    async def _find_finished_turn(self, message: UserMessage) -> FinishedTurn | None:
        """Return the bot's turn for this message if it was finished by a process or request that has ended since.

        Raises:
            StoreUnavailable: the tracker can't be read now.
        """
        try:
            if not await self._offers.write_unsaved(message.sender_id):  # its turn may be among those not yet saved
                raise StoreUnavailable("An earlier turn still waits for the tracker store.")
            return find_finished_turn(await self._bot.tracker(message.sender_id), message)
        except Unreachable as problem:  # better sent again than answered twice
            raise StoreUnavailable(str(problem)) from problem

    async def _hand_over(
        self, channel: str, message: UserMessage, requested_handoff: RequestedHandoff, observed: ObservedTurn
    ) -> None:
        """Offer the conversation to the desk.

        With a trigger text, a front end on ``rest`` finds a person by itself and gets that text instead.
        """
        if replace_by_trigger(message, self._settings.trigger_text):
            return self._orphaned_pauses.look_again(message.sender_id)
        if requested_handoff.form is None:
            await observed.release()
        request = await self._offers.request(
            message.sender_id,
            channel,
            requested_handoff.request,
            message,
            requested_handoff.form,
            self._turn.with_options,
        )
        conversation = await self._relay.requests.offer(request)
        started = STARTED.get(conversation.state, "accepted")
        log.info("Handoff %s of %s: %s.", request.handoff_id, short_id(message.sender_id), started)
        if conversation.state is Control.BOT:
            await self._customers.flush(message.sender_id)
            observed.asks_whom |= self._customers.bots_questions.offers(message.sender_id, self._execute)
            if observed.held or (observed.held_form and not observed.asks_whom):
                self._customers.bots_questions.close(message.sender_id)
            await observed.release()
            with contextlib.suppress(asyncio.TimeoutError):  # an action's own pause must end before the next message
                await asyncio.wait_for(self._relay.flush(TRACKER, message.sender_id), RESUME_SECONDS)

    async def read_transcript(
        self, tracker: DialogueStateTracker, offer: Offer, message_id: str | None
    ) -> TranscriptRead:
        """Complete an offer that was made while the tracker couldn't be read."""
        return await self._offers.complete(tracker, offer, message_id, self._turn.with_options)


def _is_left_unread(conversation: Conversation) -> bool:
    """Return whether the message is for a person, and nobody but the bot would get it now."""
    said = message_facts().said
    listening = conversation.desk_active if said.is_change else conversation.bypasses_bot
    return said.for_person and not listening


def _for_transcript(message: UserMessage, unread: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the message's event tells the transcript beside its text: what it has, and what came before it."""
    parts = parts_beyond_text(message)
    own = {names.PARTS_KEY: plain(parts)} if parts else {}
    return {**own, names.UNREAD_KEY: [{"id": id, **line} for id, line in unread.items()]} if unread else own
