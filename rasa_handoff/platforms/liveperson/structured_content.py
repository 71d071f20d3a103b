"""Checks of structured content and metadata before they are sent, since LivePerson silently drops a message that doesn't fit.

The limits are those of LivePerson's own checker (json-pollock, ``js/schema``). It has none for the size of the whole content, so
``LARGEST`` is ours. Images must be https: https://developers.liveperson.com/third-party-bots-custom-endpoint-basic-content.html.
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
"""Cards in a carousel."""
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
"""Characters of an element's field."""
NEEDED: Final = {
    "text": ("text",),
    "button": ("title",),
    "image": ("url",),
    "map": ("la", "lo"),
    "linkPreview": ("url",),
}
"""The fields that an element of each type needs."""
ELEMENT_ACTIONS: Final = {"publishText": ("text",), "link": ("uri",), "navigate": ("la", "lo")}
"""The fields that an action of each type needs."""
MOST_ACTIONS: Final = 4
LINKS: Final = ("https://", "tel:", "mailto:", "sms:")


class UnfitContent(Exception):
    """LivePerson wouldn't show this structured content. The sentence says where and why."""


def check(content: Mapping[str, Any]) -> None:
    """Check a card, a carousel, or ``{"message", "quickReplies"}``.

    Raises:
        UnfitContent: with the first thing that is wrong.
    """
    size = len(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    if size > LARGEST:
        raise UnfitContent(f"it has {size} bytes, the limit is {LARGEST}")
    _check_addresses(content, "structuredContent")
    if "quickReplies" not in content:
        _check_element(content, "structuredContent")
        return
    if not content.get("message"):
        raise UnfitContent("quick replies need a 'message' beside them")
    replies = content["quickReplies"].get("replies") if isinstance(content["quickReplies"], Mapping) else None
    if replies == []:
        raise UnfitContent("quickReplies.replies is empty")
    for where, reply in _elements(replies, "quickReplies.replies"):
        if reply.get("type") != "button":
            raise UnfitContent(f"{where} is of type {reply.get('type')!r}, not a button")
        _check_element(reply, where)


def _check_addresses(content: Any, where: str) -> None:
    """Check every address, at any depth: the customer's app loads or opens it."""
    if isinstance(content, list):
        for number, one in enumerate(content):
            _check_addresses(one, f"{where}[{number}]")
    elif isinstance(content, Mapping):
        for name, value in content.items():
            allowed = {"url": ("https://",), "uri": LINKS}.get(name)
            if allowed and not (isinstance(value, str) and value.casefold().startswith(allowed)):
                raise UnfitContent(f"{where}.{name} doesn't begin with {' or '.join(allowed)}")
            _check_addresses(value, f"{where}.{name}")


def _check_element(element: Mapping[str, Any], where: str) -> None:
    kind = element.get("type")
    if kind in FORMS:
        return  # too many shapes to check; LivePerson's page does it, and their addresses were checked
    if kind not in (*CONTAINERS, *BASIC):
        raise UnfitContent(f"{where} is of type {kind!r}, which isn't known")
    _check_fields(element, where, NEEDED.get(str(kind), ()))
    if kind in CONTAINERS:
        inner = list(_elements(element.get("elements"), f"{where}.elements"))
        if kind == "carousel" and not 2 <= len(inner) <= MOST_CARDS:
            raise UnfitContent(f"{where} has {len(inner)} cards, a carousel has 2 to {MOST_CARDS}")
        for place, one in inner:
            _check_element(one, place)
    if "click" in element:
        _check_click(element["click"], f"{where}.click")


def _check_click(click: Any, where: str) -> None:
    actions = list(_elements(click.get("actions", []) if isinstance(click, Mapping) else None, f"{where}.actions"))
    if len(actions) > MOST_ACTIONS:
        raise UnfitContent(f"{where} has {len(actions)} actions, the most is {MOST_ACTIONS}")
    for place, action in actions:
        kind = str(action.get("type"))
        if kind not in ELEMENT_ACTIONS:
            raise UnfitContent(f"{place} is of type {kind!r}, which isn't known")
        _check_fields(action, place, ELEMENT_ACTIONS[kind])
        if kind == "publishText" and len(str(action["text"])) > LONGEST["tooltip"]:
            raise UnfitContent(f"{place}.text is longer than {LONGEST['tooltip']}")


def _check_fields(element: Mapping[str, Any], where: str, needed: tuple[str, ...]) -> None:
    for name in needed:
        if element.get(name) in (None, ""):
            raise UnfitContent(f"{where} has no {name!r}")
    for name, most in LONGEST.items():
        if name in element and len(str(element[name])) > most:
            raise UnfitContent(f"{where}.{name} is longer than {most}")


def _elements(listed: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(listed, list):
        raise UnfitContent(f"{where} is no list")
    for number, one in enumerate(listed):
        if not isinstance(one, Mapping):
            raise UnfitContent(f"{where}[{number}] is no object")
        yield f"{where}[{number}]", one


def encoded(metadata: Any) -> str | None:
    """Return ``encodedMetadata`` as it is sent: a base64 text as it is, an object as the base64 of its JSON.

    Raises:
        UnfitContent: it is neither, or too long.
    """
    if metadata is None or metadata == "":
        return None
    text = metadata
    if isinstance(metadata, Mapping | list):
        text = base64.b64encode(json.dumps(metadata).encode()).decode()
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise UnfitContent("encodedMetadata isn't base64") from None
    if len(text) > LARGEST_ENCODED:
        raise UnfitContent(f"encodedMetadata has {len(text)} characters, the limit is {LARGEST_ENCODED}")
    return str(text)
