"""Rasa's channels: their private methods that are called, and their outputs' methods that are replaced on one instance.

Rasa may send one message in several parts (paragraphs, a picture, buttons); each part gets an id of its own here.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, OutputChannel
from rasa.core.channels.rest import RestInput
from sanic.request import Request

from rasa_handoff.core.native_messages import PAYLOAD, ChannelMessage
from rasa_handoff.protocol.names import SPEAKER_KEY

Send = Callable[[str, ChannelMessage], Awaitable[None]]
"""Sends a message to a recipient: an output's ``send_response``."""
Emission = tuple[str, Any, dict[str, Any]]
"""An event, its payload and the other arguments of ``emit``."""


Shorten = Callable[[str, str, str], Awaitable[str]]
"""Keeps a button's payload that is too long, by conversation, title and payload, and returns what stands for it."""


class WithLifetime:
    """Base of hosted channels that do something when the server has started, and when it stops."""

    async def announce(self) -> None:
        """Begin, once the server runs."""

    async def retire(self) -> None:
        """End, when the server stops."""


class WithShortPayloads:
    """Base of hosted channels whose vendor limits the length of a button's payload."""

    def shorten_payloads(self, shorten: Shorten) -> None:
        """Have payloads that are too long kept by ``shorten``, which returns what stands for one."""


class AsksWhileSilent:
    """Base of hosted channels whose vendor asks for more while the customer is silent."""

    on_silence: Callable[[str, str, OutputChannel], Awaitable[bool]] | None = None
    """Called with the customer, the channel's name and an output for the waiting messages; False leaves the answer to Rasa."""


def class_names(kind: type) -> list[str]:
    """Return the full names of a class and its bases, nearest first. To compare by name loads no vendor's SDK."""
    return [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]


async def sender_of(channel: RestInput, request: Request) -> Any:
    """Return the sender's id in a request, as the channel reads it; a project's own channel may raise anything."""
    return await channel._extract_sender(request)


def replace_sending(output: OutputChannel, make: Callable[[Send], Send]) -> None:
    """Replace the ``send_response`` of one output, so that its type stays the same. ``make`` gets the original."""
    output.send_response = make(output.send_response)


async def send_directly(output: OutputChannel, conversation_id: str, message: ChannelMessage) -> None:
    """Send a message by the method of the output's class: the instance's may be observed, or write to the outbox."""
    await type(output).send_response(output, conversation_id, message)


def ids_of_parts(id: str, parts: int) -> list[str]:
    """Return the ids for the parts of one message; the last part has the message's own."""
    return [*(f"{id}.{number}" for number in range(1, parts)), id][:parts]


async def send_with_ids(output: OutputChannel, conversation_id: str, message: ChannelMessage, id: str) -> None:
    """Send a message through a collecting output, each part with an ``id`` added, which stock front ends ignore.

    If the message says who speaks, each part does.
    """
    if not isinstance(output, CollectingOutputChannel):
        await send_directly(output, conversation_id, message)
        return
    speaker = {SPEAKER_KEY: message[SPEAKER_KEY]} if SPEAKER_KEY in message else {}
    if PAYLOAD in message:
        await output._persist_message({"recipient_id": conversation_id, **message[PAYLOAD], **speaker, "id": id})
        return
    parts: list[ChannelMessage] = []
    persist = output._persist_message

    async def collect(part: ChannelMessage) -> None:
        parts.append(part)

    output._persist_message = collect
    try:
        await send_directly(output, conversation_id, message)
    finally:
        del output._persist_message
    for part, part_id in zip(parts, ids_of_parts(id, len(parts)), strict=True):
        await persist({**part, **speaker, "id": part_id})


async def emissions_of(output: OutputChannel, conversation_id: str, message: ChannelMessage) -> list[Emission]:
    """Return what a socketio output would emit for a message. The output serves this message alone."""
    recorder = _Recorder()
    output.sio = recorder
    await output.send_response(conversation_id, message)
    return recorder.emitted


class _Recorder:
    """Stands in for the Socket.IO server, to record what an output emits."""

    def __init__(self) -> None:
        self.emitted: list[Emission] = []

    async def emit(self, event: str, data: Any = None, **more: Any) -> None:
        """Record an emission."""
        self.emitted.append((event, data, more))
