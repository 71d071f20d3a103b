"""Reading what LivePerson sends, by a Function or to a Custom Endpoint, as one value.

What isn't known is kept in ``rest`` and passed on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rasa_handoff.platforms.door import Rejected
from rasa_handoff.platforms.reading import as_id, as_list, as_mapping, as_text, field_names
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.values import Value

log = get_log(__name__)

MESSAGE, WELCOME, RICH_CONTENT, FILE, CLOSED, NOTICE, TEST = (
    "message", "welcome", "rich_content", "file", "closed", "notice", "test",
)  # fmt: skip
"""What may have happened. ``notice``: something nobody has said; ``test``: a call about no conversation."""
MAGIC: Final = {
    "com.liveperson.bot-connectors.consumer.send-rich-content": RICH_CONTENT,
    "com.liveperson.bot-connectors.consumer.send-file": FILE,
}
"""What LivePerson writes in a message's place when the customer sends something that isn't text."""
TYPES: Final = {
    "TEXT": MESSAGE, "RICH_CONTENT": RICH_CONTENT, "START": WELCOME, "STARTED": WELCOME, "TRANSFERRED": WELCOME,
    "WELCOME": WELCOME, "CLOSE_CONVERSATION": CLOSED, "CLOSED": CLOSED, "HOSTED-FILE": FILE, "HOSTED_FILE": FILE, "FILE": FILE,
}  # fmt: skip
"""Types of Custom Endpoint's events, and names of its type CONVERSATION."""


class Incoming(Value, frozen=True):
    """One call. ``caller``: the Function's name in the settings, or the bot's id. ``last_words``: the customer's last ones
    before a welcome. ``files``: each ``type``, ``name`` and ``url`` as far as they are there; ``location``: ``lat`` and
    ``lon``. ``pressed``: the words come from a button. ``attributes``: LivePerson's engagement attributes."""

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


def from_function(body: Mapping[str, Any], caller: str) -> Incoming:
    """The body a Function passes on: its payload, bare or as ``{"payload"}`` or ``{"input": {"payload"}}``.

    Raises:
        Rejected: 400 if it is about a conversation and doesn't name it.
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
        return Incoming(conversation_id="", caller=caller, kind=TEST)
    text = as_text(in_text(payload.get("message")))
    kind = MAGIC.get(text, MESSAGE)
    if _welcomes(payload, event):
        kind = WELCOME
    read = ("message", "convId", "event", "context")
    rest = {**_without(payload, *read), **_without(context, "lpEvent", "lpSdes")}
    if "event" in payload and kind != WELCOME:
        rest["event"] = payload["event"]
    return _incoming(
        conversation_id, caller, kind, text, event, {}, attributes=dict(as_mapping(context.get("lpSdes"))), rest=rest
    )


def from_endpoint(body: Mapping[str, Any], bot_id: str, environment: str, conversation_id: str) -> Incoming:
    """An event of Custom Endpoint.

    Raises:
        Rejected: 400 if the conversation's id is none.
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
        kind = MESSAGE if text else NOTICE  # a type we don't know: the customer's words count
    if kind == MESSAGE:
        kind = WELCOME if _welcomes(body, event) else MAGIC.get(text, MESSAGE)
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
) -> Incoming:
    content = _content(event, data) if kind == RICH_CONTENT else None
    return Incoming(
        conversation_id=conversation_id,
        caller=caller,
        kind=kind,
        key=_key(kind, event),
        text="" if text in MAGIC or kind in (WELCOME, CLOSED, NOTICE) else text,
        last_words=as_text(in_text(event.get("lastConsumerMessage"))) if kind == WELCOME else "",
        files=tuple(_files(event, data)) if kind == FILE else (),
        location=_location(content),
        rich_content=dict(content) if content else None,
        pressed=_is_pressed(event),
        event=dict(event),
        **more,
    )


def _welcomes(body: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """A welcome in one of its three forms."""
    named = as_text(as_mapping(body.get("event")).get("name")).upper() == "WELCOME"
    told = event.get("isWelcomeEvent")
    return named or told is True or (told is not False and event.get("content") == "welcome")


def _is_pressed(event: Mapping[str, Any]) -> bool:
    """A button's metadata comes back with its words: a list, or an object by itself."""
    metadata = event.get("metadata")
    return any(one.get("type") == "ExternalId" for one in (as_mapping(metadata), *as_list(metadata)))


def _key(kind: str, event: Mapping[str, Any]) -> str | None:
    """What tells a repeated call: the event's place and time. A conversation is welcomed each time the bot gets it."""
    place = [as_text(event.get(name)) for name in ("dialogId", "sequence", "serverTimestamp")]
    return ":".join([kind, *place]) if any(place[1:]) else None


def _content(event: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = as_mapping(event.get("event"))
    return as_mapping(data.get("content")) or as_mapping(inner.get("content")) or as_mapping(event.get("content"))


def _location(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Where a map in it points to."""
    for element in _elements(content or {}):
        if element.get("type") == "map" and "la" in element and "lo" in element:
            return {"lat": element["la"], "lon": element["lo"]}
    return None


def _elements(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield content
    for one in as_list(content.get("elements")):
        yield one
        yield from as_list(one.get("elements"))


def _files(event: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A hosted file: ``caption``, ``relativePath``, ``fileType``, wherever they stand; else what is known of it is its coming."""
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
    yield {name: value for name, value in named.items() if value}


def _without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}
