"""Google Chat's events, which Rasa calls hangouts. Rasa reads the words, and fails on a message without any.

Written after Google's documents (https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages#attachment,
.../receive-respond-interactions); not tried at Google. A file can be fetched only with a service account, which Rasa's channel
doesn't have: it is told by its name and the address at which a person of that space can open it.
"""

from collections.abc import Iterator

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    fields,
    file_part,
    listed,
    text,
    words_of,
)
from rasa_handoff.protocol.message_parts import AnyPart, TextPart


def read_event(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message in an event."""
    if body.get("type") != "MESSAGE":
        return [VendorMessage(id=fields(body.get("message")).get("name") if "message" in body else None)]
    message = fields(body.get("message"))
    id, words, parts = message.get("name"), text(message.get("text")), tuple(_parts(message))
    if words is not None or (message.get("text") and not parts):
        return [VendorMessage(id=id, words=words if parts else None, parts=parts)]
    as_text = {**body, "message": {**message, "text": words_of(parts)}}
    return [VendorMessage(id=id, body=as_text, words="", parts=parts, for_person=True)]


def _parts(message: VendorFields) -> Iterator[AnyPart]:
    for attachment in listed(message.get("attachment")):
        drive = fields(attachment.get("driveDataRef")).get("driveFileId")
        address = text(attachment.get("downloadUri"))
        if address is None and drive:
            address = f"https://drive.google.com/open?id={drive}"
        yield file_part(text(attachment.get("contentType")), url=address, name=attachment.get("contentName"))
    for gif in listed(message.get("attachedGifs")):
        if (address := text(gif.get("uri"))) is not None:
            yield TextPart(text=address)
