"""The delivery methods: how a message reaches a customer outside a turn of their own, channel by channel.

========================  =============================================================================
method                    channels
========================  =============================================================================
:class:`ConnectedSocket`  socketio: while a socket is connected; else at the next ``session_request``
:class:`Push`             telegram, a project's own with ``get_output_channel``
:class:`Callback`         callback
:class:`ThreadedPush`     facebook, rocketchat, twilio, webexteams: in a thread, since their clients block
:class:`RebuiltOutput`    botframework, mattermost, slack: an output made from data of the last message
:class:`Fetch`            rest, rasa, hangouts, twilio_voice: in the response to the next request
========================  =============================================================================
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from rasa.core.channels.channel import InputChannel, OutputChannel

from rasa_handoff.channel.compat.rasa_channels import Shorten, class_names, ids_of_parts, send_with_ids
from rasa_handoff.channel.compat.vendor_errors import (
    CallbackWithErrors,
    raise_on_errors,
    retry_after,
    translate_error,
)
from rasa_handoff.channel.hosted.socketio import HandoffSocketIO
from rasa_handoff.channel.outbound.blocking_calls import BlockingCalls
from rasa_handoff.channel.outbound.fitting import PARTS, able_by, fitted
from rasa_handoff.channel.slack_markup import escaped
from rasa_handoff.core.channel_messages import AddressOf, Piece, address_elsewhere
from rasa_handoff.core.native_messages import ChannelMessage
from rasa_handoff.protocol.channel_capabilities import (
    OWN,
    ChannelCapabilities,
    Length,
    capabilities_of,
    for_recipient,
)
from rasa_handoff.protocol.errors import HandoffError, Refused, Unreachable, Waits
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.message_parts import ButtonsPart, CardPart
from rasa_handoff.protocol.names import SPEAKER_KEY
from rasa_handoff.relay.taken_pieces import TakenPieces

if TYPE_CHECKING:  # a vendor's channel is loaded only when it is hosted
    from rasa.core.channels.botframework import BotFrameworkInput
    from rasa.core.channels.mattermost import MattermostInput
    from rasa.core.channels.slack import SlackInput

log = get_log(__name__)

TRY_SECONDS: Final = 10.0
"""Seconds that one attempt to deliver may take: a vendor may take a connection and never answer."""

ReturnData = Mapping[str, Any]
"""Data of the customer's last turn, stored to write to them later: the result of ``DeliveryMethod.return_data``."""


