"""Reading of Kommunicate's webhook calls: the bots' webhook and the account webhook.

Requests are read as they are documented and as they are really sent: numbers in place of texts, JSON within JSON, missing
fields. Unknown fields are kept in ``metadata`` and passed on. The bot gets the customer's text, or the intent or payload that
the settings name for an event.

The account webhook reports every message in the account, whoever said it. Documented are ``key``, ``from``, ``groupId``,
``message``, ``timeStamp``, ``file`` and ``metadata`` (https://docs.kommunicate.io/docs/webhooks-configuration). How it reports
that a conversation was resolved or assigned isn't documented; Kommunicate's web widget reads that from ``KM_STATUS`` and
``KM_ASSIGN`` in a message's metadata, and so does this module.
"""

import html
import re
from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.channel.turn.handoff_request import Happened
from rasa_handoff.platforms.base import Rejected, as_payload, payload_behind
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.platforms.reading import as_id, as_list, as_mapping, as_text, field_names, unwrapped
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import in_text
from rasa_handoff.protocol.values import Value, plain

log = get_log(__name__)

CONTENT_TYPES: Final = {
    "text": 0,
    "attachment": 1,
    "location": 2,
    "html": 3,
    "image link": 5,
    "notify": 10,
    "hidden": 11,
}
LOCATION, HTML, NOTIFY = CONTENT_TYPES["location"], CONTENT_TYPES["html"], CONTENT_TYPES["notify"]
HIDDEN: Final = CONTENT_TYPES["hidden"]
IMAGE_LINK: Final = CONTENT_TYPES["image link"]

WELCOME: Final = ("WELCOME", "WELCOME_EVENT")
CONTEXT: Final = "KM_CHAT_CONTEXT"
TRIGGERED: Final = "KM_TRIGGER_EVENT"
"""Key, in the metadata or the chat context, of an event that the page or a pressed button triggers. ``eventName`` goes before."""
CREATED: Final = "created group"
"""How the platform's first message in a conversation begins; it counts as a welcome."""
READ: Final = ("botId", "groupId", "key", "from", "message", "metadata", "contentType", "eventName")
"""The fields of a request that have a field in ``KommunicateCall``; all others go into its ``rest``."""
ENDED: Final = ("resolved", "closed")
"""Values of ``KM_STATUS`` for a conversation that is over; otherwise it is open or waiting."""

Location = dict[str, Any]
File = dict[str, Any]


def as_content_type(value: Any) -> int | None:
    """Return the number of a content type, given as a number, as a number in a text, or by name; None if it isn't known."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    name = str(value or "").strip().casefold()
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else CONTENT_TYPES.get(name)


def as_flag(value: Any) -> bool:
    """Return whether the value is true, or the text ``true``."""
    return value is True or str(value).casefold() == "true"


def html_as_text(markup: str) -> str:
    """Return the text of HTML, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


class KommunicateCall(Value, frozen=True):
    """One call of a bot's webhook.

    ``files``: each with ``type`` and what is known of ``name``, ``url`` and ``size``; ``location``: ``lat`` and ``lon``,
    numbers or texts, as they came; ``pressed``: the customer pressed a button; ``skips``: events that the page wants no answer
    to; ``metadata``: Kommunicate's, with the chat context parsed.
    """

    bot_id: str
    conversation_id: str
    key: str | None = None
    user_id: str | None = None
    text: str = ""
    content_type: int | None = None
    event: str | None = None
    files: tuple[File, ...] = ()
    location: Location | None = None
    talk_to_human: bool = False
    pressed: bool = False
    skips: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    rest: dict[str, Any] = {}


