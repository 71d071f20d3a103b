"""The output observer: reads the markers in a turn's messages, and completes buttons.

It wraps ``send_response`` on the output channel's instance, so that the channel's type stays the same. A marker is removed
before the message reaches the customer's front end: in plain Rasa it would make socketio, twilio, rocketchat and hangouts raise,
and lose the turn. One output object may serve several customers and turns at once (telegram), so the observations belong to the
turn's task.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.channel.compat.rasa_channels import Send, replace_sending
from rasa_handoff.core.native_messages import ChannelMessage
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.markers import (
    Close,
    HandoffRequest,
    OptionsRequest,
    directives_in,
    key_of,
    read_directives,
    read_marker,
    shows_options,
    without_directives,
)
from rasa_handoff.protocol.names import PRIORITY_DIRECTIVE, UTTER_DEFAULT
from rasa_handoff.protocol.text import valid

log = get_log(__name__)

MakeOptions = Callable[[str, bool], Awaitable[ChannelMessage]]
"""Makes the message with the options for a conversation; the second argument is whether they belong to the bot's
fallback (``utter_default``)."""

Fit = Callable[[ChannelMessage], list[ChannelMessage]]
"""Returns a question as the messages of its channel."""

BUTTON_KEYS: Final = ("buttons", "quick_replies")
"""The keys of Rasa's message dict that contain buttons."""


