"""Reading of LivePerson's calls, by a Function or to Custom Endpoint, as one type of value.

Unknown fields are kept in ``rest`` and passed on. The bot gets the customer's text, or the intent or payload that the settings
name for an event.

Custom Endpoint creates a conversation before its first event, with the engagement attributes. They are in the channel's
database (``platforms/memory.py``). An event of a conversation that isn't there is answered with 404: LivePerson then creates the
conversation again and repeats the event. That is done once for each conversation, for another 404 would not help.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rasa_handoff.channel.turn.handoff_request import Happened
from rasa_handoff.platforms.base import Rejected, as_payload, payload_behind
from rasa_handoff.platforms.liveperson.settings import LivePersonSettings
from rasa_handoff.platforms.reading import as_id, as_list, as_mapping, as_text, field_names
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import in_text
from rasa_handoff.protocol.values import Value, plain

log = get_log(__name__)

MESSAGE, WELCOME, RICH_CONTENT, FILE, CLOSED, NOTICE, TEST = (
    "message", "welcome", "rich_content", "file", "closed", "notice", "test",
)  # fmt: skip
"""Kinds of calls. ``notice``: nobody has said anything; ``test``: the call is about no conversation."""
MAGIC: Final = {
    "com.liveperson.bot-connectors.consumer.send-rich-content": RICH_CONTENT,
    "com.liveperson.bot-connectors.consumer.send-file": FILE,
}
"""The kind of call by the text that LivePerson sends when the customer sends something that isn't text."""
TYPES: Final = {
    "TEXT": MESSAGE, "RICH_CONTENT": RICH_CONTENT, "START": WELCOME, "STARTED": WELCOME, "TRANSFERRED": WELCOME,
    "WELCOME": WELCOME, "CLOSE_CONVERSATION": CLOSED, "CLOSED": CLOSED, "HOSTED-FILE": FILE, "HOSTED_FILE": FILE, "FILE": FILE,
}  # fmt: skip
"""The kind of call by the type of Custom Endpoint's event; for the type CONVERSATION by the event's name."""


class LivePersonCall(Value, frozen=True):
    """One call of a Function or of Custom Endpoint.

    ``caller``: the Function's name in the settings, or the bot's id; ``last_words``: the customer's last message before a
    welcome; ``files``: each with what is known of ``type``, ``name`` and ``url``; ``location``: ``lat`` and ``lon``;
    ``pressed``: the text comes from a button; ``attributes``: LivePerson's engagement attributes.
    """

    conversation_id: str
    caller: str
    kind: str = MESSAGE
    key: str | None = None
    text: str = ""
    last_words: str = ""
    environment: str | None = None
    files: tuple[dict[str, Any], ...] = ()
    location: dict[str, Any] | None = None
    rich_content: dict[str, Any] | None = None
    pressed: bool = False
    attributes: dict[str, Any] = {}
    event: dict[str, Any] = {}
    rest: dict[str, Any] = {}


def from_function(body: Mapping[str, Any], caller: str) -> LivePersonCall:
    """Read a Function's call. Its body is the payload, bare or as ``{"payload"}`` or ``{"input": {"payload"}}``.

    Raises:
        Rejected: 400 if it is about a conversation and has no id of it.
    """
    payload = as_mapping(as_mapping(body.get("input", body)).get("payload", body))
    context = as_mapping(payload.get("context"))
    event = as_mapping(context.get("lpEvent"))
    conversation_id = as_id(payload.get("convId")) or as_id(event.get("conversationId"))
    if conversation_id is None:
        if event or "convId" in payload:
            raise Rejected(400, f"convId is missing, or no text; the fields are {field_names(payload)}.")
        fields = field_names(payload)
        log.info("A call of %s with the fields %s names no conversation: it is answered as a test.", caller, fields)
        return LivePersonCall(conversation_id="", caller=caller, kind=TEST)
    text = as_text(in_text(payload.get("message")))
    kind = MAGIC.get(text, MESSAGE)
    if _is_welcome(payload, event):
        kind = WELCOME
    read = ("message", "convId", "event", "context")
    rest = {**_without(payload, *read), **_without(context, "lpEvent", "lpSdes")}
    if "event" in payload and kind != WELCOME:
        rest["event"] = payload["event"]
    return _incoming(
        conversation_id, caller, kind, text, event, {}, attributes=dict(as_mapping(context.get("lpSdes"))), rest=rest
    )


def from_endpoint(body: Mapping[str, Any], bot_id: str, environment: str, conversation_id: str) -> LivePersonCall:
    """Read an event of Custom Endpoint.

    Raises:
        Rejected: 400 if the conversation's id is empty or too long.
    """
    id = as_id(conversation_id)
    if id is None:
        raise Rejected(400, "The conversation's id is empty or too long.")
    context, data = as_mapping(body.get("context")), as_mapping(body.get("data"))
    event = as_mapping(context.get("lpEvent"))
    type = as_text(body.get("type")).upper()
    kind = TYPES.get(as_text(data.get("name")).upper() if type == "CONVERSATION" else type)
    text = as_text(in_text(data.get("message")))
    if kind is None:
        kind = MESSAGE if text else NOTICE  # an unknown type: the customer's message counts
    if kind == MESSAGE:
        kind = WELCOME if _is_welcome(body, event) else MAGIC.get(text, MESSAGE)
    rest = {**_without(body, "context", "data", "event"), **_without(context, "lpEvent")}
    return _incoming(id, bot_id, kind, text, event, data, environment=environment, rest=rest)