def read_request(body: Mapping[str, Any]) -> KommunicateCall:
    """Read a call of a bot's webhook.

    Raises:
        Rejected: 400 if it names no conversation.
    """
    group = as_id(body.get("groupId"))
    if group is None:
        raise Rejected(400, f"groupId is missing, or no text or number; the fields are {field_names(body)}.")
    metadata = dict(as_mapping(body.get("metadata")))
    context = as_mapping(metadata.get(CONTEXT))
    metadata = {**metadata, CONTEXT: context} if CONTEXT in metadata else metadata
    kind = as_content_type(body.get("contentType"))
    candidates = (body.get("eventName"), metadata.get(TRIGGERED), context.get(TRIGGERED))
    event = next((name for candidate in candidates if (name := as_text(candidate))), None)
    text = as_text(in_text(body.get("message")))
    if text == f"Event: {event}":
        text = ""  # Kommunicate wrote it for the event; the customer has said nothing
    locations, files = _attachments(context, metadata, body)
    location = locations[0] if locations else _location_in(text) if kind == LOCATION else None
    if kind == IMAGE_LINK and not files and text:
        files, text = [{"type": "image", "url": text}], ""
    if location is not None and not locations:
        text = ""  # it was the location
    elif kind == HTML:
        text = html_as_text(text)
    return KommunicateCall(
        bot_id=str(body["botId"]),
        conversation_id=group,
        key=as_id(body.get("key")),
        user_id=as_id(body.get("from")),
        text=text,
        content_type=kind,
        event=event,
        files=tuple(files),
        location=location,
        talk_to_human=as_flag(metadata.get("TALK_TO_HUMAN")) or as_flag(context.get("TALK_TO_HUMAN")),
        pressed=as_flag(metadata.get("KM_BUTTON_CLICKED")) or as_flag(context.get("KM_BUTTON_CLICKED")),
        skips=_skips(context, metadata, body),
        metadata=metadata,
        rest={name: value for name, value in body.items() if name not in READ},
    )


def _attachments(*places: Mapping[str, Any]) -> tuple[list[Location], list[File]]:
    """Return locations and files, separately, from the first of the places that has attachments."""
    listed = next((found for place in places if (found := as_list(place.get("attachments")))), [])
    locations: list[Location] = []
    files: list[File] = []
    for attachment in listed:
        payload = as_mapping(attachment.get("payload"))
        if attachment.get("type") == "location":
            locations.append({"lat": payload.get("lat"), "lon": payload.get("lon", payload.get("lng"))})
        else:
            files.append({"type": attachment.get("type"), **payload})
    return locations, files


def _location_in(text: str) -> Location | None:
    """Read a location from a message that is ``{"lat": ..., "lon": ...}`` itself."""
    found = as_mapping(text)
    lon = found.get("lon", found.get("lng"))
    return {"lat": found["lat"], "lon": lon} if "lat" in found and lon is not None else None


def _skips(*places: Mapping[str, Any]) -> tuple[str, ...]:
    for place in places:
        found = unwrapped(place.get("skipBotEvent"))
        if isinstance(found, list):
            return tuple(str(name) for name in found)
    return ()


def read_text_for_bot(incoming: KommunicateCall, settings: KommunicateSettings, happened: Happened) -> str | None:
    """Return the text for the bot, given the conversation's events so far; None if there is nothing for it, and nothing to
    answer."""
    if incoming.talk_to_human:
        return as_payload(settings.talk_to_human or settings.intents.execute)
    if _is_welcome(incoming, happened):
        skipped = any(name in WELCOME for name in incoming.skips)
        return None if skipped or settings.welcome is None else as_payload(settings.welcome)
    if incoming.event in settings.events:
        intent = settings.events[incoming.event]
        return None if intent is None else as_payload(intent)
    if incoming.location is not None and settings.location is not None:
        return as_payload(settings.location)
    if incoming.files and settings.attachment is not None:
        return as_payload(settings.attachment)
    if incoming.content_type in (NOTIFY, HIDDEN):
        _log_ignored(incoming, "A report of the platform's about %s is ignored.")
        return None  # the platform reports something about the conversation; nobody has said it
    return _full_text(incoming, happened)


