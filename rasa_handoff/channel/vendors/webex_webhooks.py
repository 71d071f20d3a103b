"""Webex's webhooks, which name a message by its id alone. Rasa asks Webex for it, and passes on its words only.

Written after Webex's documents (https://developer.webex.com/docs/api/v1/messages/get-message-details: ``files``;
https://developer.webex.com/docs/api/v1/attachment-actions/get-attachment-action-details;
https://developer.webex.com/docs/api/guides/webhooks); not tried at Webex. What a message has is read where Rasa asks for it
(``channel/compat/webex.py``): the addresses of its files need the bot's token.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    edited,
    fields,
    file_part,
    text,
    words_of,
)
from rasa_handoff.protocol.message_parts import CustomPart

PRESS: Final = "attachmentActions"
"""The resource of a webhook that tells of a press on a card."""


def read_webhook(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message that a webhook names; what it says follows."""
    data, updated = fields(body.get("data")), body.get("event") == "updated"
    id = f"{data.get('id')}.{data.get('updated') or body.get('created')}" if updated else data.get("id")
    return [VendorMessage(id=id, for_person=updated, is_change=updated)]


def with_message(said: VendorMessage, words: Any, files: Any) -> VendorMessage:
    """Return a message with what Webex says it has."""
    found, addresses = text(words), files if isinstance(files, list | tuple) else ()
    parts = tuple(file_part(None, url=address) for address in addresses if text(address))
    if said.is_change:
        return replace(said, words=edited(words_of(parts, found)))
    return replace(said, words=found or "" if parts else None, parts=parts, for_person=bool(parts and found is None))


def with_press(said: VendorMessage, inputs: Any) -> tuple[VendorMessage, str]:
    """Return a press with its title, and the text that the bot gets for it: its payload."""
    given: Mapping[str, Any] = fields(inputs)
    payload, title = text(given.get("payload")), text(given.get("title"))
    if payload is not None:
        return replace(said, words=title), payload
    parts = (CustomPart(json=dict(given)),)
    return replace(said, words=title or "", parts=parts, for_person=True), words_of(parts, title)
