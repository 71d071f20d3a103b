"""Mattermost's outgoing webhooks. Rasa reads the words of a post, and not the files, which are named by id alone.

Written after Mattermost's source (``OutgoingWebhookPayload`` in ``server/public/model/outgoing_webhook.go`` of
mattermost/mattermost; https://developers.mattermost.com/integrate/webhooks/outgoing/); not tried at Mattermost. A file is fetched
from ``/api/v4/files/<id>`` of the server in the channel's settings, which is its address here.
"""

import re
from typing import Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import VendorFields, VendorMessage, file_part, text

FILE_ID: Final = re.compile(r"[a-z0-9]{26}")


def read_post(body: VendorFields, channel: InputChannel) -> list[VendorMessage]:
    """Return the message in a webhook's request."""
    if "trigger_word" not in body:
        return [VendorMessage()]
    server = str(getattr(channel, "url", "") or "").rstrip("/")
    ids = FILE_ID.findall(str(body.get("file_ids") or ""))
    parts = tuple(file_part(None, url=f"{server}/files/{id}") for id in ids)
    return [VendorMessage(id=body.get("post_id"), words=_words(body) if parts else None, parts=parts)]


def _words(body: VendorFields) -> str:
    """Return the words after the one that calls the bot."""
    words = text(body.get("text")) or ""
    called, _, rest = words.partition(" ")
    return rest if called == body.get("trigger_word") or rest else ("" if called == words else words)
