"""Buttons as every channel of Rasa's can send them."""

from collections.abc import Mapping
from typing import Any, Final

SHOWN: Final = ("buttons", "quick_replies")


def with_payloads(message: dict[str, Any]) -> dict[str, Any]:
    """The message whose buttons all have a payload: one without sends its title, as people expect. Several of Rasa's channels
    raise for such a button, each time."""
    made = {name: _completed(message[name]) for name in SHOWN if isinstance(message.get(name), list)}
    if isinstance(message.get("elements"), list):
        made["elements"] = [_card(element) for element in message["elements"]]
    return {**message, **made}


def _card(element: Any) -> Any:
    if not isinstance(element, Mapping) or not isinstance(element.get("buttons"), list):
        return element
    return {**element, "buttons": _completed(element["buttons"])}


def _completed(buttons: list[Any]) -> list[Any]:
    return [_whole(button) if isinstance(button, Mapping) else button for button in buttons]


def _whole(button: Mapping[str, Any]) -> dict[str, Any]:
    title, payload = button.get("title"), button.get("payload")
    if payload is None and "url" not in button:
        payload = title
    more = {"title": payload if title is None else title, "payload": payload}
    return {**button, **{name: value for name, value in more.items() if value is not None}}
