"""Twilio's forms, of SMS, MMS and WhatsApp. Rasa reads the words and a place, and no picture, file or recording.

Written after Twilio's document (https://www.twilio.com/docs/messaging/guides/webhook-request); not tried at Twilio. The title of
a pressed button is its ``Body``. A contact comes as a file (``text/vcard``).
"""

from typing import Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import VendorFields, VendorMessage, file_part, place, text, unknown
from rasa_handoff.protocol.message_parts import AnyPart

MOST_MEDIA: Final = 100
"""Files of one form that are read; Twilio sends ten at most."""


def read_form(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message in a form."""
    words = text(body.get("Body"))
    if words is not None:
        words = words.replace("¡", "@")  # as Rasa does for SMS
    parts = [*_files(body)]
    where = place(body.get("Latitude"), body.get("Longitude"), body.get("Label"), body.get("Address"))
    if where is not None:
        parts.append(where)
    if not parts and not body.get("Body") and (kind := text(body.get("MessageType"))) not in (None, "text"):
        parts = [unknown(str(kind))]
    return [VendorMessage(id=body.get("MessageSid"), words=words or "" if parts else None, parts=tuple(parts))]


def _files(body: VendorFields) -> list[AnyPart]:
    counted = str(body.get("NumMedia") or 0)
    number = min(int(counted), MOST_MEDIA) if counted.isdecimal() else 0
    return [
        file_part(text(body.get(f"MediaContentType{index}")), url=body.get(f"MediaUrl{index}"))
        for index in range(number)
        if body.get(f"MediaUrl{index}")
    ]