def with_payloads(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with a payload for each button: its title, if it has none.

    Several of Rasa's channels raise for a button without a payload.
    """
    made = {name: _completed(message[name]) for name in BUTTON_KEYS if isinstance(message.get(name), list)}
    if isinstance(message.get("elements"), list):
        made["elements"] = [_card(element) for element in message["elements"]]
    return {**message, **made}


def _card(element: Any) -> Any:
    if not isinstance(element, Mapping) or not isinstance(element.get("buttons"), list):
        return element
    return {**element, "buttons": _completed(element["buttons"])}


def _completed(buttons: list[Any]) -> list[Any]:
    return [_complete(button) if isinstance(button, Mapping) else button for button in buttons]


def _complete(button: Mapping[str, Any]) -> dict[str, Any]:
    title, payload = button.get("title"), button.get("payload")
    if payload is None and "url" not in button:
        payload = title
    more = {"title": payload if title is None else title, "payload": payload}
    return {**button, **{name: value for name, value in more.items() if value is not None}}


def unchanged(message: ChannelMessage) -> list[ChannelMessage]:
    """Return a message as it is."""
    return [message]


class ObservedTurn:
    """The observations of one turn's output. ``fit`` makes of the options what their channel can show.

    ``spoke``: whether the bot said anything. ``request``: the first handoff marker. ``marked``: whether there was one, readable
    or not. ``misread``: whether one couldn't be read. ``offered``: whether the options were sent. ``question``: the message with
    the options, if nothing was said after it. ``asks_whom``: whether these had anybody to choose. ``close``: whether the bot
    ended the conversation. ``failed``: whether an action failed and nothing was said after it.

    With ``hold``, messages are held back until :meth:`release`. With ``hold_form``, or once the options were sent, only an open
    form's question is: the customer would be asked two things at once.
    """

    def __init__(self, make_options: MakeOptions, hold: bool, hold_form: bool = False, fit: Fit = unchanged) -> None:
        self.make_options, self.hold, self.hold_form, self.fit = make_options, hold, hold_form, fit
        self.held_form: list[Callable[[], Awaitable[None]]] = []
        self.held: list[Callable[[], Awaitable[None]]] = []
        self.request: HandoffRequest | None = None
        self.spoke = False
        self.marked = False
        self.misread = False
        self.offered = False
        self.question: ChannelMessage | None = None
        self.asks_whom = False
        self.close = False
        self.failed = False

    async def release(self) -> None:
        """Send the messages held back, and hold no more. An open form's question is dropped if the options are asked instead."""
        self.hold, held, self.held = False, self.held, []
        for send in held:
            await send()
        asked, self.held_form, self.hold_form = self.held_form, [], False
        if asked and not self.asks_whom:
            self.question = None
            for send in asked:
                await send()


_turn: ContextVar[ObservedTurn | None] = ContextVar("handoff_turn", default=None)


_form_runs: ContextVar[bool] = ContextVar("handoff_form_runs", default=False)


@contextmanager
def running_action(is_form: bool) -> Iterator[None]:
    """Within the block an action runs; ``is_form``: the form that is open, whose messages are its question."""
    token = _form_runs.set(is_form)
    try:
        yield
    finally:
        _form_runs.reset(token)


def action_failed() -> None:
    """Note that an action of this task's turn has failed, which Rasa only logs."""
    if (observed := _turn.get()) is not None:
        observed.failed = True


def turn_cut_off() -> None:
    """Note that Rasa stopped this task's turn after too many actions; it has failed unless it said something."""
    if (observed := _turn.get()) is not None:
        observed.failed = not observed.spoke


class OutputObserver:
    """Observes output channels.

    ``execute_prefix``: the beginning of the options' payloads, such as ``/execute_handoff``. ``follows``: whether directives are
    followed here; otherwise they are left to the output channel.
    """

    def __init__(self, execute_prefix: str, show_marker: bool, follows: bool = True) -> None:
        self._prefix, self._show_marker, self._follows = execute_prefix, show_marker, follows
        self._watching: ContextVar[tuple[str, ObservedTurn] | None] = ContextVar("handoff_watching", default=None)

    @contextmanager
    def turn(
        self,
        output: OutputChannel,
        recipient_id: str,
        make_options: MakeOptions,
        hold: bool = False,
        hold_form: bool = False,
        fit: Fit = unchanged,
    ) -> Iterator[ObservedTurn]:
        """Observe the messages to this recipient during their turn; an options marker is replaced by ``make_options``."""
        self._wrap(output)
        observed = ObservedTurn(make_options, hold, hold_form, fit)
        token, turn = self._watching.set((recipient_id, observed)), _turn.set(observed)
        try:
            yield observed
        finally:
            self._watching.reset(token)
            _turn.reset(turn)

    async def shown(self, conversation_id: str, message: ChannelMessage, make_options: MakeOptions) -> ChannelMessage:
        """Return a message sent outside a turn, with the options in their marker's place. A handoff's marker stays."""
        message = valid(message)
        try:
            if isinstance(read_marker(message.get("custom")), HandoffRequest):
                return message
        except MarkerError as problem:
            log.error("A handoff marker was sent to %s that can't be read: %s", short_id(conversation_id), problem)
            return without_marker(message)
        return await self._observe(ObservedTurn(make_options, hold=False), conversation_id, message)

    def _wrap(self, output: OutputChannel) -> None:
        if "handoff_watched" in vars(output):
            return
        output.handoff_watched = True
        replace_sending(output, self._observing)

    def _observing(self, original: Send) -> Send:
        async def send_response(recipient_id: str, message: ChannelMessage) -> None:
            message = with_payloads(valid(message))
            about, observed = self._watching.get() or ("", None)
            observed = observed if about == recipient_id else None
            if observed is None:
                await original(recipient_id, message)
                return
            question, offered = observed.question, observed.offered
            shown = await self._observe(observed, recipient_id, message)
            if not shown:
                return
            send = original if observed.question is None else _in_pieces(original, observed.fit)
            is_form_question = _form_runs.get() and observed.offered == offered
            if is_form_question and (observed.hold or observed.hold_form or offered):
                observed.question = question
                observed.held_form.append(partial(send, recipient_id, shown))
            elif observed.hold:
                observed.held.append(partial(send, recipient_id, shown))
            else:
                await send(recipient_id, shown)

        return send_response

    async def _observe(self, observed: ObservedTurn, recipient_id: str, message: ChannelMessage) -> ChannelMessage:
        """Note what the message contains, and return what of it the customer gets."""
        observed.spoke, observed.failed, observed.question = True, False, None
        if shows_options(message, self._prefix):
            observed.offered, observed.question, observed.asks_whom = True, with_payloads(message), True
        try:
            marker = read_marker(message.get("custom"))
        except MarkerError as problem:
            observed.marked = observed.misread = True
            log.error("A handoff marker was sent to %s that can't be read: %s", short_id(recipient_id), problem)
            return {}  # "Passing you on." would be untrue; the customer is told after the turn
        if isinstance(marker, OptionsRequest):
            observed.offered = True
            ends_fallback = message.get("utter_action") == UTTER_DEFAULT
            options = await observed.make_options(recipient_id, ends_fallback)
            options = merged_with_options(message, options, self._prefix, ends_fallback)
            observed.question = with_payloads(options)  # a copy: outputs remove keys from the messages they send
            observed.asks_whom = shows_options(options, self._prefix)
            return self._in_place_of_marked(
                observed, recipient_id, message, options, _priority_directive(marker.request)
            )
        if isinstance(marker, HandoffRequest):
            observed.request, observed.marked = observed.request or marker, True
            shown = message if self._show_marker else without_marker(message)
            return self._in_place_of_marked(observed, recipient_id, message, shown, {})
        return self._follow_directives(observed, recipient_id, message) if self._follows else message

    def _in_place_of_marked(
        self,
        observed: ObservedTurn,
        recipient_id: str,
        message: ChannelMessage,
        shown: ChannelMessage,
        more: dict[str, Any],
    ) -> ChannelMessage:
        """Return ``shown``, which the customer gets in place of a message with a marker.

        The directives beside the marker are followed here or, together with ``more``, left in the message for the output channel.
        """
        if self._follows:
            self._follow_directives(observed, recipient_id, message)
            return shown
        left = {**more, **directives_in(message["custom"])}
        return {**shown, "custom": left} if left else shown

    def _follow_directives(self, observed: ObservedTurn, recipient_id: str, message: ChannelMessage) -> ChannelMessage:
        """Follow the message's directives and return the message without them."""
        try:
            directives = read_directives(message.get("custom"))
        except MarkerError as problem:
            log.error("A directive was sent to %s that can't be read: %s", short_id(recipient_id), problem)
            return without_marker(message)
        for directive in directives:
            if isinstance(directive, Close):
                observed.close = True
            else:
                log.warning("The channel of %s can't do what %s asks for.", short_id(recipient_id), key_of(directive))
        return without_directives_in(message) if directives and not self._show_marker else message


def _in_pieces(send: Send, fit: Fit) -> Send:
    """Return a sender that sends a question as its channel can show it."""

    async def send_response(recipient_id: str, message: ChannelMessage) -> None:
        for piece in fit(message):
            await send(recipient_id, piece)

    return send_response


def without_directives_in(message: ChannelMessage) -> ChannelMessage:
    """Return the message without directives in its ``custom``; empty if nothing visible is left."""
    rest = without_directives(message["custom"])
    return {**message, "custom": rest} if rest else without_marker(message)


def without_marker(message: ChannelMessage) -> ChannelMessage:
    """Return the message without its ``custom``; empty if nothing visible is left."""
    rest = {key: value for key, value in message.items() if key != "custom"}
    seen = ("text", "buttons", "quick_replies", "image", "attachment", "elements")
    return rest if any(rest.get(key) for key in seen) else {}


def _priority_directive(request: HandoffRequest) -> dict[str, Any]:
    """Return the priority as a directive beside the options: LivePerson can't take it in the answer that transfers."""
    return {PRIORITY_DIRECTIVE: request.priority.value} if request.priority is not None else {}


def merged_with_options(
    message: ChannelMessage, options: ChannelMessage, prefix: str, ends_fallback: bool
) -> ChannelMessage:
    """Return a marked message as it is shown: with the options in the marker's place, after its own text.

    ``prefix``: how the payloads of the options begin. A fallback for which there are no options is replaced whole: the sentence
    in their place says all there is to say.
    """
    if ends_fallback and not shows_options(options, prefix):
        return options
    own, offered = str(message.get("text") or ""), str(options["text"])
    text = own if offered in own else " ".join(part for part in (own, offered) if part)
    return {**without_marker(message), **options, "text": text}
