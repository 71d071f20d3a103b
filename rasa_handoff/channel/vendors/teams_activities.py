"""The Bot Framework's activities, of Microsoft Teams and others. Rasa passes on messages, and their attachments as metadata.

Written after Microsoft's documents (https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference:
activity, attachment, entity; https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4 and
.../conversation-messages); not tried there. A file of Teams has its address in ``content.downloadUrl``, which needs no token; a
picture's ``contentUrl`` needs the bot's.
"""

from collections.abc import Iterator
from typing import Any, Final

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
)
from rasa_handoff.protocol.message_parts import AnyPart, CustomPart, TextPart

TEAMS_FILE: Final = "application/vnd.microsoft.teams.file.download.info"


def read_activity(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message in an activity."""
    id, kind = body.get("id"), body.get("type")
    if kind == "messageUpdate":
        new = edited(text(body.get("text")) or "")
        return [change(new, f"{id}.{body.get('timestamp')}", _as_text(body, new))]
    if kind == "messageDelete":
        return [change("[Deleted: an earlier message]", f"{id}.deleted", _as_text(body, "[Deleted]"))]
    if kind == "messageReaction":
        added = ", ".join(str(one.get("type")) for one in listed(body.get("reactionsAdded")))
        reaction = f"[Reaction: {added}]" if added else "[Reaction taken back]"
        return [change(reaction, id, _as_text(body, reaction))]
    if kind != "message":
        return [VendorMessage(id=id)]
    words, value = text(body.get("text")), body.get("value")
    if words is not None and text(fields(value).get("payload")) == words:  # a button of ours
        return [VendorMessage(id=id, words=text(fields(value).get("title")))]
    parts = (*_attached(body), *_places(body))
    if not parts and words is None:  # a card that was filled in has a value alone
        parts = (CustomPart(json=value),) if value else ()
    return [VendorMessage(id=id, words=words or "" if parts else None, parts=parts)]


def _attached(body: VendorFields) -> Iterator[AnyPart]:
    """Return the attachments. Teams sends each text a second time as HTML, without name and address: that is left out."""
    for attachment in listed(body.get("attachments")):
        kind, content = str(attachment.get("contentType") or ""), attachment.get("content")
        name, address = text(attachment.get("name")), text(attachment.get("contentUrl"))
        if kind == TEAMS_FILE:
            known = fields(content)
            yield file_part(None, url=text(known.get("downloadUrl")) or address, name=name)
        elif address is not None or name:
            yield file_part(kind, url=address, name=name)
        elif not kind.startswith("text/"):
            yield _card(kind, content)


def _card(kind: str, content: Any) -> AnyPart:
    words = " ".join(found for key in ("title", "text") if (found := text(fields(content).get(key))))
    return TextPart(text=words) if words else unknown(kind)


def _places(body: VendorFields) -> Iterator[AnyPart]:
    for entity in listed(body.get("entities")):
        if str(entity.get("type")).casefold() in ("place", "geocoordinates"):
            where = fields(entity.get("geo")) or entity
            name, address = entity.get("name"), entity.get("address")
            if (found := place(where.get("latitude"), where.get("longitude"), name, address)) is not None:
                yield found


def _as_text(body: VendorFields, words: str) -> VendorFields:
    return {**body, "type": "message", "text": words, "attachments": []}
