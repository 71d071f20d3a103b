"""Watching a turn's output for markers, on the output channel's instance, so that its type stays what it was.

A marker is stripped before it reaches the customer's front end (in plain Rasa it would make socketio, twilio, rocketchat and
hangouts raise, and lose the turn). One output object may serve several customers and turns at once (telegram), hence the
watch is the turn's own: it goes with its task.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.rasa_room.buttons import with_payloads
from rasa_handoff.vocabulary.directives import Close, directives_in, key_of, read_directives, without_directives
from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest, OptionsRequest, read_marker
from rasa_handoff.vocabulary.names import PRIORITY_MARKER
from rasa_handoff.vocabulary.options import shows_options
from rasa_handoff.vocabulary.text import valid

log = get_log(__name__)

Message = dict[str, Any]
MakeOptions = Callable[[str], Awaitable[Message]]


class Watch:
    """What one turn has shown: ``spoke``, whether it said anything; ``request``, the first handoff marker; ``marked``, whether
    there was one, readable or not; ``offered``, whether the options went out; ``close``, whether the bot ended the conversation;
    ``failed``, whether an action failed and nothing was said after it.

    With ``hold`` the words are kept back until :meth:`release`.
    """

    def __init__(self, make_options: MakeOptions, hold: bool) -> None:
        self.make_options, self.hold = make_options, hold
        self.held: list[Callable[[], Awaitable[None]]] = []
        self.request: HandoffRequest | None = None
        self.spoke = False
        self.marked = False
        self.offered = False
        self.close = False
        self.failed = False

    async def release(self) -> None:
        """Let out what was held, and hold no longer."""
        self.hold, held, self.held = False, self.held, []
        for send in held:
            await send()


_turn: ContextVar[Watch | None] = ContextVar("handoff_turn", default=None)


def action_failed() -> None:
    """An action of the turn this task runs has failed; Rasa logs it and goes on."""
    if (watch := _turn.get()) is not None:
        watch.failed = True


def turn_cut_off() -> None:
    """Rasa has stopped the turn this task runs, since it took too many actions; unless it said something, it has failed."""
    if (watch := _turn.get()) is not None:
        watch.failed = not watch.spoke


class Watcher:
    """Watches output channels. ``execute_prefix`` is how the options' payloads begin, such as ``/execute_handoff``;
    ``follows``: whether directives are ours to follow; else they are left to the output channel."""

    def __init__(self, execute_prefix: str, show_marker: bool, follows: bool = True) -> None:
        self._prefix, self._show_marker, self._follows = execute_prefix, show_marker, follows
        self._watching: ContextVar[tuple[str, Watch] | None] = ContextVar("handoff_watching", default=None)

    @contextmanager
    def turn(
        self, output: OutputChannel, recipient_id: str, make_options: MakeOptions, hold: bool = False
    ) -> Iterator[Watch]:
        """Watch what goes to this recipient during their turn; an options marker is replaced by ``make_options``."""
        self._shadow(output)
        watch = Watch(make_options, hold)
        token, turn = self._watching.set((recipient_id, watch)), _turn.set(watch)
        try:
            yield watch
        finally:
            self._watching.reset(token)
            _turn.reset(turn)

    async def shown(self, conversation_id: str, message: Message, make_options: MakeOptions) -> Message:
        """A message that is said outside a turn, with the options in their marker's place. A handoff's marker stays."""
        message = valid(message)
        with suppress(MarkerError):
            if isinstance(read_marker(message.get("custom")), HandoffRequest):
                return message
        return await self._seen(Watch(make_options, hold=False), conversation_id, message)

    def _shadow(self, output: OutputChannel) -> None:
        if "handoff_watched" in vars(output):
            return
        output.handoff_watched = True
        original = output.send_response

        async def send_response(recipient_id: str, message: Message) -> None:
            message = with_payloads(valid(message))
            about, watch = self._watching.get() or ("", None)
            watch = watch if about == recipient_id else None
            shown = message if watch is None else await self._seen(watch, recipient_id, message)
            if shown and watch is not None and watch.hold:
                watch.held.append(partial(original, recipient_id, shown))
            elif shown:
                await original(recipient_id, shown)

        output.send_response = send_response

    async def _seen(self, watch: Watch, recipient_id: str, message: Message) -> Message:
        """Note what the message shows, and what of it the customer gets."""
        watch.spoke, watch.failed = True, False
        if shows_options(message, self._prefix):
            watch.offered = True
        try:
            marker = read_marker(message.get("custom"))
        except MarkerError as problem:
            watch.marked = True
            log.error("A handoff marker was sent to %s that can't be read: %s", short_id(recipient_id), problem)
            return without_marker(message)
        if isinstance(marker, OptionsRequest):
            watch.offered = True
            options = _with_options(message, await watch.make_options(recipient_id))
            return self._beside(watch, recipient_id, message, options, _sooner(marker.request))
        if isinstance(marker, HandoffRequest):
            watch.request, watch.marked = watch.request or marker, True
            shown = message if self._show_marker else without_marker(message)
            return self._beside(watch, recipient_id, message, shown, {})
        return self._directed(watch, recipient_id, message) if self._follows else message

    def _beside(
        self, watch: Watch, recipient_id: str, message: Message, shown: Message, more: dict[str, Any]
    ) -> Message:
        """What is shown in a marker's place; the directives beside the marker are followed or, with ``more``, left to the
        output channel."""
        if self._follows:
            self._directed(watch, recipient_id, message)
            return shown
        left = {**more, **directives_in(message["custom"])}
        return {**shown, "custom": left} if left else shown

    def _directed(self, watch: Watch, recipient_id: str, message: Message) -> Message:
        try:
            directives = read_directives(message.get("custom"))
        except MarkerError as problem:
            log.error("A directive was sent to %s that can't be read: %s", short_id(recipient_id), problem)
            return without_marker(message)
        for directive in directives:
            if isinstance(directive, Close):
                watch.close = True
            else:
                log.warning("The channel of %s can't do what %s asks for.", short_id(recipient_id), key_of(directive))
        return without_directives_in(message) if directives and not self._show_marker else message


def without_directives_in(message: Message) -> Message:
    """The message with what else stands in its ``custom``; empty if nothing a customer could see is left."""
    rest = without_directives(message["custom"])
    return {**message, "custom": rest} if rest else without_marker(message)


def without_marker(message: Message) -> Message:
    """The message without its ``custom``; empty if nothing a customer could see is left."""
    rest = {key: value for key, value in message.items() if key != "custom"}
    seen = ("text", "buttons", "quick_replies", "image", "attachment", "elements")
    return rest if any(rest.get(key) for key in seen) else {}


def _sooner(request: HandoffRequest) -> dict[str, Any]:
    """A platform may be able to hurry before anybody is chosen, and not in the answer that hands over (LivePerson)."""
    return {PRIORITY_MARKER: request.priority.value} if request.priority is not None else {}


def _with_options(message: Message, options: Message) -> Message:
    """The options in the marker's place, behind what the message itself says."""
    own, offered = str(message.get("text") or ""), str(options["text"])
    text = own if offered in own else " ".join(part for part in (own, offered) if part)
    return {**without_marker(message), **options, "text": text}