def metadata(incoming: KommunicateCall) -> dict[str, Any]:
    """Return the message's metadata for Rasa: ``attachments`` and ``location`` as on all channels, the rest under
    ``kommunicate``."""
    found = {**incoming.rest, **plain(incoming)}
    for name in ("rest", "text", "files", "location", "talk_to_human", "pressed", "skips"):
        found.pop(name, None)
    attached: dict[str, Any] = {"kommunicate": found}
    if incoming.files:
        attached["attachments"] = list(incoming.files)
    if incoming.location is not None:
        attached["location"] = incoming.location
    return attached


def _is_welcome(incoming: KommunicateCall, happened: Happened) -> bool:
    if incoming.event in WELCOME:
        return True
    first = not any(event.get("event") == "user" for event in happened)
    return first and incoming.text.casefold().startswith(CREATED)


def _full_text(incoming: KommunicateCall, happened: Happened) -> str | None:
    described = [f"[Attachment: {file.get('name') or file.get('url') or file.get('type')}]" for file in incoming.files]
    if incoming.location is not None:
        described.append(f"[Location: {incoming.location['lat']}, {incoming.location['lon']}]")
    text = payload_behind(incoming.text, happened, incoming.pressed)
    if whole := " ".join(part for part in (text, *described) if part):
        return whole
    _log_ignored(incoming, "A message of %s without text is ignored.")
    return None


def _log_ignored(incoming: KommunicateCall, without_event: str) -> None:
    """Log that a call has nothing for the bot. ``without_event``: the line if it is about no event."""
    if incoming.event is None:
        log.info(without_event, short_id(incoming.conversation_id))
    else:
        log.info(
            "The event %r of %s is ignored: it isn't in the settings, under 'events'.",
            incoming.event[:100], short_id(incoming.conversation_id),
        )  # fmt: skip


class AccountEvent(Value, frozen=True):
    """One message of the account.

    ``key``: unique; ``at``: seconds since 1970 by Kommunicate's clock, None if it isn't given; ``over``: the message reports
    that the conversation is resolved; ``assignee``: who has the conversation from now on, if the message reports that;
    ``shown``: whether the customer sees it.
    """

    conversation_id: str
    key: str
    sender: str | None = None
    text: str = ""
    at: float | None = None
    file: Mapping[str, Any] | None = None
    over: bool = False
    assignee: str | None = None
    shown: bool = True

    @property
    def full_text(self) -> str:
        """The text, with the file described in it."""
        file = self.file or {}
        name = file.get("name") or file.get("url") or file.get("type")
        return " ".join(part for part in (self.text, f"[Attachment: {name}]" if self.file else "") if part)


def read_account_event(body: Mapping[str, Any]) -> AccountEvent:
    """Read a call of the account webhook.

    Raises:
        Rejected: 400 if it names no conversation or no message.
    """
    group = as_id(body.get("groupId")) or as_id(body.get("clientGroupId"))
    key = as_id(body.get("key"))
    if group is None or key is None:
        missing = "groupId" if group is None else "key"
        raise Rejected(400, f"{missing} is missing, or no text or number.")
    metadata = as_mapping(body.get("metadata"))
    status, assignee = as_text(metadata.get("KM_STATUS")).casefold(), as_id(metadata.get("KM_ASSIGN"))
    kind = as_content_type(body.get("contentType"))
    hidden = metadata.get("category") == "HIDDEN" or as_flag(metadata.get("hide")) or kind in (NOTIFY, HIDDEN)
    return AccountEvent(
        conversation_id=group,
        key=key,
        sender=as_id(body.get("from")),
        text=as_text(in_text(body.get("message"))),
        at=_seconds(body.get("timeStamp")),
        file=_file(as_mapping(body.get("file"))),
        over=status in ENDED,
        assignee=assignee,
        shown=not (hidden or status or assignee),
    )


def _seconds(value: Any) -> float | None:
    """Return the seconds of a time in milliseconds, given as a number or a text."""
    digits = as_text(value)
    return int(digits) / 1000 if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _file(file: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a file in the form of ``attachments`` in a message's metadata."""
    if not file:
        return None
    known = {
        "type": file.get("contentType"),
        "name": file.get("name"),
        "url": file.get("url"),
        "size": file.get("size"),
    }
    return {name: value for name, value in known.items() if value is not None}
