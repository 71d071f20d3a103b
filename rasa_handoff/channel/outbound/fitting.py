"""Fits what is said to a customer to their channel, as far as only the running output tells what that can do."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace
from rasa.core.channels.channel import CollectingOutputChannel, OutputChannel
from rasa.core.channels.socketio import SocketIOOutput

from rasa_handoff.core.channel_messages import AddressOf, Escape, Piece, pieces_of, pieces_of_notice
from rasa_handoff.core.native_messages import PAGES, ChannelMessage
from rasa_handoff.protocol.channel_capabilities import LEAST_OF_OWN, OWN, ChannelCapabilities, for_recipient
from rasa_handoff.protocol.message_parts import AnyPart

PARTS: Final = "handoff_said"
"""The key of a message's parts beside Rasa's keys, if it is for the channel to fit: an agent's words. None: a notice of ours. A
message without it is the bot's, and is sent as the project wrote it."""


def fitted(
    output: OutputChannel,
    able: ChannelCapabilities,
    conversation_id: str,
    message: ChannelMessage,
    address_of: AddressOf,
    escape: Escape,
) -> list[Piece]:
    """Return a message as those that the vendor takes, in order; each is a copy, which Rasa's output may take apart."""
    if PARTS not in message:
        return [Piece(_copy(message))]
    parts: Iterable[AnyPart] | None = message[PARTS]
    able = able_by(output, for_recipient(able, conversation_id))
    if parts is not None:
        return pieces_of(parts, able, address_of, escape)
    notice = _copy({key: value for key, value in message.items() if key != PARTS})
    return [Piece(_copy(piece.message), piece.otherwise) for piece in pieces_of_notice(notice, able)]


def fitted_question(
    output: OutputChannel, able: ChannelCapabilities, conversation_id: str, message: ChannelMessage
) -> list[ChannelMessage]:
    """Return a question of ours that is asked in a turn of the bot's as the messages of its channel."""
    pieces = pieces_of_notice(_copy(message), able_by(output, for_recipient(able, conversation_id)))
    return [piece.message for piece in pieces]


def able_by(output: OutputChannel, able: ChannelCapabilities) -> ChannelCapabilities:
    """Return what an output of a project's own can do: what it leaves to Rasa's base class is said in words there."""
    if able.name in PAGES and not isinstance(output, CollectingOutputChannel | SocketIOOutput):
        able = replace(OWN, arrival=able.arrival, receipts=able.receipts)
    if able.name != OWN.name:
        return able
    own: dict[str, Any] = {
        "images": (OWN if _defines(output, "send_image_url") else LEAST_OF_OWN).images,
        "files": (OWN if _defines(output, "send_attachment") else LEAST_OF_OWN).files,
        "buttons": (OWN if _defines(output, "send_text_with_buttons") else LEAST_OF_OWN).buttons,
    }
    return replace(able, **own)


def _defines(output: OutputChannel, method: str) -> bool:
    return getattr(type(output), method) is not getattr(OutputChannel, method)


def _copy(message: ChannelMessage) -> ChannelMessage:
    """Return a copy for Rasa's outputs, which take the message apart, and its buttons too."""
    buttons = message.get("buttons")
    copied = [dict(button) if isinstance(button, dict) else button for button in buttons or ()]
    return {**message, "buttons": copied} if buttons else dict(message)
