"""How a customer can be told something outside a turn of their own, channel by channel.

=================  ====================================================================================
way                channels
=================  ====================================================================================
:class:`Present`   socketio: while a socket is connected; else it waits for the next ``session_request``
:class:`Push`      telegram, a project's own with ``get_output_channel``
:class:`Callback`  callback
:class:`Threaded`  facebook, rocketchat, twilio, webexteams: their clients block, so a thread has them
:class:`Rebuilt`   botframework, mattermost, slack: an output made anew from what the last message told
:class:`Fetched`   rest, rasa, hangouts, twilio_voice: returned first with the customer's next request
=================  ====================================================================================
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rasa.core.channels.botframework import BotFrameworkInput
from rasa.core.channels.callback import CallbackInput
from rasa.core.channels.channel import InputChannel, OutputChannel
from rasa.core.channels.facebook import FacebookInput
from rasa.core.channels.mattermost import MattermostInput
from rasa.core.channels.rocketchat import RocketChatInput
from rasa.core.channels.slack import SlackInput
from rasa.core.channels.twilio import TwilioInput
from rasa.core.channels.webexteams import WebexTeamsInput

from rasa_handoff.rasa_room.parts import send_with_ids
from rasa_handoff.rasa_room.socketio import HandoffSocketIO
from rasa_handoff.rasa_room.vendors import HeardCallback, HeardMattermost, HeardTeams, attentive, meaning
from rasa_handoff.vocabulary.errors import HandoffError, Unreachable, Waits

Message = dict[str, Any]
Data = Mapping[str, Any]


class Reach:
    """A way to a channel's customers. ``push``: whether they can be told something at any time."""

    push = True

    def __init__(self, channel: InputChannel) -> None:
        self.channel = channel

    def return_data(self, output: OutputChannel) -> dict[str, Any]:
        """What of this turn's output must be kept to write to the customer later. JSON-ready."""
        return {}

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """An output that reaches the customer now.

        Raises:
            Waits: if only the customer's coming can bring it to them.
            Unreachable: if it may work a little later.
        """
        output = self.channel.get_output_channel()
        if output is None:
            raise Unreachable(f"The channel '{self.channel.name()}' gives no output channel now.")
        return output

    async def send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        """Send one of Rasa's message dicts; answered when the other side has acknowledged it. Sent again it has the same id.

        Raises:
            Unreachable: if the vendor can't take it now.
            Refused: if the vendor won't take it at all.
            Waits: if the customer has gone meanwhile.
        """
        try:
            await self._send(output, conversation_id, dict(message), id)
        except HandoffError:
            raise
        except Exception as problem:  # each vendor's client has its own
            if (told := meaning(problem, self.channel.name())) is None:
                raise
            raise told from problem

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        await output.send_response(conversation_id, message)


class Push(Reach):
    """The channel's own output channel, in the loop."""


class Threaded(Reach):
    """The same in a thread with a loop of its own, since the vendor's client blocks for as long as the vendor takes."""

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """Made in a thread too: rocketchat's signs in when it is made."""
        output = await asyncio.to_thread(self.channel.get_output_channel)
        if output is None:
            raise Unreachable(f"The channel '{self.channel.name()}' gives no output channel now.")
        return attentive(output)

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        await asyncio.to_thread(asyncio.run, output.send_response(conversation_id, message))


class Callback(Reach):
    """To the project's own address. What it is told has an id, by which it can drop what it has."""

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """Its output, which hears a refusal."""
        return HeardCallback(self.channel.callback_endpoint)

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        await send_with_ids(output, conversation_id, message, id)


class Present(Reach):
    """While a socket listens; to one that acknowledges, until it has."""

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """The channel's output, if somebody is there to hear it."""
        assert isinstance(self.channel, HandoffSocketIO)
        if not self.channel.connected(conversation_id):
            raise Waits("No socket of this customer is connected.")
        return await super().output(conversation_id, data)

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        assert isinstance(self.channel, HandoffSocketIO)
        await self.channel.send(output, conversation_id, message, id)


class Fetched(Reach):
    """Only in answer."""

    push = False

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """None outside a request."""
        raise Waits(f"The channel '{self.channel.name()}' can't push.")

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        await send_with_ids(output, conversation_id, message, id)


class Rebuilt(Reach):
    """An output made from the attributes ``kept`` of the last turn's output."""

    kept: tuple[str, ...] = ()
    build: Callable[[Any, Data], OutputChannel]

    def return_data(self, output: OutputChannel) -> dict[str, Any]:
        """The attributes that the vendor's side gave us."""
        return {name: getattr(output, name, None) for name in self.kept}

    async def output(self, conversation_id: str, data: Data) -> OutputChannel:
        """The output as it was, or a wait until the customer's next message tells where it goes."""
        if not data:
            raise Waits(f"Where '{self.channel.name()}' reaches this customer is known only with their next message.")
        return self.build(self.channel, data)


class Slack(Rebuilt):
    """The channel and thread the customer wrote in."""

    kept = ("slack_channel", "thread_id")

    def build(self, channel: SlackInput, data: Data) -> OutputChannel:
        """Slack's own output for that channel and thread."""
        return channel.get_output_channel(data["slack_channel"], data["thread_id"])


class Mattermost(Rebuilt):
    """The channel the customer wrote in. Its client blocks. Sent again within half a minute, Mattermost drops it."""

    kept = ("bot_channel",)

    def build(self, channel: MattermostInput, data: Data) -> OutputChannel:
        """Mattermost's output for that channel."""
        return HeardMattermost(channel.url, channel.token, data["bot_channel"], channel.webhook_url)

    async def _send(self, output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
        assert isinstance(output, HeardMattermost)
        output.named(id)
        await asyncio.to_thread(asyncio.run, output.send_response(conversation_id, message))


class Teams(Rebuilt):
    """The Bot Framework's conversation, the bot's identity in it and the service's address. Its client blocks."""

    kept = ("conversation", "bot", "global_uri")

    def build(self, channel: BotFrameworkInput, data: Data) -> OutputChannel:
        """The Bot Framework's output for that conversation."""
        service_url = str(data["global_uri"]).removesuffix("v3/")
        return HeardTeams(channel.app_id, channel.app_password, data["conversation"], data["bot"], service_url)

    _send = Threaded._send


WAYS: Mapping[type[InputChannel], type[Reach]] = {
    BotFrameworkInput: Teams,
    CallbackInput: Callback,
    FacebookInput: Threaded,
    HandoffSocketIO: Present,
    MattermostInput: Mattermost,
    RocketChatInput: Threaded,
    SlackInput: Slack,
    TwilioInput: Threaded,
    WebexTeamsInput: Threaded,
}
"""By class, so that a project's own subclass goes the same way. Any other channel pushes if it has ``get_output_channel``."""


def reach_of(channel: InputChannel) -> Reach:
    """The way to this channel's customers."""
    for kind, way in WAYS.items():
        if isinstance(channel, kind):
            return way(channel)
    pushes = type(channel).get_output_channel is not InputChannel.get_output_channel
    return Push(channel) if pushes else Fetched(channel)
