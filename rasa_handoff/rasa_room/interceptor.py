"""The interceptor: every message of a hosted channel passes here, to the bot or to the desk.

The rules:

1. One turn of a customer at a time, each message once; the turn that hands over ends only when the desk has answered.
2. While the bot is active the message goes on untouched, but for a notice in its metadata and its NLU result.
3. After the bot's turn: if it asks for a handoff (``bot_turn.py``), the conversation is offered to the desk.
4. While the desk is active nothing reaches the bot (``to_desk.py``).
5. While the conversation is on its way back the message waits, and then goes to the bot.
6. A message of more than ``LONGEST_MESSAGE`` characters is refused, whoever it is for.
7. Whatever fails, the customer is told that the message wasn't taken (``refusing.py``).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from typing import Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.bot_turn import BotTurn, OnMessage, Wish
from rasa_handoff.rasa_room.choices import PAYLOADS
from rasa_handoff.rasa_room.closing import Closing
from rasa_handoff.rasa_room.customers import Customers
from rasa_handoff.rasa_room.incoming import sent
from rasa_handoff.rasa_room.offering import Offering
from rasa_handoff.rasa_room.options import Options
from rasa_handoff.rasa_room.reach import Reach
from rasa_handoff.rasa_room.refusing import Refusing
from rasa_handoff.rasa_room.retold import Told, told_in_turn
from rasa_handoff.rasa_room.strays import Strays
from rasa_handoff.rasa_room.to_desk import ToDesk
from rasa_handoff.rasa_room.trigger import answers_with_options, triggered
from rasa_handoff.rasa_room.turns import Turns, Work
from rasa_handoff.rasa_room.unasked import Unasked
from rasa_handoff.rasa_room.watching import Watch
from rasa_handoff.rasa_room.wishing import intent_of
from rasa_handoff.relay.inbox import Inbox, Met
from rasa_handoff.relay.relay import TRACKER, Relay
from rasa_handoff.thinking.control import ASKED, Control, IllegalEvent
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import StoreError, StoreUnavailable, Unreachable
from rasa_handoff.vocabulary.events import TranscriptRead
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.settings import Settings
from rasa_handoff.vocabulary.values import Offer

log = get_log(__name__)

DRAIN_SECONDS: Final = 5.0
STARTED: Final = {Control.BOT: "refused or unreachable", Control.PREPARING: "waits for its transcript"}
RESUME_SECONDS: Final = 5.0
MOMENT_SECONDS: Final = 0.5
"""How often it is looked whether a message waits because the tracker store is away."""


class Interceptor:
    """Stands between the hosted channels and the bot."""

    def __init__(
        self,
        settings: Settings,
        relay: Relay,
        bot: Bot,
        customers: Customers,
        reaches: Mapping[str, Reach],
        options: Options,
        strays: Strays,
        on_new_message: OnMessage,
    ) -> None:
        self._settings, self._relay, self._bot, self._customers = settings, relay, bot, customers
        self._strays, self._reaches = strays, reaches
        self._offering = Offering(bot, relay, settings, reaches)
        self._turns, self._work, self._inbox = Turns(), Work(), Inbox(relay.store)
        self._opened, self._closing = asyncio.Event(), False
        self._execute = f"/{settings.intents.execute}"
        self._to_desk = ToDesk(settings.intents, relay, bot, reaches, self._too_long)
        self._turn = BotTurn(bot, settings.intents, options, settings.show_marker, on_new_message)
        self._refusing = Refusing(bot, customers, reaches)
        self.closing = Closing(settings.state_messages)
        self.unasked = Unasked(self._turn, self.closing)

    def open(self) -> None:
        """Let messages through; until then they wait (a request may come before everything is up)."""
        self._opened.set()

    async def close(self) -> None:
        """What was begun is finished; what comes now is refused, since it couldn't be written down."""
        self._closing = True
        await self._work.drained(DRAIN_SECONDS)

    async def receive(self, channel: str, message: UserMessage) -> None:
        """A customer's message on a hosted channel."""
        await self._work.finish(self._receive(channel, message))

    async def _receive(self, channel: str, message: UserMessage) -> None:
        async with self._turns.turn(message.sender_id):
            await self._opened.wait()
            try:
                if self._closing:
                    raise StoreUnavailable("The server is stopping.")
                async with self._customers.request(
                    message.sender_id, channel, message.output_channel, message.message_id
                ):
                    await self._once(channel, message)
            except StoreError as problem:
                await self._refusing.unwritable(channel, message, problem)
            except (Exception, asyncio.CancelledError) as problem:  # the bot's, its channel's or ours: never silence
                await self._refusing.failed(channel, message, problem)

    async def _once(self, channel: str, message: UserMessage) -> None:
        """What its sender gave an id is heard once, however often it comes."""
        met = await self._meet(message)
        if met is Met.DONE:
            return
        if len(message.text or "") > LONGEST_MESSAGE:
            return await self._too_long(channel, message)
        await self._route(channel, message, again=met is Met.BEGUN)

    async def _too_long(self, channel: str, message: UserMessage) -> None:
        """It would hold up the bot, might not fit through the one connection to the desk, and would be sent again for ever."""
        await self._refusing.too_long(channel, message)
        if sent().refused is None:
            await self._done(message)

    async def _meet(self, message: UserMessage) -> Met:
        if sent().id is None:
            return Met.NEVER
        try:
            if (within := sent().within) is None:
                return await self._inbox.meet(message.sender_id, message.message_id)
            key, message.message_id = message.message_id, uuid.uuid4().hex
            message.message_id, met = await self._inbox.meet_lately(message.sender_id, key, within)
            return met
        except StoreUnavailable:
            if sent().keeps:
                raise  # they send it again
            return Met.NEVER

    async def _done(self, message: UserMessage) -> None:
        if sent().id is not None:
            with contextlib.suppress(StoreUnavailable):  # begun is enough: if it comes again, the tracker tells
                await self._inbox.done(message.sender_id, message.message_id)

    async def silence(self, conversation_id: str, channel: str, output: OutputChannel) -> bool:
        """A customer's request without a message; whether it was answered here. What waits, waits on if it can't be."""
        await self._opened.wait()
        async with self._turns.turn(conversation_id):
            try:
                return await self._customers.fetch(conversation_id, channel, output)
            except Exception as problem:
                log.error("What waits for %s could not be fetched: %r", short_id(conversation_id), problem)
                return False

    async def _route(self, channel: str, message: UserMessage, again: bool = False) -> None:
        while True:
            conversation = self._relay.conversation(message.sender_id)
            if conversation.state is Control.RETURNING:
                await self._wait(channel, message, {Control.RETURNING})
                await self._customers.flush(message.sender_id)  # the end and the bot's first words, before its answer
            elif conversation.state in ASKED:
                await self._wait(channel, message, set(ASKED))  # to the bot or the desk: it answers in a moment
                await self._customers.flush(message.sender_id)
            elif not conversation.desk_active:
                await self._strays.bring_home(message.sender_id, channel)
                if self._relay.conversation(message.sender_id).desk_active:
                    continue
                await self._customers.add_late(message.sender_id)
                await self._to_bot(channel, message, again)
                return await self._done(message)
            elif again and await self._told(message) is not None:
                return await self._done(message)  # it was the bot's; what it led to has happened
            else:
                try:
                    return await self._to_desk.receive(channel, message, conversation)
                except IllegalEvent:  # it ended in this very moment: look again whose the message is
                    await self._relay.refresh(message.sender_id)

    async def _wait(self, channel: str, message: UserMessage, states: set[Control]) -> None:
        """Until the conversation has left these states. While that is because the tracker store is away, the customer is told
        that it takes a moment, where they can be told before the answer."""
        left, is_told = asyncio.ensure_future(self._relay.wait_while(message.sender_id, states)), False
        try:
            while not (await asyncio.wait({left}, timeout=MOMENT_SECONDS))[0]:
                if not is_told and self._reaches[channel].push and self._bot.ready and self._bot.store.holds_up:
                    is_told = True
                    await self._refusing.tell(channel, message, names.UTTER_MOMENT)
            left.result()
        finally:
            left.cancel()

    # The bot is active

    async def _to_bot(self, channel: str, message: UserMessage, again: bool) -> None:
        if message.text in PAYLOADS:
            message.text = names.CARRY_ON_PAYLOAD  # a button of a chat that is over
        told = await self._told(message) if again else None
        await self._offering.write_unsaved(message.sender_id)
        ran = await self._turn.run(channel, message, told)
        if told is not None and await self._inbox.led_to_handoff(message.sender_id, message.message_id):
            return await ran.watch.release()
        wish = await self._turn.wish(channel, message, ran)
        if wish is not None:
            return await self._hand_over(channel, message, wish, ran.watch)
        if ran.watch.marked or not ran.watch.spoke:
            self._strays.look_again(message.sender_id)
        if intent_of(ran.parsed) == self._settings.intents.options and answers_with_options(message, self._execute):
            triggered(message, self._settings.trigger_text)
        if ran.watch.close:
            await self.closing.tell(message.sender_id, channel, message.output_channel)

    async def _told(self, message: UserMessage) -> Told | None:
        """What came of this message, if a process that ended since, or a request that broke off, had finished the bot's turn."""
        try:
            if not await self._offering.write_unsaved(
                message.sender_id
            ):  # its turn may be among what isn't in the tracker yet
                raise StoreUnavailable("An earlier turn still waits for the tracker store.")
            return told_in_turn(await self._bot.tracker(message.sender_id), message)
        except Unreachable as problem:  # heard once at most: it is better sent again than answered twice
            raise StoreUnavailable(str(problem)) from problem

    async def _hand_over(self, channel: str, message: UserMessage, wish: Wish, watch: Watch) -> None:
        """Offer it to the desk; on ``rest`` a front end may find its own, and is told so instead."""
        if triggered(message, self._settings.trigger_text):
            return self._strays.look_again(message.sender_id)
        if wish.form is None:
            await watch.release()
        request = await self._offering.request(
            message.sender_id, channel, wish.request, message, wish.form, self._turn.with_options
        )
        conversation = await self._relay.request(request)
        started = STARTED.get(conversation.state, "accepted")
        log.info("Handoff %s of %s: %s.", request.handoff_id, short_id(message.sender_id), started)
        if conversation.state is Control.BOT:
            await self._customers.flush(message.sender_id)
            await watch.release()
            with contextlib.suppress(asyncio.TimeoutError):  # an action's own pause ends before the next message
                await asyncio.wait_for(self._relay.flush(TRACKER, message.sender_id), RESUME_SECONDS)

    async def read_transcript(
        self, tracker: DialogueStateTracker, offer: Offer, message_id: str | None
    ) -> TranscriptRead:
        """What an offer lacks that was made while the tracker couldn't be read."""
        return await self._offering.follow(tracker, offer, message_id, self._turn.with_options)