def _incoming(
    conversation_id: str,
    caller: str,
    kind: str,
    text: str,
    event: Mapping[str, Any],
    data: Mapping[str, Any],
    **more: Any,
) -> LivePersonCall:
    content = _content(event, data) if kind == RICH_CONTENT else None
    return LivePersonCall(
        conversation_id=conversation_id,
        caller=caller,
        kind=kind,
        key=_key(kind, event),
        text="" if text in MAGIC or kind in (WELCOME, CLOSED, NOTICE) else text,
        last_words=as_text(in_text(event.get("lastConsumerMessage"))) if kind == WELCOME else "",
        files=(_file(event, data),) if kind == FILE else (),
        location=_location(content),
        rich_content=dict(content) if content else None,
        pressed=_is_pressed(event),
        event=dict(event),
        **more,
    )


def _is_welcome(body: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Return whether this is a welcome, in one of its three forms."""
    named = as_text(as_mapping(body.get("event")).get("name")).upper() == "WELCOME"
    flag = event.get("isWelcomeEvent")
    return named or flag is True or (flag is not False and event.get("content") == "welcome")


def _is_pressed(event: Mapping[str, Any]) -> bool:
    """Return whether the text comes from a button, whose metadata comes back with it: in a list, or as an object by itself."""
    metadata = event.get("metadata")
    return any(one.get("type") == "ExternalId" for one in (as_mapping(metadata), *as_list(metadata)))


def _key(kind: str, event: Mapping[str, Any]) -> str | None:
    """Return the key that identifies a repeated call: the event's position and time; None if it has neither.

    The kind is part of it, since a conversation is welcomed each time the bot gets it.
    """
    dialog, *position = (as_text(event.get(name)) for name in ("dialogId", "sequence", "serverTimestamp"))
    return ":".join([kind, dialog, *position]) if any(position) else None


def _content(event: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = as_mapping(event.get("event"))
    return as_mapping(data.get("content")) or as_mapping(inner.get("content")) or as_mapping(event.get("content"))


def _location(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the location that a map in the content shows."""
    for element in _elements(content or {}):
        if element.get("type") == "map" and "la" in element and "lo" in element:
            return {"lat": element["la"], "lon": element["lo"]}
    return None


def _elements(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield content
    for one in as_list(content.get("elements")):
        yield one
        yield from as_list(one.get("elements"))


def _file(event: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a hosted file, from ``caption``, ``relativePath`` and ``fileType``, which may be in any of several places.

    If they are in none of them, it is an empty dict.
    """
    inner = as_mapping(event.get("event"))
    places = (
        data,
        as_mapping(inner.get("message")),
        inner,
        as_mapping(event.get("message")),
        as_mapping(event.get("content")),
        event,
    )
    found = next((place for place in places if "relativePath" in place), {})
    named = {"type": found.get("fileType"), "name": found.get("caption"), "url": found.get("relativePath")}
    return {name: value for name, value in named.items() if value}


def _without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def read_text_for_bot(incoming: LivePersonCall, settings: LivePersonSettings, happened: Happened) -> str | None:
    """Return the text for the bot, given the conversation's events; None if there is nothing for it, and nothing to answer."""
    if incoming.kind == WELCOME:
        return _welcome_text(incoming, settings, happened)
    if incoming.kind in (CLOSED, NOTICE):
        type = str(incoming.rest.get("type") or incoming.event.get("type"))[:40]
        log.info("An event of %s is ignored: %s, of type %r.", short_id(incoming.conversation_id), incoming.kind, type)
        return None
    if incoming.location is not None and settings.location is not None:
        return as_payload(settings.location)
    if incoming.files and settings.attachment is not None:
        return as_payload(settings.attachment)
    if incoming.rich_content is not None and settings.rich_content is not None:
        return as_payload(settings.rich_content)
    return _full_text(incoming, happened)


def metadata(incoming: LivePersonCall) -> dict[str, Any]:
    """Return the metadata for Rasa: ``attachments`` and ``location`` as on all channels, the rest under ``liveperson``."""
    found = {**incoming.rest, **plain(incoming)}
    for name in ("rest", "text", "files", "location", "pressed"):
        found.pop(name, None)
    attached: dict[str, Any] = {"liveperson": found}
    if incoming.files:
        attached["attachments"] = list(incoming.files)
    if incoming.location is not None:
        attached["location"] = incoming.location
    return attached


def _welcome_text(incoming: LivePersonCall, settings: LivePersonSettings, happened: Happened) -> str | None:
    """Return the text for a welcome.

    Without an intent in the settings it is the customer's last message, but only if the bot is new to this customer: otherwise
    the bot may have answered that message already, by handing over.
    """
    is_new = not any(event.get("event") == "user" for event in happened)
    intent = settings.welcome if is_new else settings.welcome_back or settings.welcome
    if intent is not None:
        return as_payload(intent)
    return incoming.last_words or None if is_new else None


def _described(file: dict[str, Any]) -> str:
    known = " ".join(str(part) for part in file.values())
    return f"[Attachment: {known}]" if known else "[Attachment]"


def _full_text(incoming: LivePersonCall, happened: Happened) -> str | None:
    described = [_described(file) for file in incoming.files]
    if incoming.location is not None:
        described.append(f"[Location: {incoming.location['lat']}, {incoming.location['lon']}]")
    elif incoming.rich_content is not None:
        described.append("[Rich content]")
    text = payload_behind(incoming.text, happened, incoming.pressed)
    if whole := " ".join(part for part in (text, *described) if part):
        return whole
    log.info("A %s of %s without text is ignored.", incoming.kind, short_id(incoming.conversation_id))
    return None
