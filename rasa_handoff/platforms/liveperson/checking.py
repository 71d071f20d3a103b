"""Structured content is checked before it leaves: LivePerson drops a message that doesn't fit, and nobody is told.

The limits are those of LivePerson's own checker (json-pollock, ``js/schema``); it names none for the whole, so that one is ours.
Images must be https, by https://developers.liveperson.com/third-party-bots-custom-endpoint-basic-content.html.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

LARGEST: Final = 20_000
"""Bytes of one piece of structured content, as JSON."""
LARGEST_ENCODED: Final = 5_000
"""Characters of ``encodedMetadata``: "limited to 5k"."""
MOST_CARDS: Final = 10
CONTAINERS: Final = ("vertical", "horizontal", "carousel")
BASIC: Final = ("text", "button", "image", "map", "linkPreview")
FORMS: Final = (
    "list", "sectionList", "section", "checklist", "checkbox", "buttonList", "submitButton", "accordionSelect",
    "carouselSelect", "tabs", "separator", "scheduleSlot",
)  # fmt: skip
LONGEST: Final = {
    "text": 5000,
    "title": 128,
    "tooltip": 256,
    "alt": 2000,
    "caption": 128,
    "url": 2048,
    "uri": 1024,
    "name": 256,
}
NEEDED: Final = {
    "text": ("text",),
    "button": ("title",),
    "image": ("url",),
    "map": ("la", "lo"),
    "linkPreview": ("url",),
}
ACTIONS: Final = {"publishText": ("text",), "link": ("uri",), "navigate": ("la", "lo")}
MOST_ACTIONS: Final = 4
LINKS: Final = ("https://", "tel:", "mailto:", "sms:")


class Unfit(Exception):
    """Structured content that LivePerson wouldn't show. The sentence says where and why."""


def check(content: Mapping[str, Any]) -> None:
    """A card, a carousel, or ``{"message", "quickReplies"}``.

    Raises:
        Unfit: the first thing that is wrong.
    """
    size = len(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    if size > LARGEST:
        raise Unfit(f"it has {size} bytes, the limit is {LARGEST}")
    _addresses(content, "structuredContent")
    if "quickReplies" not in content:
        _element(content, "structuredContent")
        return
    if not content.get("message"):
        raise Unfit("quick replies need a 'message' beside them")
    replies = content["quickReplies"].get("replies") if isinstance(content["quickReplies"], Mapping) else None
    if replies == []:
        raise Unfit("quickReplies.replies is empty")
    for where, reply in _elements(replies, "quickReplies.replies"):
        if reply.get("type") != "button":
            raise Unfit(f"{where} is of type {reply.get('type')!r}, not a button")
        _element(reply, where)


def _addresses(content: Any, where: str) -> None:
    """Every address in it, however deep: what the customer's app loads or opens."""
    if isinstance(content, list):
        for number, one in enumerate(content):
            _addresses(one, f"{where}[{number}]")
    elif isinstance(content, Mapping):
        for name, value in content.items():
            allowed = {"url": ("https://",), "uri": LINKS}.get(name)
            if allowed and not (isinstance(value, str) and value.casefold().startswith(allowed)):
                raise Unfit(f"{where}.{name} isn't https")
            _addresses(value, f"{where}.{name}")


def _element(element: Mapping[str, Any], where: str) -> None:
    kind = element.get("type")
    if kind in FORMS:
        return  # too many shapes to know; LivePerson's page checks them, and their addresses were looked at
    if kind not in (*CONTAINERS, *BASIC):
        raise Unfit(f"{where} is of type {kind!r}, which isn't known")
    _fields(element, where, NEEDED.get(str(kind), ()))
    if kind in CONTAINERS:
        inner = list(_elements(element.get("elements"), f"{where}.elements"))
        if kind == "carousel" and not 2 <= len(inner) <= MOST_CARDS:
            raise Unfit(f"{where} has {len(inner)} cards, a carousel has 2 to {MOST_CARDS}")
        for place, one in inner:
            _element(one, place)
    if "click" in element:
        _click(element["click"], f"{where}.click")


def _click(click: Any, where: str) -> None:
    actions = list(_elements(click.get("actions", []) if isinstance(click, Mapping) else None, f"{where}.actions"))
    if len(actions) > MOST_ACTIONS:
        raise Unfit(f"{where} has {len(actions)} actions, the most is {MOST_ACTIONS}")
    for place, action in actions:
        kind = str(action.get("type"))
        if kind not in ACTIONS:
            raise Unfit(f"{place} is of type {kind!r}, which isn't known")
        _fields(action, place, ACTIONS[kind])
        if kind == "publishText" and len(str(action["text"])) > LONGEST["tooltip"]:
            raise Unfit(f"{place}.text is longer than {LONGEST['tooltip']}")


def _fields(element: Mapping[str, Any], where: str, needed: tuple[str, ...]) -> None:
    for name in needed:
        if element.get(name) in (None, ""):
            raise Unfit(f"{where} has no {name!r}")
    for name, most in LONGEST.items():
        if name in element and len(str(element[name])) > most:
            raise Unfit(f"{where}.{name} is longer than {most}")


def _elements(listed: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(listed, list):
        raise Unfit(f"{where} is no list")
    for number, one in enumerate(listed):
        if not isinstance(one, Mapping):
            raise Unfit(f"{where}[{number}] is no object")
        yield f"{where}[{number}]", one


def encoded(metadata: Any) -> str | None:
    """What goes out as ``encodedMetadata``: a base64 text as it is, an object as the base64 of its JSON.

    Raises:
        Unfit: neither, or too long.
    """
    if metadata is None or metadata == "":
        return None
    text = metadata
    if isinstance(metadata, Mapping | list):
        text = base64.b64encode(json.dumps(metadata).encode()).decode()
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Unfit("encodedMetadata isn't base64") from None
    if len(text) > LARGEST_ENCODED:
        raise Unfit(f"encodedMetadata has {len(text)} characters, the limit is {LARGEST_ENCODED}")
    return str(text)
