"""Rasa's messages as LivePerson's: texts, quick replies, cards and carousels.

A button publishes its title in the customer's name; the payload behind it stays here (``platforms/hearing.py``). That the words
come from a button is told by the ``ExternalId`` which comes back with them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms.liveperson.checking import LONGEST, MOST_CARDS, Unfit, check
from rasa_handoff.platforms.liveperson.native import asks, attached, from_custom
from rasa_handoff.platforms.liveperson.sayings import Rich, Saying, Text
from rasa_handoff.thinking.transcript import in_words
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.shapes import buttons_in, mappings, own_buttons

log = get_log(__name__)

Element = dict[str, Any]

PER_ROW: Final = 8
EXTERNAL_ID: Final = "ExternalId"
ATTACHED: Final = {"metadata", "encodedMetadata"}
"""A ``custom`` of these alone belongs to the message beside it."""


def rendered(message: Mapping[str, Any], quick_replies: bool, other_bots: Mapping[str, str]) -> list[Saying]:
    """What one of Rasa's messages becomes; nothing if there is nothing to show. ``quick_replies``: the channel has them."""
    custom = message.get("custom")
    if not isinstance(custom, Mapping) or not custom:
        return _plain(message, quick_replies)
    if set(custom) <= ATTACHED:
        return attached(_plain(message, quick_replies), custom)
    if message.get("text") and asks(custom):
        return from_custom({"text": message["text"], **custom}, other_bots)
    return [*_plain(message, quick_replies), *from_custom(custom, other_bots)]


def _plain(message: Mapping[str, Any], quick_replies: bool) -> list[Saying]:
    text = str(message.get("text") or "")
    buttons = own_buttons(message)
    cards = [_card(element) for element in mappings(message.get("elements"))]
    contents = [_vertical([_image(message["image"])])] if message.get("image") else []
    contents += _carousels([card for card in cards if card["elements"]])
    if quick_replies and text and buttons and not contents and not any(_url(button) for button in buttons):
        return _checked([_quick_replies(text, buttons)], message)
    if buttons:
        contents.append(_vertical([_button(button) for button in buttons]))
    said: list[Saying] = [Text(text=text)] if text else []
    if contents:
        said += _checked(contents, {**message, "text": None})
    if message.get("attachment"):
        said.append(Text(text=str(message["attachment"])))
    return said


def _checked(contents: Sequence[Element], message: Mapping[str, Any]) -> list[Saying]:
    """These contents, or the message in words if LivePerson wouldn't show one: the customer misses nothing."""
    try:
        for content in contents:
            check(content)
    except Unfit as problem:
        log.warning("A message goes out in words, for LivePerson wouldn't show it: %s.", problem)
        return [Text(text=in_words(message.get("text"), _with_addresses(message)))]
    return [Rich(content=content) for content in contents]


def _with_addresses(message: Mapping[str, Any]) -> Element:
    """What is told in words: addresses too, for a link can't be pressed then; nothing that is said beside it."""
    shown = {**message, "custom": None, "attachment": None}
    for name in ("buttons", "quick_replies"):
        shown[name] = [_addressed(button) for button in buttons_in(message.get(name))]
    shown["elements"] = [
        {**one, "buttons": [_addressed(button) for button in buttons_in(one.get("buttons"))]}
        for one in mappings(message.get("elements"))
    ]
    return shown


def _addressed(button: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**button, "title": f"{button.get('title')}: {button['url']}"} if _url(button) else button


def _quick_replies(text: str, buttons: Sequence[Mapping[str, Any]]) -> Element:
    replies = [_button(button) for button in buttons]
    return {"message": text, "quickReplies": {"type": "quickReplies", "itemsPerRow": PER_ROW, "replies": replies}}


def _button(button: Mapping[str, Any]) -> Element:
    title = str(button["title"]).strip()
    action: Element = {"type": "publishText", "text": title}
    if url := _url(button):
        action = {"type": "link", "uri": url, "name": title}
    click = {"actions": [action], "metadata": [{"type": EXTERNAL_ID, "id": title}]}
    return {"type": "button", "title": title, "tooltip": title, "click": click}


def _image(url: Any, caption: str = "") -> Element:
    return {"type": "image", "url": str(url), **({"tooltip": caption[: LONGEST["tooltip"]]} if caption else {})}


def _card(element: Mapping[str, Any]) -> Element:
    title = str(element.get("title") or "")
    parts = [_image(element["image_url"], title)] if element.get("image_url") else []
    parts += [{"type": "text", "text": str(element[key])} for key in ("title", "subtitle") if element.get(key)]
    if parts and (url := next(map(_url, mappings(element.get("default_action"))), None)):
        parts[-1] = {**parts[-1], "click": {"actions": [{"type": "link", "uri": url}]}}
    parts += [_button(button) for button in buttons_in(element.get("buttons"))]
    return _vertical(parts)


def _carousels(cards: Sequence[Element]) -> list[Element]:
    """As few as may be; one card is no carousel."""
    if len(cards) < 2:
        return list(cards)
    most = -(-len(cards) // MOST_CARDS)
    each = -(-len(cards) // most)
    return [{"type": "carousel", "elements": list(cards[at : at + each])} for at in range(0, len(cards), each)]


def _vertical(elements: list[Element]) -> Element:
    return {"type": "vertical", "elements": elements}


def _url(button: Mapping[str, Any]) -> str | None:
    return button.get("url") or None
