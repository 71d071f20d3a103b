"""Translation of Rasa's messages, and of a response's ``custom``, into LivePerson's, and the answer that collects them.

A message becomes a text, quick replies, cards or a carousel. A button publishes its title in the customer's name, and the
payload behind it stays here (``payload_behind`` in ``platforms/base.py``). The ``ExternalId`` that comes back with the title
tells that it comes from a button.

A response's ``custom`` may be in the shape of LivePerson's documents. It is read tolerantly, slips of the documents included:
``intenId``, a confidence above 1, ``ttrtype``, metadata as an object, structured content in ``context``. It is written strictly:
what doesn't fit is logged, and sent as text or left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.core.rasa_messages import message_in_words
from rasa_handoff.platforms.answers import PlatformAnswer, Say
from rasa_handoff.platforms.liveperson.answer_parts import (
    ACTIONS,
    CHANGE_TTR,
    PRIVATE,
    Action,
    Delay,
    Intent,
    Metadata,
    Rich,
    Saying,
    Text,
    Understood,
)
from rasa_handoff.platforms.liveperson.elements import (
    Element,
    button_element,
    card_element,
    carousel_elements,
    divided,
    image_element,
    quick_replies_element,
    url_of,
    vertical_element,
)
from rasa_handoff.platforms.liveperson.handoff import actions_for_directives
from rasa_handoff.platforms.liveperson.settings import LivePersonSettings
from rasa_handoff.platforms.liveperson.structured_content import UnfitContent, check, encoded
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.markers import without_directives
from rasa_handoff.protocol.text import buttons_in, mappings, own_buttons

log = get_log(__name__)

ATTACHED: Final = {"metadata", "encodedMetadata"}
"""A ``custom`` with no other keys belongs to the message beside it."""
TTR_TYPES: Final = ("URGENT", "NORMAL", "PRIORITIZED", "CUSTOM")


class LivePersonAnswer(PlatformAnswer):
    """The answer to a call, before it is written for the surface that called."""

    def __init__(self, settings: LivePersonSettings, say_unprompted: Say) -> None:
        super().__init__(say_unprompted)
        self._settings = settings

    @classmethod
    def name(cls) -> str:
        """Return the name by which Rasa chooses channel-specific responses."""
        return "liveperson"

    def rendered(self, message: dict[str, Any]) -> list[Saying]:
        """Translate one of Rasa's messages."""
        return rendered(message, self._settings.quick_replies, self._settings.other_bots)


def rendered(message: Mapping[str, Any], quick_replies: bool, other_bots: Mapping[str, str]) -> list[Saying]:
    """Translate one of Rasa's messages; the list is empty if there is nothing to show.

    ``quick_replies``: the channel has them.
    """
    custom = message.get("custom")
    if not isinstance(custom, Mapping) or not custom:
        return _plain(message, quick_replies)
    if set(custom) <= ATTACHED:
        return with_metadata(_plain(message, quick_replies), custom)
    if message.get("text") and needs_text(custom):
        return from_custom({"text": message["text"], **custom}, other_bots)
    return [*_plain(message, quick_replies), *from_custom(custom, other_bots)]


def _plain(message: Mapping[str, Any], quick_replies: bool) -> list[Saying]:
    """Translate a message without its ``custom``. A part that LivePerson wouldn't show is sent in words, and only that part."""
    text, (fit, unfit) = str(message.get("text") or ""), divided(message)
    contents = [vertical_element([image_element(fit["image"])])] if fit["image"] else []
    contents += carousel_elements([card for card in map(card_element, fit["elements"]) if card["elements"]])
    link = [Text(text=str(unfit["image"]))] if unfit["image"] else []
    buttons = own_buttons(message)
    if quick_replies and text and buttons and not contents and not any(map(url_of, buttons)):
        question = message_in_words(text, {"buttons": unfit["buttons"]})
        words = [*link, *_elements_in_words(unfit)]
        if not fit["buttons"]:
            return [Text(text=question), *words]
        # Quick replies come last: LivePerson shows them until something follows.
        return [*words, *_checked([quick_replies_element(question, fit["buttons"])], {**fit, "text": question})]
    if fit["buttons"]:
        contents.append(vertical_element([button_element(button) for button in fit["buttons"]]))
    said: list[Saying] = [*([Text(text=text)] if text else []), *link, *_elements_in_words(unfit)]
    if unfit["buttons"]:
        said.append(Text(text=message_in_words(None, _with_addresses({"buttons": unfit["buttons"]}))))
    said += _checked(contents, fit) if contents else []
    if message.get("attachment"):
        said.append(Text(text=str(message["attachment"])))
    return said


def _elements_in_words(message: Element) -> list[Saying]:
    return [Text(text=message_in_words(None, _with_addresses({"elements": [one]}))) for one in message["elements"]]


def _checked(contents: Sequence[Element], message: Mapping[str, Any]) -> list[Saying]:
    """Return the contents, or the message as text if LivePerson wouldn't show one of them: the customer misses nothing."""
    try:
        for content in contents:
            check(content)
    except UnfitContent as problem:
        log.warning("A message is sent as text, since LivePerson wouldn't show it: %s.", problem)
        return [Text(text=message_in_words(message.get("text"), _with_addresses(message)))]
    return [Rich(content=content) for content in contents]


