"""What a front end of the project's own sends beside a customer's words: ``parts`` beside ``message``, on socketio and by HTTP.

Places and contacts are taken as they are. A front end can't send what only bots and agents offer, such as buttons, nor addresses
of files: an agent would open them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from rasa_handoff.channel.vendors.vendor_message import VendorMessage
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.message_parts import MOST_PARTS, ContactPart, LocationPart
from rasa_handoff.protocol.text import valid

PARTS: Final = "parts"
"""The key of a message's parts in what a front end sends."""

PagePart: TypeAlias = LocationPart | ContactPart
PageParts = Annotated[tuple[PagePart, ...], Meta(max_length=MOST_PARTS)]


def read_page_message(sent: Mapping[str, Any]) -> VendorMessage:
    """Return what a message has beside its words. Without words it is for a person, since the bot could do nothing with it.

    Raises:
        Refused: its parts can't be read; the sentence says why.
    """
    given = sent.get(PARTS)
    if not given:
        return VendorMessage()
    try:
        parts = msgspec.convert(valid(given), PageParts)
    except msgspec.ValidationError as problem:
        raise Refused("invalid", f"The message's parts can't be read: {problem}.") from problem
    return VendorMessage(parts=parts, for_person=not str(sent.get("message") or "").strip())