class DeliveryMethod:
    """The way to one channel's customers.

    ``capabilities``: what the channel can do. ``address_of``: where a picture or a file is found. ``shorten``: keeps a button's
    payload that is too long. ``by_page``: whether the customer has a page, connected to one process. ``try_seconds``: how long
    one attempt may take; None: its own limits suffice. ``names_speakers``: whether a message may have
    :data:`~rasa_handoff.protocol.names.SPEAKER_KEY` beside Rasa's keys.
    """

    by_page = False
    names_speakers = False
    try_seconds: float | None = TRY_SECONDS
    address_of: AddressOf = staticmethod(address_elsewhere)
    shorten: Shorten | None = None

    def __init__(self, channel: InputChannel, capabilities: ChannelCapabilities | None = None) -> None:
        self.channel, self._threads = channel, BlockingCalls()
        self.capabilities = capabilities or capabilities_of_channel(channel)
        self.taken_pieces = TakenPieces()
        self._not_before = 0.0

    @property
    def push(self) -> bool:
        """Whether a message can be delivered at any time."""
        return self.capabilities.push

    def able_for(self, conversation_id: str, output: OutputChannel) -> ChannelCapabilities:
        """Return what the channel can do for this customer. ``output``: of their last turn.

        A channel of a project's own that pushes does so by an output that it makes itself, which may be another one.
        """
        able = for_recipient(self.capabilities, conversation_id)
        if able is OWN:
            with contextlib.suppress(Exception):  # a message that needs it will say so
                output = self.channel.get_output_channel() or output
        return able_by(output, able)

    def has_page(self, conversation_id: str) -> bool:
        """Return whether a page of the customer is connected to this process."""
        return False

    def written(self, text: str) -> str:
        """Return an agent's text in the channel's markup, so that the customer sees what the agent wrote."""
        return text

    def return_data(self, output: OutputChannel) -> dict[str, Any]:
        """Return the data of this turn's output that is needed to write to the customer later. JSON-ready."""
        return {}

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Return an output that reaches the customer now.

        Raises:
            Waits: delivery is only possible once the customer connects or writes.
            Unreachable: it may work a little later.
        """
        output = self.channel.get_output_channel()
        if output is None:
            raise Unreachable(f"The channel '{self.channel.name()}' gives no output channel now.")
        return output

    async def send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        """Send one of Rasa's message dicts and return once the other side has acknowledged it. A repetition has the same id.

        What is for the channel to fit (:data:`~rasa_handoff.channel.outbound.fitting.PARTS`) may be several messages to the
        vendor. A repetition leaves out those that the vendor has taken.

        Raises:
            Unreachable: the vendor can't take it now.
            Refused: the vendor will never take it.
            Waits: the customer has disconnected meanwhile.
        """
        speaker = {SPEAKER_KEY: message[SPEAKER_KEY]} if SPEAKER_KEY in message else {}
        words = {key: value for key, value in message.items() if key != SPEAKER_KEY}
        words = await self._with_short_payloads(conversation_id, words)
        pieces = fitted(output, self.capabilities, conversation_id, words, self.address_of, self.written)
        count, ids = len(pieces), ids_of_parts(id, len(pieces))
        is_told = count > 1 and self.push  # what goes into an answer is taken as a whole, or isn't
        for place in range(await self.taken_pieces.of(conversation_id, id, count) if is_told else 0, count):
            await self._send_piece(output, conversation_id, pieces[place], ids[place], speaker)
            if is_told:
                await self.taken_pieces.note(conversation_id, id, count, place + 1)

    async def _with_short_payloads(self, conversation_id: str, message: ChannelMessage) -> ChannelMessage:
        """Return the message with buttons whose payload the channel takes: what is too long is kept, and has a key."""
        longest, shorten = self.capabilities.longest_payload, self.shorten
        if longest is None or shorten is None or not message.get(PARTS):
            return message

        parts = []
        for part in message[PARTS]:
            if isinstance(part, ButtonsPart | CardPart):
                part = await _fitting(part, longest, partial(shorten, conversation_id))
            parts.append(part)
        return {**message, PARTS: parts}

    async def _send_piece(
        self, output: OutputChannel, conversation_id: str, piece: Piece, id: str, speaker: ChannelMessage
    ) -> None:
        """Send one message to the vendor; if it refuses a picture, a file or a card, what is said in its place."""
        try:
            await self._send_once(output, conversation_id, {**piece.message, **speaker}, id)
        except Refused as problem:
            if piece.otherwise is None:
                raise
            log.warning("What %s refused is sent as a link: %s", self.channel.name(), problem)
            await self._send_once(output, conversation_id, {"text": piece.otherwise, **speaker}, id)

    async def _send_once(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        remaining = self._not_before - time.monotonic()
        if remaining > 0:
            raise Unreachable(f"{self.channel.name()} takes nothing for another {remaining:.0f} s.")
        try:
            await asyncio.wait_for(self._send(output, conversation_id, message, id), self.try_seconds)
        except HandoffError:
            raise
        except asyncio.TimeoutError as problem:
            raise Unreachable(f"{self.channel.name()} hasn't answered for {self.try_seconds:g} s.") from problem
        except Exception as problem:  # each vendor's client has its own
            self._not_before = time.monotonic() + retry_after(problem)
            if (translated := translate_error(problem, self.channel.name())) is None:
                raise
            raise translated from problem

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        await output.send_response(conversation_id, message)


async def _fitting(
    part: ButtonsPart | CardPart, longest: Length, shorten: Callable[[str, str], Awaitable[str]]
) -> ButtonsPart | CardPart:
    """Return a part whose buttons' payloads aren't too long."""
    buttons = []
    for button in part.buttons:
        if not button.url and not longest.fits(button.meaning):
            button = replace(button, payload=await shorten(button.title, button.meaning))
        buttons.append(button)
    return replace(part, buttons=tuple(buttons))


class Push(DeliveryMethod):
    """Delivery by the channel's own output channel, called in the event loop."""


class ThreadedPush(DeliveryMethod):
    """Delivery by the channel's own output channel, in a thread with an event loop of its own: the vendor's client blocks."""

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Return the channel's output, made in a thread too: rocketchat's signs in when it is made."""
        try:
            output = await asyncio.wait_for(self._threads.run(self.channel.get_output_channel), self.try_seconds)
        except asyncio.TimeoutError as problem:
            raise Unreachable(f"{self.channel.name()} hasn't answered for {self.try_seconds:g} s.") from problem
        if output is None:
            raise Unreachable(f"The channel '{self.channel.name()}' gives no output channel now.")
        return raise_on_errors(output)

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        await self._threads.run(lambda: asyncio.run(output.send_response(conversation_id, message)))


class Callback(DeliveryMethod):
    """Delivery by requests to the project's own address. Each message has an id, by which the receiver can drop copies."""

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Return the channel's output, which raises if the receiver refuses."""
        return CallbackWithErrors(self.channel.callback_endpoint)

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        await send_with_ids(output, conversation_id, message, id)


class ConnectedSocket(DeliveryMethod):
    """Delivery to a connected socket; to a page that acknowledges, the message is repeated until it has."""

    by_page = True
    try_seconds = None
    names_speakers = True

    def has_page(self, conversation_id: str) -> bool:
        """Return whether a socket of the customer is connected to this process."""
        assert isinstance(self.channel, HandoffSocketIO)
        return self.channel.connected(conversation_id)

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Return the channel's output, if a socket of the customer is connected."""
        if not self.has_page(conversation_id):
            raise Waits("No socket of this customer is connected.")
        return await super().output(conversation_id, data)

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        assert isinstance(self.channel, HandoffSocketIO)
        await self.channel.send(output, conversation_id, message, id)