def _with_addresses(message: Mapping[str, Any]) -> Element:
    """Return the part of a message that is sent as text. Addresses are added, since a link can't be pressed in a text."""
    shown = {**message, "custom": None, "attachment": None}
    for name in ("buttons", "quick_replies"):
        shown[name] = [_addressed(button) for button in buttons_in(message.get(name))]
    shown["elements"] = [
        {**one, "buttons": [_addressed(button) for button in buttons_in(one.get("buttons"))]}
        for one in mappings(message.get("elements"))
    ]
    return shown


def _addressed(button: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**button, "title": f"{button.get('title')}: {button['url']}"} if url_of(button) else button


def from_custom(custom: Mapping[str, Any], other_bots: Mapping[str, str]) -> list[Saying]:
    """Translate the ``custom`` of one of Rasa's messages."""
    actions = actions_for_directives(custom, other_bots)
    if actions is None:
        return _own(custom)
    rest = without_directives(custom)
    return [*(_own(rest) if rest else ()), *actions]


def with_metadata(said: list[Saying], custom: Mapping[str, Any]) -> list[Saying]:
    """Return the messages, each with the metadata in ``custom``."""
    more = {"metadata": _metadata(custom), "encoded": _encoded(custom)}
    return [msgspec.structs.replace(one, **more) if isinstance(one, Text | Rich) else one for one in said]


def needs_text(custom: Mapping[str, Any]) -> bool:
    """Return whether these are quick replies that need the message's text beside them."""
    content = custom.get("structuredContent", custom)
    return isinstance(content, Mapping) and "quickReplies" in content and not content.get("message")


def _own(custom: Mapping[str, Any]) -> list[Saying]:
    """Translate a ``custom`` in the format of LivePerson's documents."""
    if "messages" in custom or "context" in custom:
        return list(_answer(custom))
    if "action" in custom:
        return _action(custom)
    if any(key in custom for key in ("structuredContent", "delay", "text", "quickReplies")):
        return list(_one(custom))
    if "type" in custom and "elements" in custom:
        return list(_one({"structuredContent": custom}))
    log.warning("A custom message with %s isn't in a format of LivePerson's: left out.", ", ".join(map(str, custom)))
    return []


def _answer(answer: Mapping[str, Any]) -> Iterator[Saying]:
    """Translate the whole answer of a Function: its ``messages`` and its ``context``."""
    context = answer.get("context") if isinstance(answer.get("context"), Mapping) else {}
    assert isinstance(context, Mapping)
    messages = [one for one in _listed(answer.get("messages")) if isinstance(one, str | Mapping)]
    content = context.get("structuredContent")
    own = {"metadata": context.get("metadata"), "encodedMetadata": context.get("encodedMetadata")}
    if isinstance(content, Mapping) and needs_text(content) and messages and isinstance(messages[-1], str):
        content = {"message": messages.pop(), **content}  # quick replies belong to the text before them
    # The context's metadata belongs to its structured content; without any, to the texts. encodedMetadata belongs to both.
    texts = {"encodedMetadata": own["encodedMetadata"]} if content else own
    for one in messages:
        yield from _one({"text": one, **texts} if isinstance(one, str) else one)
    if isinstance(content, Mapping):
        yield from _one({"structuredContent": content, **own})
    yield from _understood(context)
    if "action" in context:
        yield from _action(context)


def _one(message: Mapping[str, Any]) -> Iterator[Saying]:
    """Translate one of the ``messages`` of a Function's answer."""
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
    except UnfitContent as problem:
        log.error("Structured content is sent as text, since LivePerson wouldn't show it: %s.", problem)
        text = "\n".join(_texts(content))
        return [Text(text=text)] if text else []
    return [Rich(content=dict(content), metadata=_metadata(message), encoded=_encoded(message))]


def _texts(content: Any) -> Iterator[str]:
    """Yield all texts in structured content."""
    if isinstance(content, list):
        for one in content:
            yield from _texts(one)
    elif isinstance(content, Mapping):
        yield from (str(content[key]) for key in ("message", "text", "title") if isinstance(content.get(key), str))
        for key in ("elements", "replies", "quickReplies"):
            yield from _texts(content.get(key))


def _metadata(message: Mapping[str, Any]) -> Metadata:
    found = message.get("metadata")
    listed = found if isinstance(found, list) else [found]
    return tuple(dict(one) for one in listed if isinstance(one, Mapping))


def _encoded(message: Mapping[str, Any]) -> str | None:
    try:
        return encoded(message.get("encodedMetadata"))
    except UnfitContent as problem:
        log.error("encodedMetadata is left out, since LivePerson would drop the message: %s.", problem)
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
    checked = _ttr(parameters) if name == CHANGE_TTR else parameters
    return [] if checked is None else [Action(name=name, parameters=checked)]


def _ttr(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parameters as LivePerson spells them; None if they aren't one of its four types, or a custom one without
    seconds."""
    kind = str(given.get("ttrType", given.get("ttrtype"))).upper()
    value = str(given.get("value", "")).strip()
    if kind not in TTR_TYPES or (kind == "CUSTOM" and not value.isdecimal()):
        log.warning("CHANGE_TTR with %r is none of LivePerson's types: left out.", given)
        return None
    return {"ttrType": kind, **({"value": value} if kind == "CUSTOM" else {})}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
