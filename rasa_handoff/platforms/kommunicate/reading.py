"""Reading a request, as it is documented and as it is really sent: numbers for texts, JSON within JSON, nothing for nothing.

What isn't known is kept in ``metadata`` and passed on.
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.kommunicate.door import Rejected
from rasa_handoff.vocabulary.values import Value

WELCOME: Final = ("WELCOME", "WELCOME_EVENT")
CONTEXT: Final = "KM_CHAT_CONTEXT"
CONTENT_TYPES: Final = {"text": 0, "attachment": 1, "location": 2, "html": 3, "notify": 10, "hidden": 11}
LOCATION, HTML, NOTIFY = CONTENT_TYPES["location"], CONTENT_TYPES["html"], CONTENT_TYPES["notify"]
LONGEST_ID: Final = 255
"""What Rasa's SQL tracker store takes as a sender's id."""

Location = dict[str, Any]
File = dict[str, Any]


class Incoming(Value, frozen=True):
    """One request. ``files``: each ``type`` and whatever of ``name``, ``url`` and ``size`` is there; ``location``: ``lat`` and
    ``lon``, numbers or texts, as they came. ``pressed``: the customer clicked something. ``skips``: events the page wants no
    answer to. ``metadata``: Kommunicate's own, with the chat context read."""

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


READ: Final = ("botId", "groupId", "key", "from", "message", "metadata", "contentType", "eventName")


def read_request(body: Mapping[str, Any]) -> Incoming:
    """The request as a value.

    Raises:
        Rejected: 400 if it names no conversation.
    """
    group = _id(body.get("groupId"))
    if group is None:
        raise Rejected(400, f"groupId is missing, or no text or number; the fields are {_fields(body)}.")
    metadata = dict(_mapping(body.get("metadata")))
    context = _mapping(metadata.get(CONTEXT))
    metadata = {**metadata, CONTEXT: context} if CONTEXT in metadata else metadata
    kind = _content_type(body.get("contentType"))
    text = _text(body.get("message"))
    places, files = _attachments(context, metadata, body)
    place = places[0] if places else _place_in(text) if kind == LOCATION else None
    return Incoming(
        bot_id=str(body["botId"]),
        conversation_id=group,
        key=_id(body.get("key")),
        user_id=_id(body.get("from")),
        text="" if place is not None and not places else _words(text) if kind == HTML else text,
        content_type=kind,
        event=_text(body.get("eventName")) or None,
        files=tuple(files),
        location=place,
        talk_to_human=_true(metadata.get("TALK_TO_HUMAN")) or _true(context.get("TALK_TO_HUMAN")),
        pressed=_true(metadata.get("KM_BUTTON_CLICKED")) or _true(context.get("KM_BUTTON_CLICKED")),
        skips=_skips(context, metadata, body),
        metadata=metadata,
        rest={name: value for name, value in body.items() if name not in READ},
    )


def _fields(body: Mapping[str, Any]) -> str:
    return ", ".join(str(name)[:40] for name in list(body)[:30]) or "none"


def _id(value: Any) -> str | None:
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    id = _text(str(value)) if usable else ""
    return id if 0 < len(id) <= LONGEST_ID else None


def _text(value: Any) -> str:
    """A text that any database takes: no halves of characters, no NUL."""
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, bool | dict | list) else str(value)
    return value.encode("utf-8", "replace").decode().replace("\0", "").strip()


def _mapping(value: Any) -> Mapping[str, Any]:
    """An object, also if it came as a JSON text."""
    found = _unwrapped(value)
    return found if isinstance(found, dict) else {}


def _unwrapped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _content_type(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    name = str(value or "").strip().casefold()
    return int(name) if name.isascii() and name.isdigit() else CONTENT_TYPES.get(name)


def _attachments(*places: Mapping[str, Any]) -> tuple[list[Location], list[File]]:
    """Where they may stand, the first that has some counting; locations and files apart."""
    listed = next((found for place in places if (found := _list(place.get("attachments")))), [])
    locations: list[Location] = []
    files: list[File] = []
    for attachment in listed:
        payload = _mapping(attachment.get("payload"))
        if attachment.get("type") == "location":
            locations.append({"lat": payload.get("lat"), "lon": payload.get("lon", payload.get("lng"))})
        else:
            files.append({"type": attachment.get("type"), **payload})
    return locations, files


def _list(value: Any) -> list[Mapping[str, Any]]:
    found = _unwrapped(value)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _place_in(text: str) -> Location | None:
    """A location's message may be ``{"lat": ..., "lon": ...}`` itself."""
    place = _mapping(text)
    lon = place.get("lon", place.get("lng"))
    return {"lat": place["lat"], "lon": lon} if "lat" in place and lon is not None else None


def _skips(*places: Mapping[str, Any]) -> tuple[str, ...]:
    for place in places:
        found = _unwrapped(place.get("skipBotEvent"))
        if isinstance(found, list):
            return tuple(str(name) for name in found)
    return ()


def _true(value: Any) -> bool:
    return value is True or str(value).casefold() == "true"


def _words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())
