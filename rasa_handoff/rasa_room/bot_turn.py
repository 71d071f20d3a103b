"""The bot's turn, and what it asks for; the same on a hosted channel and on a platform with a desk of its own.

A marker in the turn's output wins; a bare ``execute_handoff`` is a wish too if no form of ours is open; a
``provide_handoff_options`` nobody has answered with the options is answered here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.form_answers import payload_turn
from rasa_handoff.rasa_room.options import Options
from rasa_handoff.rasa_room.retold import Told
from rasa_handoff.rasa_room.watching import Watch, Watcher
from rasa_handoff.rasa_room.wishing import intent_of, offers, up_to, wished
from rasa_handoff.thinking.transcript import SESSION_STARTS
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.marker import ChannelNotice, HandoffRequest
from rasa_handoff.vocabulary.options import shows_options
from rasa_handoff.vocabulary.settings import IntentSettings
from rasa_handoff.vocabulary.values import plain

OnMessage = Callable[[UserMessage], Awaitable[Any]]


class Ran(NamedTuple):
    """A turn that has run. ``parsed``: what the NLU made of the message; ``watch``: what the output has shown."""

    parsed: Mapping[str, Any]
    watch: Watch


class Wish(NamedTuple):
    """The conversation is to be handed over. ``form``: the one that was open as the customer asked; it has repeated its
    question, which is held back and is to be said only if nobody takes the conversation."""

    request: HandoffRequest
    form: str | None


class BotTurn:
    """Runs turns. ``on_new_message`` is Rasa's; ``show_marker`` lets markers through to the front end; ``follows``: see
    :class:`Watcher`."""

    def __init__(
        self,
        bot: Bot,
        intents: IntentSettings,
        options: Options,
        show_marker: bool,
        on_new_message: OnMessage,
        follows: bool = True,
    ) -> None:
        self._bot, self._intents, self._options, self._on_new_message = bot, intents, options, on_new_message
        self._own_intents = (intents.options, intents.execute, intents.ended, names.CARRY_ON_INTENT)
        self._watcher = Watcher(f"/{intents.execute}", show_marker, follows)

    async def run(self, channel: str, message: UserMessage, told: Told | None = None) -> Ran:
        """Let the bot answer. ``told``: what came of this message in a turn of a process that has ended since; it is only
        said again. What is said to a request for a person is held back until :meth:`wish` or the caller lets it out.

        Raises:
            Unreachable: no model is loaded: Rasa would pass over the message in silence.
        """
        notice = ChannelNotice(channel=channel, availability=self._options.availability())
        message.metadata = {**_metadata_of(message), names.METADATA_KEY: plain(notice)}
        parsed = await self._bot.parse(message) if told is None else told[0]
        asked = intent_of(parsed) == self._intents.execute
        with self._watcher.turn(
            message.output_channel, message.sender_id, self._make_options(channel), hold=asked
        ) as watch:
            if told is None:
                with payload_turn(message.text, self._own_intents):
                    await self._on_new_message(message)
            for words in told[1] if told is not None else ():
                await message.output_channel.send_response(message.sender_id, words)
        return Ran(parsed, watch)

    def watching(self, output: OutputChannel, conversation_id: str) -> AbstractContextManager[Watch]:
        """Watch what a turn that no message began says on this output."""
        return self._watcher.turn(output, conversation_id, self._make_options(output.name()))

    async def shown(self, channel: str, conversation_id: str, message: dict[str, Any]) -> dict[str, Any]:
        """The same of one message, for a channel that sees to a handoff's marker itself."""
        return await self._watcher.shown(conversation_id, message, self._make_options(channel))

    async def wish(self, channel: str, message: UserMessage, ran: Ran) -> Wish | None:
        """The handoff the turn asks for. None: all is said that was held back, and the options if they were asked for."""
        intent, watch = intent_of(ran.parsed), ran.watch
        if watch.request is None and intent not in (self._intents.execute, self._intents.options):
            await self._conclude(channel, message, watch)
            return None
        tracker = await self._read(message.sender_id)
        form = tracker.active_loop.name if tracker is not None and tracker.active_loop is not None else None
        if watch.request is not None or (intent == self._intents.execute and form != names.CONTACT_FORM):
            events = tracker.events if tracker is not None else ()
            happened = up_to(message.message_id, [event.as_dict() for event in events])
            request = wished(watch.request, ran.parsed, happened, self._intents)
            return Wish(request, form if intent == self._intents.execute else None)
        if intent == self._intents.options and not watch.offered and form != names.CONTACT_FORM:
            await watch.release()
            options = await self._options.message(message.sender_id, channel)
            await message.output_channel.send_response(message.sender_id, options)
        else:
            await self._conclude(channel, message, watch)
        return None

    async def _read(self, conversation_id: str) -> DialogueStateTracker | None:
        """The tracker; None if it can't be read now, which keeps nobody from a person."""
        try:
            return await self._bot.tracker(conversation_id)
        except Unreachable:
            return None

    async def _conclude(self, channel: str, message: UserMessage, watch: Watch) -> None:
        """Let out what was held. If the turn ended with an action that failed, the customer hears that instead of nothing."""
        await watch.release()
        if watch.failed:
            words = await self._bot.say(names.UTTER_NOT_TAKEN, message.sender_id, channel)
            await message.output_channel.send_response(message.sender_id, words)

    async def with_options(
        self, channel: str, conversation_id: str, happened: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """The tracker's events, and the options where they were shown: the tracker has the marker or the request alone."""
        if _starts_anew(happened):
            happened = [event.as_dict() for event in (await self._bot.full_tracker(conversation_id)).events]
        places = self._offered(happened)
        if not places:
            return list(happened)
        options = await self._options.message(conversation_id, channel)
        shown = {"event": "bot", "text": options.get("text"), "data": options}
        told: list[Mapping[str, Any]] = []
        for place, event in enumerate(happened):
            told.append(event)
            if place in places:
                told.append({**shown, "timestamp": event.get("timestamp")})
        return told

    def _offered(self, happened: Sequence[Mapping[str, Any]]) -> set[int]:
        """Behind which events: the bot's marker, else the request that the channel answered itself."""
        places: set[int] = set()
        asked: int | None = None
        for place, event in enumerate(happened):
            if event.get("event") == "user":
                asked = place if intent_of(event.get("parse_data") or {}) == self._intents.options else None
                places |= {asked} if asked is not None else set()
            elif offers(event) is not None:
                places = {*places - {asked}, place}
            elif event.get("event") == "bot" and shows_options(event.get("data") or {}, f"/{self._intents.execute}"):
                places = {*places - {asked}}  # an action's, which the tracker has with its buttons
        return places

    def _make_options(self, channel: str) -> Callable[[str], Awaitable[dict[str, Any]]]:
        return lambda conversation_id: self._options.message(conversation_id, channel)


def _starts_anew(happened: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the customer's words are out of sight: a tracker store shows the current session, and their turn began one."""
    kinds = {event.get("event") for event in happened}
    return "user" not in kinds and not kinds.isdisjoint(SESSION_STARTS)


def _metadata_of(message: UserMessage) -> dict[str, Any]:
    """A front end may send anything as its metadata; what is no mapping is kept under a name."""
    own: Any = message.metadata
    if isinstance(own, Mapping):
        return dict(own)
    return {} if own is None else {"metadata": own}
