"""The bot's turn and what it asks for, on a hosted channel as on a platform with a desk of its own.

1. A marker in the turn's output asks for a handoff. So does the bare intent ``execute_handoff``, unless the package's contact
   form is open.
2. The intent ``provide_handoff_options`` is answered here if the bot hasn't shown the options itself.
3. Rasa saves a turn whole or not at all, and each user event carries its message's id. A process may end after it has saved a
   turn and before it has sent the messages: then the turn is found in the tracker by this id, and its messages are sent again.
4. Proactive turns, which no customer's message began (reminders, triggers, actions run from outside), are observed too, so that
   their markers and directives don't reach the front end.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.shared.core.events import BotUttered, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.closing import Closing
from rasa_handoff.channel.compat.blueprints import OnMessage
from rasa_handoff.channel.compat.forms import payload_turn
from rasa_handoff.channel.compat.output_observer import (
    MakeOptions,
    ObservedTurn,
    OutputObserver,
    merged_with_options,
    with_payloads,
)
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.handoff_request import complete_request, intent_of, marker_of, up_to
from rasa_handoff.channel.turn.options import Options
from rasa_handoff.core.transcript import SESSION_STARTS
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import (
    HandoffRequest,
    MetadataForActions,
    OptionsRequest,
    read_metadata,
    shows_options,
)
from rasa_handoff.protocol.values import Availability, plain

log = get_log(__name__)

FinishedTurn = tuple[dict[str, Any], list[dict[str, Any]]]
"""The NLU result of a message, and the bot's answers to it as Rasa's message dicts."""


FitOptions = Callable[[str, OutputChannel, str, dict[str, Any]], list[dict[str, Any]]]
"""Returns a question as the messages of a channel."""


def _as_it_is(
    channel: str, output: OutputChannel, conversation_id: str, message: dict[str, Any]
) -> list[dict[str, Any]]:
    return [message]


def find_finished_turn(tracker: DialogueStateTracker, message: UserMessage) -> FinishedTurn | None:
    """Return the finished turn of this message from the tracker, or None if there is none."""
    events = list(tracker.events)
    for index in reversed(range(len(events))):
        event = events[index]
        if isinstance(event, UserUttered) and event.message_id == message.message_id:
            after = events[index + 1 :]
            end = next((offset for offset, later in enumerate(after) if isinstance(later, UserUttered)), len(after))
            return dict(event.parse_data), [later.message() for later in after[:end] if isinstance(later, BotUttered)]
    return None


class TurnResult(NamedTuple):
    """A turn that has run. ``parsed``: the NLU result of its message; ``observed``: the observations of its output."""

    parsed: Mapping[str, Any]
    observed: ObservedTurn


class RequestedHandoff(NamedTuple):
    """A handoff that a turn asks for.

    ``form``: the form that was open when the customer asked. It has repeated its question, which is held back, and is sent only
    if nobody takes the conversation.
    """

    request: HandoffRequest
    form: str | None


class BotTurn:
    """Runs turns of the bot.

    ``on_new_message``: Rasa's own handler. ``show_marker``: whether markers reach the front end. ``follows``: see
    :class:`OutputObserver`. ``fit``: returns the options as a channel can show them, by its name, its output and the customer.
    """

    def __init__(
        self,
        bot: Bot,
        intents: IntentSettings,
        options: Options,
        show_marker: bool,
        on_new_message: OnMessage,
        follows: bool = True,
        fit: FitOptions = _as_it_is,
    ) -> None:
        self._fit = fit
        self._bot, self._intents, self._options, self._on_new_message = bot, intents, options, on_new_message
        self._own_intents = (intents.options, intents.execute, intents.ended, names.CARRY_ON_INTENT)
        self._observer = OutputObserver(f"/{intents.execute}", show_marker, follows)

    async def run(
        self,
        channel: str,
        message: UserMessage,
        finished: FinishedTurn | None = None,
        for_transcript: Mapping[str, Any] = MappingProxyType({}),
    ) -> TurnResult:
        """Let the bot answer the message.

        ``finished``: the message's turn, if it ran before; then its messages are only sent again. ``for_transcript``: what the
        metadata of the message's event has for the transcript. If the message asks for a person, the answer is held back until
        :meth:`requested_handoff` or the caller releases it; if it asks for the options, the question of an open form is.

        Raises:
            Unreachable: no model is loaded, and Rasa would silently ignore the message.
        """
        self._bot.freeze_model()  # `PUT /model` may have replaced it
        for_actions = MetadataForActions(channel=channel, availability=self._options.availability())
        message.metadata = {**_metadata_of(message), **for_transcript, names.METADATA_KEY: plain(for_actions)}
        parsed = await self._bot.parse(message) if finished is None else finished[0]
        intent, make_options = intent_of(parsed), self._make_options(channel)
        asks, wants_options = intent == self._intents.execute, intent == self._intents.options
        fit = partial(self._fit, channel, message.output_channel, message.sender_id)
        with self._observer.turn(
            message.output_channel, message.sender_id, make_options, hold=asks, hold_form=wants_options, fit=fit
        ) as observed:
            if finished is None:
                with payload_turn(message.text, self._own_intents):
                    await self._on_new_message(message)
            for answer in finished[1] if finished is not None else ():
                await message.output_channel.send_response(message.sender_id, answer)
        return TurnResult(parsed, observed)

    def watching(self, output: OutputChannel, conversation_id: str) -> AbstractContextManager[ObservedTurn]:
        """Observe the output of a proactive turn."""
        fit = partial(self._fit, output.name(), output, conversation_id)
        return self._observer.turn(output, conversation_id, self._make_options(output.name()), fit=fit)

    async def shown(self, channel: str, conversation_id: str, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message as the customer gets it, for a channel that follows handoff markers itself."""
        return await self._observer.shown(conversation_id, message, self._make_options(channel))

    async def requested_handoff(
        self, channel: str, message: UserMessage, result: TurnResult
    ) -> RequestedHandoff | None:
        """Return the handoff that the turn asks for, or None.

        If there is none, the messages held back are released, and the options sent if they were asked for.
        """
        intent, observed = intent_of(result.parsed), result.observed
        if observed.request is None and intent not in (self._intents.execute, self._intents.options):
            await self._conclude(channel, message, observed)
            return None
        tracker = await self._read(message.sender_id)
        form = tracker.active_loop.name if tracker is not None and tracker.active_loop is not None else None
        if observed.request is not None or (intent == self._intents.execute and form != names.CONTACT_FORM):
            events = tracker.events if tracker is not None else ()
            happened = up_to(message.message_id, [event.as_dict() for event in events])
            request = complete_request(observed.request, result.parsed, happened, self._intents)
            return RequestedHandoff(request, form if intent == self._intents.execute else None)
        if intent == self._intents.options and not observed.offered and form != names.CONTACT_FORM:
            options = await self._options.message(message.sender_id, channel)
            await message.output_channel.send_response(message.sender_id, options)
            observed.question = with_payloads(options)
            observed.asks_whom = shows_options(options, f"/{self._intents.execute}")
            await observed.release()
        else:
            await self._conclude(channel, message, observed)
        return None

    async def _read(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the tracker, or None if it can't be read now, which must not prevent a handoff."""
        try:
            return await self._bot.tracker_after_turn(conversation_id)
        except Unreachable:
            return None

    async def _conclude(self, channel: str, message: UserMessage, observed: ObservedTurn) -> None:
        """Release the messages held back; notify the customer of a marker that can't be read, or a failed action at the end."""
        await observed.release()
        if observed.misread:
            refusal = await self._bot.render_safely(names.UTTER_REFUSED, message.sender_id, channel)
            await message.output_channel.send_response(message.sender_id, refusal)
        elif observed.failed:
            notice_text = await self._bot.render_safely(names.UTTER_NOT_TAKEN, message.sender_id, channel)
            await message.output_channel.send_response(message.sender_id, notice_text)

    async def with_options(
        self, channel: str, conversation_id: str, happened: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Return the tracker's events with the options inserted where they were shown, as they were shown.

        The tracker itself has only the marker, or only the request for the options; and it has the question of an open form,
        which was held back.
        """
        if _began_session(happened):
            happened = [event.as_dict() for event in (await self._bot.full_tracker(conversation_id)).events]
        indexes = indexes_of_options(happened, self._intents)
        completed: list[Mapping[str, Any]] = []
        there: Availability | None = None
        held_back = indexes_of_form_questions(happened)
        asks_whom = False
        for index, event in enumerate(happened):
            if event.get("event") == "user":
                asks_whom = False
            if asks_whom and index in held_back:
                continue
            if event.get("event") == "user" and (for_actions := read_metadata(event.get("metadata"))) is not None:
                there = for_actions.availability  # as it was in this turn
            completed.append(event)
            if index in indexes:
                ends_fallback = (event.get("metadata") or {}).get("utter_action") == names.UTTER_DEFAULT
                options = await self._options.message(conversation_id, channel, ends_fallback, there)
                if event.get("event") == "bot":  # it had the marker, and the options were shown in it
                    marked = {**(completed.pop().get("data") or {}), "text": event.get("text")}
                    options = merged_with_options(marked, options, f"/{self._intents.execute}", ends_fallback)
                shown = {"event": "bot", "text": options.get("text"), "data": options}
                completed.append({**shown, "timestamp": event.get("timestamp")})
            asks_whom = asks_whom or _shows_options(completed[-1:], self._intents.execute)
        return completed

    def _make_options(self, channel: str) -> MakeOptions:
        return lambda conversation_id, ends_fallback: self._options.message(conversation_id, channel, ends_fallback)


def indexes_of_options(happened: Sequence[Mapping[str, Any]], intents: IntentSettings) -> set[int]:
    """Return the indexes of the events after which options were shown: the bot's marker, or the request answered here."""
    # A request for the options counts until the bot itself shows them after it, hands over, or asks for the contact.
    indexes: set[int] = set()
    asked: int | None = None
    form: str | None = None
    for index, event in enumerate(happened):
        if event.get("event") == "active_loop":
            form = event.get("name")
            indexes -= {asked} if form == names.CONTACT_FORM else set()
        elif event.get("event") == "user":
            asks = intent_of(event.get("parse_data") or {}) == intents.options and form != names.CONTACT_FORM
            asked = index if asks else None
            indexes |= {index} if asks else set()
        elif (marker := marker_of(event)) is not None:
            indexes = (indexes - {asked}) | ({index} if isinstance(marker, OptionsRequest) else set())
        elif event.get("event") == "bot" and shows_options(event.get("data") or {}, f"/{intents.execute}"):
            indexes = indexes - {asked}  # shown by an action, and in the tracker with the buttons
    return indexes


def indexes_of_form_questions(happened: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the indexes of the messages that a form said while it was open."""
    indexes: set[int] = set()
    form = action = None
    for index, event in enumerate(happened):
        if event.get("event") == "active_loop":
            form = event.get("name")
        elif event.get("event") == "action":
            action = event.get("name") if event.get("name") == form else None
        elif event.get("event") == "bot" and action is not None:
            indexes.add(index)
    return indexes


def _shows_options(said: Sequence[Mapping[str, Any]], execute: str) -> bool:
    return any(event.get("event") == "bot" and shows_options(event.get("data") or {}, f"/{execute}") for event in said)


def _began_session(happened: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the turn began a new session, so that the customer's message isn't among these events.

    Tracker stores return only the current session.
    """
    kinds = {event.get("event") for event in happened}
    return "user" not in kinds and not kinds.isdisjoint(SESSION_STARTS)


def _metadata_of(message: UserMessage) -> dict[str, Any]:
    """Return the message's metadata as a dict; a front end may send anything, and what is no mapping is kept under a key."""
    own: Any = message.metadata
    if isinstance(own, Mapping):
        return dict(own)
    return {} if own is None else {"metadata": own}


class ProactiveTurns:
    """Observes turns that no customer's message began, called by ``compat/processor.py``."""

    def __init__(self, turn: BotTurn, closing: Closing) -> None:
        self._turn, self._closing = turn, closing

    @asynccontextmanager
    async def around(self, conversation_id: str, output: OutputChannel) -> AsyncIterator[None]:
        """Observe a proactive turn. It may close the conversation; a handoff needs a customer's message to answer."""
        if getattr(output, "has_own_desk", False):  # a platform observes its turns itself
            yield
            return
        with self._turn.watching(output, conversation_id) as observed:
            yield
        if observed.request is not None:
            log.warning(
                "A handoff of %s was requested in a turn without a customer's message: it isn't made.",
                short_id(conversation_id),
            )
        if observed.close:
            await self._closing.tell(conversation_id, output.name(), output)
