"""Reading a request, as it is documented and as it is really sent: numbers for texts, JSON within JSON, nothing for nothing.

What isn't known is kept in ``metadata`` and passed on.
"""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.door import Rejected
from rasa_handoff.platforms.kommunicate.fields import HTML, IMAGE_LINK, LOCATION, as_content_type, as_flag, as_words
from rasa_handoff.platforms.reading import as_id, as_list, as_mapping, as_text, field_names, unwrapped
from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.values import Value

WELCOME: Final = ("WELCOME", "WELCOME_EVENT")
CONTEXT: Final = "KM_CHAT_CONTEXT"
TRIGGERED: Final = "KM_TRIGGER_EVENT"
"""In the metadata or the chat context: an event that the page or a pressed button triggers, if ``eventName`` doesn't say it."""

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
    group = as_id(body.get("groupId"))
    if group is None:
        raise Rejected(400, f"groupId is missing, or no text or number; the fields are {field_names(body)}.")
    metadata = dict(as_mapping(body.get("metadata")))
    context = as_mapping(metadata.get(CONTEXT))
    metadata = {**metadata, CONTEXT: context} if CONTEXT in metadata else metadata
    kind = as_content_type(body.get("contentType"))
    named = (body.get("eventName"), metadata.get(TRIGGERED), context.get(TRIGGERED))
    event = next((name for one in named if (name := as_text(one))), None)
    text = as_text(in_text(body.get("message")))
    if text == f"Event: {event}":
        text = ""  # Kommunicate's own words for it; the customer has said nothing
    places, files = _attachments(context, metadata, body)
    place = places[0] if places else _place_in(text) if kind == LOCATION else None
    if kind == IMAGE_LINK and not files and text:
        files, text = [{"type": "image", "url": text}], ""
    return Incoming(
        bot_id=str(body["botId"]),
        conversation_id=group,
        key=as_id(body.get("key")),
        user_id=as_id(body.get("from")),
        text="" if place is not None and not places else as_words(text) if kind == HTML else text,
        content_type=kind,
        event=event,
        files=tuple(files),
        location=place,
        talk_to_human=as_flag(metadata.get("TALK_TO_HUMAN")) or as_flag(context.get("TALK_TO_HUMAN")),
        pressed=as_flag(metadata.get("KM_BUTTON_CLICKED")) or as_flag(context.get("KM_BUTTON_CLICKED")),
        skips=_skips(context, metadata, body),
        metadata=metadata,
        rest={name: value for name, value in body.items() if name not in READ},
    )


def _attachments(*places: Mapping[str, Any]) -> tuple[list[Location], list[File]]:
    """Where they may stand, the first that has some counting; locations and files apart."""
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


def _place_in(text: str) -> Location | None:
    """A location's message may be ``{"lat": ..., "lon": ...}`` itself."""
    place = as_mapping(text)
    lon = place.get("lon", place.get("lng"))
    return {"lat": place["lat"], "lon": lon} if "lat" in place and lon is not None else None


def _skips(*places: Mapping[str, Any]) -> tuple[str, ...]:
    for place in places:
        found = unwrapped(place.get("skipBotEvent"))
        if isinstance(found, list):
            return tuple(str(name) for name in found)
    return ()
