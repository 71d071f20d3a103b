"""Facebook Messenger's events. Rasa reads the first message or press of a request, and nothing else of it.

Written after Meta's documents (https://developers.facebook.com/docs/messenger-platform/reference/webhook-events: ``messages``,
``messaging_postbacks``, ``message-echoes``, ``standby``, ``message-edits``, ``message-reactions``); not tried at Facebook. Events
come in batches (https://developers.facebook.com/docs/graph-api/webhooks/getting-started), and each becomes a request of its own.

- What the page itself has said (an echo) is nobody's message, and what follows it in a batch is. Rasa would take an echo's
  picture for a customer's.
- While another app has the conversation, its events come as ``standby``, on which Rasa fails. The bot must not answer them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    change,
    edited,
    fields,
    file_part,
    listed,
    place,
    text,
    unknown,
    words_of,
)
from rasa_handoff.protocol.message_parts import AnyPart, TextPart

RASA_TAKES: Final = ("audio", "image", "video", "file")
"""The types of a first attachment whose address Rasa gives the bot as text."""
NOTHING: Final = {"object": "page", "entry": []}


def read_batch(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the customers' messages in a batch of events, in their order."""
    return [said for entry in listed(body.get("entry")) for said in _of_entry(entry)] or [VendorMessage(body=NOTHING)]


def _of_entry(entry: VendorFields) -> Iterator[VendorMessage]:
    rest = {key: value for key, value in entry.items() if key not in ("messaging", "standby")}
    for channel in ("messaging", "standby"):
        for event in listed(entry.get(channel)):
            said = _read(event, with_thread=channel == "messaging")
            if said is not None:
                yield replace(said, body={"object": "page", "entry": [{**rest, "messaging": [said.body or event]}]})


def _read(event: VendorFields, with_thread: bool) -> VendorMessage | None:
    """Return the message of one event; None if a customer has said nothing by it. Its body is the event for Rasa."""
    if (postback := event.get("postback")) is not None:
        return _press(event, fields(postback), with_thread)
    if (reaction := event.get("reaction")) is not None:
        return _reaction(event, fields(reaction))
    if (edit := event.get("message_edit")) is not None:
        new = fields(edit)
        words = edited(text(new.get("text")) or "")
        return change(words, f"{new.get('mid')}.{new.get('num_edit')}", _as_text(event, words))
    message = fields(event.get("message"))
    if not message or message.get("is_echo"):
        return None
    return _message(event, message, with_thread)


def _message(event: VendorFields, message: VendorFields, with_thread: bool) -> VendorMessage:
    id, words = message.get("mid"), text(message.get("text"))
    if message.get("is_deleted"):
        return change("[Deleted: an earlier message]", f"{id}.deleted", _as_text(event, "[Deleted]"))
    attachments = listed(message.get("attachments"))
    parts = tuple(_parts(attachments, words or ""))
    if with_thread and _rasa_takes(message, attachments):
        return VendorMessage(
            id=id, words=words or "" if parts or fields(message.get("quick_reply")) else None, parts=parts
        )
    if not parts and words is None:
        parts = (unknown(", ".join(sorted(set(message) - {"mid"})) or "a message"),)
    return VendorMessage(
        id=id, body=_as_text(event, words_of(parts, words)), words=words or "", parts=parts, for_person=True
    )


def _rasa_takes(message: VendorFields, attachments: list[VendorFields]) -> bool:
    if fields(message.get("quick_reply")).get("payload") or "text" in message:
        return True
    first = attachments[0] if attachments else {}
    return first.get("type") in RASA_TAKES and bool(fields(first.get("payload")).get("url"))


def _press(event: VendorFields, postback: VendorFields, with_thread: bool) -> VendorMessage:
    """Return a pressed button, with its title; to an app that doesn't have the conversation Facebook tells no payload."""
    title, id = text(postback.get("title")), postback.get("mid") or f"press.{event.get('timestamp')}"
    if with_thread and postback.get("payload"):
        return VendorMessage(id=id, words=title)
    words = title or "[a button]"
    return VendorMessage(id=id, body=_as_text(event, words), words=words, for_person=True)


def _reaction(event: VendorFields, reaction: VendorFields) -> VendorMessage:
    shown = text(reaction.get("emoji")) or text(reaction.get("reaction")) or "?"
    taken_back = reaction.get("action") == "unreact"
    words = "[Reaction taken back]" if taken_back else f"[Reaction: {shown}]"
    id = f"{reaction.get('mid')}.{event.get('timestamp')}"
    return change(words, id, _as_text(event, words))


def _as_text(event: VendorFields, words: str) -> VendorFields:
    return {
        **{name: event[name] for name in ("sender", "recipient", "timestamp") if name in event},
        "message": {"text": words},
    }


def _parts(attachments: list[VendorFields], words: str) -> Iterator[AnyPart]:
    """Return the parts of a message's attachments. A sticker comes twice for a while, as a picture too."""
    seen: set[Any] = set()
    for attachment in attachments:
        payload = fields(attachment.get("payload"))
        sticker = payload.get("sticker_id")
        if sticker is not None and sticker in seen:
            continue
        seen.add(sticker)
        if (part := _part(str(attachment.get("type")), attachment, payload, words)) is not None:
            yield part


def _part(kind: str, attachment: VendorFields, payload: VendorFields, words: str) -> AnyPart | None:
    """Return the part of an attachment; None if the words have said it, as the preview of an address in them does."""
    address = text(payload.get("url")) or text(attachment.get("url"))
    title = text(payload.get("title")) or text(attachment.get("title"))
    if kind == "location":
        where = fields(payload.get("coordinates"))
        found = place(where.get("lat"), where.get("long"), title)
        if found is not None:
            return found
    if kind == "sticker" or payload.get("sticker_id"):
        return file_part("image", url=address, name="sticker") if address else TextPart(text="[Sticker]")
    if kind in RASA_TAKES and address is not None:
        return file_part(kind, url=address, name=title or (_name_in(address) if kind == "file" else None))
    if address is not None and address in words:
        return None
    link = " ".join(one for one in (title, address) if one)
    return TextPart(text=link) if link else unknown(kind)


def _name_in(address: str) -> str | None:
    """Return a file's name, which Facebook tells only as the end of its address."""
    return unquote(urlsplit(address).path.rpartition("/")[2]) or None
