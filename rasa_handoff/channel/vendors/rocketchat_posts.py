"""Rocket.Chat's webhooks, of rooms and of its Omnichannel. Rasa reads one text, the first of several messages, and no file.

Written after Rocket.Chat's source (``apps/meteor/app/integrations/server/lib/triggerHandler.ts`` and
``apps/meteor/app/livechat/server/lib/webhooks.ts`` with ``normalizeMessageFileUpload.ts`` of RocketChat/Rocket.Chat); not tried
there. A file's address is on the server in the channel's settings.
"""

import hashlib
from collections.abc import Iterator
from urllib.parse import quote, urljoin

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    change,
    edited,
    fields,
    file_part,
    listed,
    text,
)
from rasa_handoff.protocol.message_parts import AnyPart


def read_webhook(body: VendorFields, channel: InputChannel) -> list[VendorMessage]:
    """Return the messages in a webhook's request."""
    if "visitor" not in body:
        return [_of_room(body, channel)]
    messages = listed(body.get("messages"))
    if not messages:
        return [VendorMessage()]
    if body.get("type") != "Message":  # the end of a session, which has all its messages once more
        return [VendorMessage(id=messages[0].get("_id"))]
    return [_of_visitor(body, message, channel) for message in messages]


def _of_room(body: VendorFields, channel: InputChannel) -> VendorMessage:
    id, message = body.get("message_id"), fields(body.get("message"))
    words = text(body.get("text"))
    if body.get("isEdited") and words is not None and id is not None:
        digest = hashlib.sha256(words.encode()).hexdigest()[:16]
        return change(edited(words), f"{id}.{digest}", {**body, "text": edited(words)})
    parts = tuple(_files(message, channel))
    words = words or _description(message)
    return VendorMessage(
        id=id, body={**body, "text": body.get("text") or ""}, words=words or "" if parts else None, parts=parts
    )


def _of_visitor(body: VendorFields, message: VendorFields, channel: InputChannel) -> VendorMessage:
    parts = tuple(_files(message, channel))
    one = {**message, "msg": message.get("msg") or ""}
    words = text(message.get("msg")) or _description(message) or ""
    return VendorMessage(
        id=message.get("_id"), body={**body, "messages": [one]}, words=words if parts else None, parts=parts
    )


def _files(message: VendorFields, channel: InputChannel) -> Iterator[AnyPart]:
    server = str(getattr(channel, "server_url", "") or "").rstrip("/") + "/"
    uploaded = fields(message.get("fileUpload"))  # of the Omnichannel's webhooks, with a whole address
    for file in listed(message.get("files")) or listed([message.get("file")]):
        name, id = text(file.get("name")), text(file.get("_id"))
        if id is None or (name or "").startswith("thumb-"):
            continue  # the small picture of a picture
        address = urljoin(server, f"file-upload/{quote(id, safe='')}/{quote(name or 'file', safe='')}")
        kind = text(file.get("type")) or text(uploaded.get("type"))
        size = file.get("size") or uploaded.get("size")
        yield file_part(kind, url=text(uploaded.get("publicFilePath")) or address, name=name, size=size)


def _description(message: VendorFields) -> str | None:
    """Return the words that came with a file."""
    return next((said for one in listed(message.get("attachments")) if (said := text(one.get("description")))), None)
