"""Translation of Rasa's messages into Kommunicate's, and the answer that collects them.

Kommunicate has plain texts and "actionable messages", a text with a template in its metadata
(https://docs.kommunicate.io/docs/actionable-messages). A reply button sends back its title, which the customer reads; the payload
behind it stays here (``payload_behind`` in ``platforms/base.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms import answers
from rasa_handoff.platforms.answers import Say
from rasa_handoff.platforms.kommunicate.handoff import DeskAction, KommunicateMessage, hands_over, split_directives
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import buttons_in, mappings, own_buttons

log = get_log(__name__)

LINKS, REPLIES, LIST, IMAGE, CARDS = "3", "6", "7", "9", "10"
"""Ids of Kommunicate's templates."""
NATIVE: Final = {"message", "metadata"}
"""A ``custom`` with no other keys is already one of Kommunicate's messages."""


def rendered(message: Mapping[str, Any]) -> list[KommunicateMessage]:
    """Translate one of Rasa's messages; the list is empty if there is nothing to show."""
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


def _with_text(text: str, parts: list[KommunicateMessage]) -> list[KommunicateMessage]:
    """Put the text on the first template: so a text with buttons is one message."""
    if not text:
        return parts
    if parts and not parts[0]["message"]:
        return [{**parts[0], "message": text}, *parts[1:]]
    return [{"message": text}, *parts]


def _template(id: str, payload: Any) -> KommunicateMessage:
    if not payload:
        return {}
    return {"message": "", "metadata": {"contentType": "300", "templateId": id, "payload": payload}}


def _elements(elements: Sequence[Mapping[str, Any]]) -> KommunicateMessage:
    """Return cards if an element has a button or an image, else a list."""
    if any(buttons_in(element.get("buttons")) or element.get("image_url") for element in elements):
        return _template(CARDS, [_card(element) for element in elements])
    return _template(LIST, {"elements": [_row(element) for element in elements]} if elements else None)


def _card(element: Mapping[str, Any]) -> KommunicateMessage:
    card: KommunicateMessage = {
        "title": str(element.get("title") or ""),
        "subtitle": str(element.get("subtitle") or ""),
    }
    if element.get("image_url"):
        card["header"] = {"imgSrc": element["image_url"]}
    card["buttons"] = [_card_button(button) for button in buttons_in(element.get("buttons"))]
    return card


def _card_button(button: Mapping[str, Any]) -> KommunicateMessage:
    title = str(button["title"])
    if url := _url(button):
        return {"name": title, "action": {"type": "link", "payload": {"url": url}}}
    return {"name": title, "action": {"type": "quickReply", "payload": {"title": title, "message": title}}}


def _row(element: Mapping[str, Any]) -> KommunicateMessage:
    title = str(element.get("title") or "")
    row: KommunicateMessage = {"title": title, "description": str(element.get("subtitle") or "")}
    url = next(map(_url, mappings(element.get("default_action"))), None)
    return {**row, "action": {"type": "link", "url": url} if url else {"type": "quick_reply", "text": title}}


def _link(button: Mapping[str, Any]) -> KommunicateMessage:
    return {"type": "link", "url": _url(button), "name": str(button["title"])}


def _reply(button: Mapping[str, Any]) -> KommunicateMessage:
    return {"title": str(button["title"]), "message": str(button["title"])}


def _url(button: Mapping[str, Any]) -> str | None:
    return button.get("url") or None


class KommunicateAnswer(answers.PlatformAnswer):
    """The answer to a call of Kommunicate. ``desk_actions``: what is to be done beside the messages."""

    def __init__(self, settings: KommunicateSettings, say_unprompted: Say) -> None:
        super().__init__(say_unprompted)
        self._settings = settings
        self.desk_actions: list[DeskAction] = []

    @classmethod
    def name(cls) -> str:
        """Return the name by which Rasa chooses channel-specific responses."""
        return "kommunicate"

    def rendered(self, message: dict[str, Any]) -> list[KommunicateMessage]:
        """Translate one of Rasa's messages, and note the desk actions it asks for."""
        shown, desk_actions = split_directives(message, self._settings)
        self.desk_actions.extend(desk_actions)
        return rendered(shown)

    def hands_over(self, since: int) -> bool:
        """Return whether a message after the first ``since`` ones, or a desk action, gives the conversation to people."""
        given = any(
            desk_action.assign is not None and desk_action.assign not in self._settings.bots
            for desk_action in self.desk_actions
        )
        return given or any(hands_over(message, self._settings.bots) for message in self.messages[since:])

    def stay_open(self, conversation_id: str) -> None:
        """Drop a request to resolve the conversation, which a handoff overrides."""
        if any(desk_action.assign is None for desk_action in self.desk_actions):
            log.warning("The conversation %s is handed over, so it isn't resolved.", short_id(conversation_id))
        self.desk_actions[:] = [desk_action for desk_action in self.desk_actions if desk_action.assign is not None]

    def take_back(self) -> list[KommunicateMessage]:
        """Remove the messages that haven't gone out and return them, to be sent in another way."""
        sent = self.sent_count or 0
        unsent = self.messages[sent:]
        del self.messages[sent:]
        return unsent
