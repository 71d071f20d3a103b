"""LivePerson's elements, written from the parts of Rasa's messages, and which of these parts LivePerson would show."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms.liveperson.structured_content import LONGEST, MOST_CARDS, UnfitContent, check
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import buttons_in, mappings, own_buttons

log = get_log(__name__)

Element = dict[str, Any]

PER_ROW: Final = 8
"""Quick replies in a row."""
EXTERNAL_ID: Final = "ExternalId"


def divided(message: Mapping[str, Any]) -> tuple[Element, Element]:
    """Return the image, buttons and elements that LivePerson would show, and those that it wouldn't."""
    buttons, image = own_buttons(message), message.get("image") or None
    fit_buttons = [button for button in buttons if _is_fit(button_element(button))]
    image_fits = image is not None and _is_fit(image_element(image))
    elements = [_divided_element(element) for element in mappings(message.get("elements"))]
    return {
        "image": image if image_fits else None,
        "buttons": fit_buttons,
        "elements": [fit for fit, _ in elements if fit],
    }, {
        "image": None if image_fits else image,
        "buttons": [button for button in buttons if button not in fit_buttons],
        "elements": [unfit for _, unfit in elements if unfit],
    }


def _divided_element(element: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Element | None]:
    """Return the part of a card that LivePerson would show, and the rest with the card's title.

    If only texts would be left of the card, all of it is the rest.
    """
    title, buttons = str(element.get("title") or ""), buttons_in(element.get("buttons"))
    fit_buttons = [button for button in buttons if _is_fit(button_element(button))]
    rest: Element = {"buttons": [button for button in buttons if button not in fit_buttons]}
    fit = {**element, "buttons": fit_buttons}
    if element.get("image_url") and not _is_fit(image_element(element["image_url"])):
        rest["image_url"], fit["image_url"] = element["image_url"], None
    url = next(map(url_of, mappings(element.get("default_action"))), None)
    if url and not _is_fit(button_element({"title": "link", "url": url})):
        rest["buttons"].insert(0, {"title": title or "Link", "url": url})
        fit["default_action"] = None
    texts = [text_element(element[key]) for key in ("title", "subtitle") if element.get(key)]
    if not all(map(_is_fit, texts)):
        return None, dict(element)
    if rest == {"buttons": []}:
        return element, None
    if not (fit_buttons or fit.get("image_url") or fit.get("default_action")):
        return None, {"subtitle": element.get("subtitle"), "title": title, **rest}
    return fit, {"title": title, **rest}


def _is_fit(element: Element) -> bool:
    """Return whether LivePerson would show this part of a message; if not, log why."""
    try:
        check(vertical_element([element]))
    except UnfitContent as problem:
        log.warning("A part of a message is sent in words, since LivePerson wouldn't show it: %s.", problem)
        return False
    return True


def quick_replies_element(text: str, buttons: Sequence[Mapping[str, Any]]) -> Element:
    """Write a text with quick replies."""
    replies = [button_element(button) for button in buttons]
    return {"message": text, "quickReplies": {"type": "quickReplies", "itemsPerRow": PER_ROW, "replies": replies}}


def button_element(button: Mapping[str, Any]) -> Element:
    """Write a button, which publishes its title or opens its address."""
    title = str(button["title"]).strip()
    action: Element = {"type": "publishText", "text": title}
    if url := url_of(button):
        action = {"type": "link", "uri": url, "name": title}
    click = {"actions": [action], "metadata": [{"type": EXTERNAL_ID, "id": title}]}
    return {"type": "button", "title": title, "tooltip": title, "click": click}


def image_element(url: Any, caption: str = "") -> Element:
    """Write an image; a caption shows as its tooltip."""
    return {"type": "image", "url": str(url), **({"tooltip": caption[: LONGEST["tooltip"]]} if caption else {})}


def text_element(text: Any) -> Element:
    """Write a text within a card."""
    return {"type": "text", "text": str(text)}


def card_element(element: Mapping[str, Any]) -> Element:
    """Write one of Rasa's elements as a card."""
    title = str(element.get("title") or "")
    parts = [image_element(element["image_url"], title)] if element.get("image_url") else []
    parts += [text_element(element[key]) for key in ("title", "subtitle") if element.get(key)]
    if parts and (url := next(map(url_of, mappings(element.get("default_action"))), None)):
        parts[-1] = {**parts[-1], "click": {"actions": [{"type": "link", "uri": url}]}}
    parts += [button_element(button) for button in buttons_in(element.get("buttons"))]
    return vertical_element(parts)


def carousel_elements(cards: Sequence[Element]) -> list[Element]:
    """Return as few carousels as possible; one card alone is no carousel."""
    if len(cards) < 2:
        return list(cards)
    count = -(-len(cards) // MOST_CARDS)  # rounded up, as is the size
    size = -(-len(cards) // count)
    return [{"type": "carousel", "elements": list(cards[start : start + size])} for start in range(0, len(cards), size)]


def vertical_element(elements: list[Element]) -> Element:
    """Write a card of these elements."""
    return {"type": "vertical", "elements": elements}


def url_of(button: Mapping[str, Any]) -> str | None:
    """Return the address that a button opens, if it opens one."""
    return button.get("url") or None
