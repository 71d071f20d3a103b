"""Pictures, files, cards and buttons as each channel's vendor takes them, by way of Rasa's outputs.

Several of Rasa's outputs drop or break what they are given: Slack's has no more than five buttons and takes a file as a mapping
only, Facebook's drops a fourth button and gives quick replies no type, those for the Bot Framework pass on buttons that no client
understands, Telegram's shows a file as its address, socketio's gives a card's list as a single card. So what reaches them here is
what they pass on unchanged. A front end of the project's own gets its payload as it is (:data:`PAYLOAD`).

JSON that a desk sends goes to such front ends only: to a vendor it could name another recipient.
"""

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from rasa_handoff.protocol.channel_capabilities import MESSENGER_BUTTONS, MESSENGER_TEXT
from rasa_handoff.protocol.message_parts import (
    AudioPart,
    CardPart,
    FilePart,
    ImagePart,
    MediaPart,
    MessageButton,
    VideoPart,
)
from rasa_handoff.protocol.names import BUTTONS_STAY_KEY

ChannelMessage = dict[str, Any]
"""One of Rasa's message dicts."""
FileLike: TypeAlias = FilePart | AudioPart | VideoPart

PAYLOAD: Final = "handoff_payload"
"""The key of a payload that a front end of the project's own gets as it is."""
PAGES: Final = frozenset({"socketio", "rest", "rasa", "callback"})
"""Channels to such front ends."""
HERO: Final = "application/vnd.microsoft.card.hero"
MOST_IN_ROW: Final = 3
SHORT_TITLE: Final = 20
"""Telegram shows at most so many buttons beside each other, with titles of so many characters; else below each other."""
FACEBOOK_LINE: Final = 80
"""Characters of a card's title and subtitle at Facebook."""


def type_of(part: FileLike, address: str) -> str:
    """Return the MIME type of a file: as it is known, else by its name or address; empty if neither says it."""
    name = part.media.name or urlsplit(address).path
    kinds = {AudioPart: "audio/", VideoPart: "video/"}
    return part.media.type or mimetypes.guess_type(name)[0] or kinds.get(type(part), "")


def name_of(part: MediaPart, address: str) -> str:
    """Return how a file is called where it is shown: by its name, else by the end of its address."""
    return part.media.name or unquote(urlsplit(address).path.rpartition("/")[2]) or address


# Pictures and files


def image_message(channel: str, part: ImagePart, address: str) -> ChannelMessage:
    """Return a picture as a channel takes it."""
    if channel == "slack":  # Rasa gives its address as what a reader without pictures gets
        name = name_of(part, address)
        return {"custom": {"text": name, "blocks": [{"type": "image", "image_url": address, "alt_text": name}]}}
    return {"image": address}


def file_message(channel: str, part: FileLike, address: str) -> ChannelMessage:
    """Return a file, a voice note or a film as a channel takes it."""
    if channel in PAGES:
        return {PAYLOAD: _file_on_page(part, address)}
    return FILES[channel](part, address) if channel in FILES else {"attachment": address}


def _file_on_page(part: FileLike, address: str) -> ChannelMessage:
    """Return a file as Messenger's widgets have it; with words for one that knows only pictures and films."""
    known = {"src": address, "name": part.media.name, "mime": part.media.type, "size": part.media.size}
    kind = {AudioPart: "audio", VideoPart: "video"}.get(type(part), "file")
    payload = {name: value for name, value in known.items() if value is not None}
    shown: ChannelMessage = {"attachment": {"type": kind, "payload": payload}}
    link = f"{part.media.name}: {address}" if part.media.name else address
    return shown if kind == "video" else {"text": link, **shown}


def _telegram_file(part: FileLike, address: str) -> ChannelMessage:
    kind = type_of(part, address)
    if kind.startswith("video/"):
        return {"custom": {"video": address}}
    if kind.startswith("audio/"):
        return {"custom": {"voice" if kind == "audio/ogg" else "audio": address}}
    return {"custom": {"document": address}}


def _titled(part: FileLike, address: str) -> ChannelMessage:
    """Return a file as Slack, Mattermost and Rocket.Chat show one below a message."""
    name = name_of(part, address)
    return {"fallback": name, "title": name, "title_link": address}


def _facebook_file(part: FileLike, address: str) -> ChannelMessage:
    kind = {AudioPart: "audio", VideoPart: "video"}.get(type(part), "file")
    return {"custom": {"attachment": {"type": kind, "payload": {"url": address}}}}


def _hero_file(part: FileLike, address: str) -> ChannelMessage:
    name = name_of(part, address)
    button = {"type": "openUrl", "title": name, "value": address}
    return _activity({"title": name, "buttons": [button]})


FILES: Final[Mapping[str, Callable[[FileLike, str], ChannelMessage]]] = {
    "botframework": _hero_file,
    "facebook": _facebook_file,
    "mattermost": lambda part, address: {"custom": {"props": {"attachments": [_titled(part, address)]}}},
    "rocketchat": lambda part, address: {"attachment": {**_titled(part, address), "title_link_download": True}},
    "slack": lambda part, address: {"custom": {"attachments": [_titled(part, address)]}},
    "telegram": _telegram_file,
    "twilio, by WhatsApp": lambda _, address: {"image": address},
    "webexteams": lambda _, address: {"image": address},
}
"""By channel. Twilio and Webex take a file as they take a picture."""


