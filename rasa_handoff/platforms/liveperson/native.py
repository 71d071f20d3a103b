"""What a project says to LivePerson in its own words: a response's ``custom`` in the shape of LivePerson's documents.

Read tolerantly, slips of the documents included: ``intenId``, a confidence above 1, ``ttrtype``, metadata as an object,
structured content in ``context``. Written strictly. What doesn't fit is logged and said in words, or left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from rasa_handoff.platforms.liveperson.checking import Unfit, check, encoded
from rasa_handoff.platforms.liveperson.directing import directed
from rasa_handoff.platforms.liveperson.sayings import (
    ACTIONS,
    CHANGE_TTR,
    Action,
    Delay,
    Intent,
    Metadata,
    Rich,
    Saying,
    Text,
    Understood,
)
from rasa_handoff.vocabulary.directives import without_directives
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

PRIVATE: Final = "AGENTS_AND_MANAGERS"
TTR_TYPES: Final = ("URGENT", "NORMAL", "PRIORITIZED", "CUSTOM")


def from_custom(custom: Mapping[str, Any], other_bots: Mapping[str, str]) -> list[Saying]:
    """What a message's ``custom`` becomes."""
    asked = directed(custom, other_bots)
    if asked is None:
        return _own(custom)
    rest = without_directives(custom)
    return [*(_own(rest) if rest else ()), *asked]


def attached(said: list[Saying], custom: Mapping[str, Any]) -> list[Saying]:
    """The same, with the metadata that stands in ``custom`` on each message."""
    more = {"metadata": _metadata(custom), "encoded": _encoded(custom)}
    return [msgspec.structs.replace(one, **more) if isinstance(one, Text | Rich) else one for one in said]


def asks(custom: Mapping[str, Any]) -> bool:
    """Whether these are quick replies that need the message's text beside them."""
    content = custom.get("structuredContent", custom)
    return isinstance(content, Mapping) and "quickReplies" in content and not content.get("message")


def _own(custom: Mapping[str, Any]) -> list[Saying]:
    if "messages" in custom or "context" in custom:
        return list(_answer(custom))
    if "action" in custom:
        return _action(custom)
    if any(key in custom for key in ("structuredContent", "delay", "text", "quickReplies")):
        return list(_one(custom))
    if "type" in custom and "elements" in custom:
        return list(_one({"structuredContent": custom}))
    log.warning("A custom message with %s is nothing LivePerson knows: left out.", ", ".join(map(str, custom)))
    return []


def _answer(answer: Mapping[str, Any]) -> Iterator[Saying]:
    """A whole answer of a Function's."""
    context = answer.get("context") if isinstance(answer.get("context"), Mapping) else {}
    assert isinstance(context, Mapping)
    messages = [one for one in _listed(answer.get("messages")) if isinstance(one, str | Mapping)]
    content = context.get("structuredContent")
    own = {"metadata": context.get("metadata"), "encodedMetadata": context.get("encodedMetadata")}
    if isinstance(content, Mapping) and asks(content) and messages and isinstance(messages[-1], str):
        content = {"message": messages.pop(), **content}  # these belong to the words before them
    texts = {"encodedMetadata": own["encodedMetadata"]} if content else own
    for one in messages:
        yield from _one({"text": one, **texts} if isinstance(one, str) else one)
    if isinstance(content, Mapping):
        yield from _one({"structuredContent": content, **own})
    yield from _understood(context)
    if "action" in context:
        yield from _action(context)


def _one(message: Mapping[str, Any]) -> Iterator[Saying]:
    """One message of an answer's ``messages``."""
    if "delay" in message:
        yield from _delay(message)
    elif "structuredContent" in message or "quickReplies" in message:
        yield from _rich(message)
    elif message.get("text"):
        yield _text(message)


def _text(message: Mapping[str, Any]) -> Text:
    private = message.get("messageAudience") == PRIVATE
    return Text(
        text=str(message["text"]), private=private, metadata=_metadata(message), encoded=_encoded(message)
    )  # fmt: skip


def _delay(message: Mapping[str, Any]) -> list[Saying]:
    try:
        seconds = round(float(message["delay"]))
    except (TypeError, ValueError, OverflowError):
        log.warning("A delay of %r is no number of seconds: left out.", message["delay"])
        return []
    return [Delay(seconds=max(1, seconds), typing=message.get("typing") is not False)]


def _rich(message: Mapping[str, Any]) -> list[Saying]:
    content = (
        message["structuredContent"] if "structuredContent" in message else {"quickReplies": message["quickReplies"]}
    )
    if not isinstance(content, Mapping):
        log.warning("structuredContent is no object: left out.")
        return []
    if "message" not in content and message.get("text"):
        content = {"message": message["text"], **content}
    try:
        check(content)
    except Unfit as problem:
        log.error("Structured content goes out in words, for LivePerson wouldn't show it: %s.", problem)
        words = "\n".join(_words(content))
        return [Text(text=words)] if words else []
    return [Rich(content=dict(content), metadata=_metadata(message), encoded=_encoded(message))]


def _words(content: Any) -> Iterator[str]:
    """Whatever can be read in it."""
    if isinstance(content, list):
        for one in content:
            yield from _words(one)
    elif isinstance(content, Mapping):
        yield from (str(content[key]) for key in ("message", "text", "title") if isinstance(content.get(key), str))
        for key in ("elements", "replies", "quickReplies"):
            yield from _words(content.get(key))


def _metadata(message: Mapping[str, Any]) -> Metadata:
    found = message.get("metadata")
    listed = found if isinstance(found, list) else [found]
    return tuple(dict(one) for one in listed if isinstance(one, Mapping))


def _encoded(message: Mapping[str, Any]) -> str | None:
    try:
        return encoded(message.get("encodedMetadata"))
    except Unfit as problem:
        log.error("encodedMetadata is left out, for LivePerson would drop the message: %s.", problem)
        return None


def _understood(context: Mapping[str, Any]) -> list[Saying]:
    listed = [context, *(one for one in _listed(context.get("alternativeIntents")) if isinstance(one, Mapping))]
    ids = [(one.get("intentId") or one.get("intenId") or one.get("intentName"), one) for one in listed]
    intents = tuple(
        Intent(id=str(id), name=str(one.get("intentName") or id), confidence=_confidence(one.get("confidenceScore")))
        for id, one in ids
        if id
    )
    return [Understood(intents=intents)] if intents else []


def _confidence(score: Any) -> float:
    try:
        return min(1.0, max(0.0, float(score)))
    except (TypeError, ValueError):
        return 0.0


def _action(context: Mapping[str, Any]) -> list[Saying]:
    given = context.get("actionParameters")
    parameters = dict(given) if isinstance(given, Mapping) else {}
    name = str(context["action"])
    if name not in ACTIONS:
        log.warning("The action %r is none of LivePerson's: left out.", name)
        return []
    asked = _ttr(parameters) if name == CHANGE_TTR else parameters
    return [] if asked is None else [Action(name=name, parameters=asked)]


def _ttr(given: dict[str, Any]) -> dict[str, Any] | None:
    """As LivePerson spells it; None if it isn't one of its four types, or a custom one without seconds."""
    kind = str(given.get("ttrType", given.get("ttrtype"))).upper()
    value = str(given.get("value", "")).strip()
    if kind not in TTR_TYPES or (kind == "CUSTOM" and not value.isdecimal()):
        log.warning("CHANGE_TTR with %r is none of LivePerson's types: left out.", given)
        return None
    return {"ttrType": kind, **({"value": value} if kind == "CUSTOM" else {})}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