class Fetch(DeliveryMethod):
    """Delivery in the response to the customer's next request, on a channel that can't push."""

    try_seconds = None

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Raise: there is no output outside a request."""
        raise Waits(f"The channel '{self.channel.name()}' can't push.")

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        await send_with_ids(output, conversation_id, message, id)


class RebuiltOutput(DeliveryMethod):
    """Delivery by an output that is made anew, from the attributes ``kept`` of the last turn's output."""

    kept: tuple[str, ...] = ()
    build: Callable[[Any, ReturnData], OutputChannel]

    def return_data(self, output: OutputChannel) -> dict[str, Any]:
        """Return the attributes that the vendor gave the output."""
        return {name: getattr(output, name, None) for name in self.kept}

    async def output(self, conversation_id: str, data: ReturnData) -> OutputChannel:
        """Return the output, made anew.

        Raises:
            Waits: no data is known before the customer's next message.
        """
        if not data:
            raise Waits(f"Where '{self.channel.name()}' reaches this customer is known only with their next message.")
        return self.build(self.channel, data)


class Slack(RebuiltOutput):
    """Delivery to the Slack channel and thread that the customer wrote in."""

    kept = ("slack_channel", "thread_id")

    def written(self, text: str) -> str:
        """Return the text with Slack's control characters escaped: ``<!channel>`` calls nobody."""
        return escaped(text)

    def build(self, channel: "SlackInput", data: ReturnData) -> OutputChannel:
        """Return Slack's own output for that channel and thread."""
        return channel.get_output_channel(data["slack_channel"], data["thread_id"])


class Mattermost(RebuiltOutput):
    """Delivery to the Mattermost channel that the customer wrote in. The client blocks.

    Mattermost drops a copy that arrives within half a minute.
    """

    kept = ("bot_channel",)

    def build(self, channel: "MattermostInput", data: ReturnData) -> OutputChannel:
        """Return Mattermost's output for that channel."""
        from rasa_handoff.channel.compat.vendor_outputs import MattermostWithErrors

        return MattermostWithErrors(channel.url, channel.token, data["bot_channel"], channel.webhook_url)

    async def _send(self, output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
        output.set_id(id)
        await self._threads.run(lambda: asyncio.run(output.send_response(conversation_id, message)))


class Teams(RebuiltOutput):
    """Delivery by the Bot Framework, whose client blocks.

    It needs the Framework's conversation, the bot's identity in it, and the address of the service.
    """

    kept = ("conversation", "bot", "global_uri")

    def build(self, channel: "BotFrameworkInput", data: ReturnData) -> OutputChannel:
        """Return the Bot Framework's output for that conversation."""
        from rasa_handoff.channel.compat.vendor_outputs import BotFrameworkWithErrors

        service_url = str(data["global_uri"]).removesuffix("v3/")
        return BotFrameworkWithErrors(
            channel.app_id, channel.app_password, data["conversation"], data["bot"], service_url
        )

    _send = ThreadedPush._send


METHODS: Final[Mapping[str, type[DeliveryMethod]]] = {
    "botframework": Teams,
    "callback": Callback,
    "facebook": ThreadedPush,
    "mattermost": Mattermost,
    "rocketchat": ThreadedPush,
    "slack": Slack,
    "socketio": ConnectedSocket,
    "twilio": ThreadedPush,
    "webexteams": ThreadedPush,
}
"""By the channel's row in the table of capabilities. Any other is pushed or fetched, as that row says."""


def may_have_mailbox(channel: InputChannel) -> bool:
    """Return whether this channel can't push, and its client is a project's own, which may fetch what waits."""
    return capabilities_of_channel(channel).mailbox


def delivery_methods_of(
    channels: Mapping[str, InputChannel],
    patience: float | None,
    shorten: Shorten | None = None,
    taken_pieces: TakenPieces | None = None,
) -> dict[str, DeliveryMethod]:
    """Return the delivery methods of these channels, by name.

    ``patience``: seconds for which a message is tried; no attempt takes longer. None: without end. ``shorten``: keeps payloads
    that are too long. ``taken_pieces``: keeps what vendors have taken; a page knows by itself what it has.
    """
    methods = {name: delivery_method_of(channel) for name, channel in channels.items()}
    for method in methods.values():
        method.shorten = shorten
        if taken_pieces is not None and not method.by_page:
            method.taken_pieces = taken_pieces
        if method.try_seconds is not None and patience is not None:
            method.try_seconds = min(method.try_seconds, patience)
    return methods


def delivery_method_of(channel: InputChannel) -> DeliveryMethod:
    """Return the delivery method of this channel."""
    able = capabilities_of_channel(channel)
    return METHODS.get(able.name, Push if able.push else Fetch)(channel, able)


def capabilities_of_channel(channel: InputChannel) -> ChannelCapabilities:
    """Return what this channel can do; a project's own subclass of one of Rasa's can do the same."""
    pushes = type(channel).get_output_channel is not InputChannel.get_output_channel
    return capabilities_of(class_names(type(channel)), pushes)