# Buttons


def buttons_message(channel: str, text: str, buttons: Sequence[MessageButton], quick: bool | None) -> ChannelMessage:
    """Return a text with buttons as a channel takes it.

    ``quick``: whether they vanish once one is chosen; None: nobody has said.
    """
    plain = [{"title": button.title, "payload": button.meaning} for button in buttons]
    if channel in PAGES and any(button.url for button in buttons):
        key = "quick_replies" if channel == "socketio" else "buttons"
        stay = {BUTTONS_STAY_KEY: True} if channel == "socketio" and quick is False else {}
        return {PAYLOAD: {"text": text, key: [_messenger_button(button) for button in buttons], **stay}}
    if channel == "socketio" and quick is False:
        replies = [{"content_type": "text", **button} for button in plain]
        return {PAYLOAD: {"text": text, "quick_replies": replies, BUTTONS_STAY_KEY: True}}
    if channel == "telegram":
        is_long = len(plain) > MOST_IN_ROW or any(len(button["title"]) > SHORT_TITLE for button in plain)
        return {"text": text, "buttons": plain, "button_type": "vertical" if is_long else "inline"}
    if channel == "facebook" and (quick or len(plain) > MESSENGER_BUTTONS or len(text) > MESSENGER_TEXT):
        return {"text": text, "quick_replies": [{"content_type": "text", **button} for button in plain]}
    if channel == "botframework":
        return {"text": text, "buttons": [_hero_button(button) for button in buttons]}
    return {"text": text, "buttons": plain}


def _messenger_button(button: MessageButton) -> ChannelMessage:
    if button.url:
        return {"type": "web_url", "title": button.title, "url": button.url}
    return {"type": "postback", "title": button.title, "payload": button.meaning}


def _hero_button(button: MessageButton) -> ChannelMessage:
    """Return a button of the Bot Framework, whose press is the payload to the bot and the title to people.

    A press brings back ``text`` and ``value`` alone, so the title is in the value (``channel/vendors/teams_activities.py``).
    """
    if button.url:
        return {"type": "openUrl", "title": button.title, "value": button.url}
    said = {
        "text": button.meaning,
        "displayText": button.title,
        "value": {"payload": button.meaning, "title": button.title},
    }
    return {"type": "messageBack", "title": button.title, **said}


# Cards, and JSON of the project's own


def card_message(channel: str, card: CardPart, picture: str | None) -> ChannelMessage | None:
    """Return a card as a channel takes it, with the address of its picture; None if it has none, or this one doesn't fit."""
    if channel == "socketio":
        payload = {"template_type": "generic", "elements": [_messenger_card(card, picture)]}
        return {PAYLOAD: {"attachment": {"type": "template", "payload": payload}}}
    if channel in PAGES:
        lines = "\n".join(one for one in (card.title, card.subtitle) if one)
        buttons = [_messenger_button(button) for button in card.buttons]
        shown = {"text": lines, "image": picture, "buttons": buttons}
        return {PAYLOAD: {name: value for name, value in shown.items() if value}}
    if channel == "facebook":
        return {"elements": [_messenger_card(card, picture)]} if _fits_facebook(card) else None
    if channel == "botframework":
        hero = {
            "title": card.title,
            "subtitle": card.subtitle,
            "images": [{"url": picture}] if picture else None,
            "buttons": [_hero_button(button) for button in card.buttons],
        }
        return _activity({name: value for name, value in hero.items() if value})
    return None


def _messenger_card(card: CardPart, picture: str | None) -> ChannelMessage:
    buttons = [_messenger_button(button) for button in card.buttons]
    shown = {"title": card.title, "subtitle": card.subtitle, "image_url": picture, "buttons": buttons}
    return {name: value for name, value in shown.items() if value}


def _fits_facebook(card: CardPart) -> bool:
    lines = [one or "" for one in (card.title, card.subtitle)]
    titles = [button.title for button in card.buttons]
    return (
        bool(card.title)
        and all(len(line) <= FACEBOOK_LINE for line in lines)
        and len(titles) <= MESSENGER_BUTTONS
        and all(len(title) <= SHORT_TITLE for title in titles)
    )


def _activity(hero: ChannelMessage) -> ChannelMessage:
    """Return a card as an activity of the Bot Framework, which Rasa's output sends as an element."""
    return {"elements": [{"attachments": [{"contentType": HERO, "content": hero}]}]}


def custom_message(channel: str, json: Any) -> ChannelMessage:
    """Return JSON of the project's own as its front end gets it: on socketio as the event's payload, else as ``custom``."""
    if channel == "socketio":
        payload = json["data"] if isinstance(json, dict) and json.keys() == {"data"} else json
        return {PAYLOAD: payload if isinstance(payload, dict) else {"custom": payload}}
    return {PAYLOAD: {"custom": json}}
