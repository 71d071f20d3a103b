"""Rasa's messages as Kommunicate's: texts, and "actionable messages", which are a text with a template in its metadata.

https://docs.kommunicate.io/docs/actionable-messages. A reply button sends back its title, which the customer reads; the payload
behind it stays here (``hearing.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa_handoff.vocabulary.shapes import buttons_in, mappings, own_buttons

Message = dict[str, Any]

LINKS, REPLIES, LIST, IMAGE, CARDS = "3", "6", "7", "9", "10"
"""Template ids."""
NATIVE: Final = {"message", "metadata"}
"""A ``custom`` of these keys alone is a message of Kommunicate's already."""


def rendered(message: Mapping[str, Any]) -> list[Message]:
    """The messages one of Rasa's becomes; none if there is nothing to show."""
    text = str(message.get("text") or "")
    buttons = own_buttons(message)
    replies = [button for button in buttons if not _url(button)]
    templates = [_template(LINKS, [_link(button) for button in buttons if _url(button)])]
    templates.append(_template(REPLIES, [_reply(button) for button in replies]))
    templates.append(_template(IMAGE, [{"caption": "", "url": message["image"]}] if message.get("image") else []))
    templates.append(_elements(mappings(message.get("elements"))))
    custom = message.get("custom")
    if isinstance(custom, Mapping) and custom:
        own = dict(custom) if set(custom) <= NATIVE else {"metadata": dict(custom)}
        templates.append({"message": "", **own})
    parts = [template for template in templates if template]
    if message.get("attachment"):
        parts.append({"message": str(message["attachment"])})
    return _with_text(text, parts)


def _with_text(text: str, parts: list[Message]) -> list[Message]:
    """The text on the first template, which is what a text with buttons looks like."""
    if not text:
        return parts
    if parts and not parts[0]["message"]:
        return [{**parts[0], "message": text}, *parts[1:]]
    return [{"message": text}, *parts]


def _template(id: str, payload: Any) -> Message:
    if not payload:
        return {}
    return {"message": "", "metadata": {"contentType": "300", "templateId": id, "payload": payload}}


def _elements(elements: Sequence[Mapping[str, Any]]) -> Message:
    """Cards if there is something to press or to look at, else a list."""
    if any(buttons_in(element.get("buttons")) or element.get("image_url") for element in elements):
        return _template(CARDS, [_card(element) for element in elements])
    return _template(LIST, {"elements": [_row(element) for element in elements]} if elements else None)


def _card(element: Mapping[str, Any]) -> Message:
    card: Message = {"title": str(element.get("title") or ""), "subtitle": str(element.get("subtitle") or "")}
    if element.get("image_url"):
        card["header"] = {"imgSrc": element["image_url"]}
    card["buttons"] = [_card_button(button) for button in buttons_in(element.get("buttons"))]
    return card


def _card_button(button: Mapping[str, Any]) -> Message:
    title = str(button["title"])
    if url := _url(button):
        return {"name": title, "action": {"type": "link", "payload": {"url": url}}}
    return {"name": title, "action": {"type": "quickReply", "payload": {"title": title, "message": title}}}


def _row(element: Mapping[str, Any]) -> Message:
    title = str(element.get("title") or "")
    row: Message = {"title": title, "description": str(element.get("subtitle") or "")}
    url = next(map(_url, mappings(element.get("default_action"))), None)
    return {**row, "action": {"type": "link", "url": url} if url else {"type": "quick_reply", "text": title}}


def _link(button: Mapping[str, Any]) -> Message:
    return {"type": "link", "url": _url(button), "name": str(button["title"])}


def _reply(button: Mapping[str, Any]) -> Message:
    return {"title": str(button["title"]), "message": str(button["title"])}


def _url(button: Mapping[str, Any]) -> str | None:
    return button.get("url") or None
