"""Telegram's updates. Rasa passes on texts, pressed buttons, edited texts and bare places; all else it drops or fails on.

Written after Telegram's document (https://core.telegram.org/bots/api#update, #message); not tried at Telegram. A file has an id
there, by which the bot asks for its address when it wants it (#getfile), so its address here is ``vendor:telegram/<file_id>``.

An update that has no message, such as one that a customer has blocked the bot, makes Rasa fail, and Telegram sends it again and
again: Rasa gets an empty one instead.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    change,
    contact,
    edited,
    fields,
    file_part,
    listed,
    place,
    text,
    unknown,
    words_of,
)
from rasa_handoff.protocol.message_parts import AT_VENDOR, AnyPart, TextPart

ADDRESS: Final = f"{AT_VENDOR}telegram/"
"""How the addresses of Telegram's files begin."""
NO_CHAT: Final = {"id": 0, "type": "private"}
ABOUT_IT: Final = frozenset(
    """
    message_id message_thread_id from sender_chat sender_boost_count sender_business_bot date business_connection_id chat
    forward_origin forward_from forward_from_chat forward_from_message_id forward_signature forward_sender_name forward_date
    is_topic_message is_automatic_forward reply_to_message external_reply quote reply_to_story via_bot edit_date
    has_protected_content is_from_offline media_group_id author_signature paid_star_count text entities link_preview_options
    effect_id caption caption_entities show_caption_above_media has_media_spoiler reply_markup direct_messages_topic
    reply_to_checklist_task_id is_paid_post suggested_post_info
    """.split()  # noqa: SIM905 - read as words
)
"""VendorFields of a message that aren't its content, or are its words."""
SERVICE: Final = frozenset(
    """
    new_chat_members left_chat_member new_chat_title new_chat_photo delete_chat_photo group_chat_created
    supergroup_chat_created channel_chat_created message_auto_delete_timer_changed migrate_to_chat_id migrate_from_chat_id
    pinned_message connected_website write_access_allowed proximity_alert_triggered boost_added chat_background_set
    forum_topic_created forum_topic_edited forum_topic_closed forum_topic_reopened general_forum_topic_hidden
    general_forum_topic_unhidden video_chat_scheduled video_chat_started video_chat_ended video_chat_participants_invited
    passport_data
    """.split()  # noqa: SIM905 - read as words
)
"""What Telegram tells of a chat; nobody sent it as a message."""


def read_update(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message in an update."""
    id = body.get("update_id")
    if "callback_query" in body:
        return [_press(body, fields(body["callback_query"]), id)]
    if "edited_message" in body:
        return [_edited(body, fields(body["edited_message"]), id)]
    message = fields(body.get("message"))
    if text(message.get("text")) is not None:
        return [VendorMessage(id=id)]
    parts = content_of(message)
    if not parts:
        return [VendorMessage(id=id, body=_nothing(body))]
    caption = text(message.get("caption"))
    if "location" in message:  # Rasa has words of its own for a place, which the bot knows
        return [VendorMessage(id=id, words=caption or "", parts=parts)]
    as_text = {**message, "text": words_of(parts, caption)}
    return [VendorMessage(id=id, body={**body, "message": as_text}, words=caption or "", parts=parts, for_person=True)]


def content_of(message: VendorFields) -> tuple[AnyPart, ...]:
    """Return what a message has beside its words. What isn't known here is told by Telegram's name for it."""
    kinds = [kind for kind in message if kind not in ABOUT_IT and kind not in SERVICE]
    if "animation" in message:
        kinds = [kind for kind in kinds if kind != "document"]  # the same file, for apps that know no animations
    if "venue" in message:
        kinds = [kind for kind in kinds if kind != "location"]
    return tuple(CONTENT.get(kind, _unknown)(kind, message[kind]) for kind in kinds)


def _edited(body: VendorFields, message: VendorFields, id: Any) -> VendorMessage:
    """Return an edited message. Rasa passes the new text to the bot, and fails on one without text.

    A place that moves (a live location) is told once, when it is sent.
    """
    new = text(message.get("text"))
    if new is not None:
        return VendorMessage(id=id, words=edited(new))
    if "location" in message:
        return VendorMessage(id=id, body=_nothing(body))
    words = edited(words_of(content_of(message), text(message.get("caption"))))
    return change(words, id, {**body, "edited_message": {**message, "text": words}})


def _press(body: VendorFields, query: VendorFields, id: Any) -> VendorMessage:
    """Return a pressed button, with its title. Rasa fails on one whose message is too old for Telegram to send."""
    title, data, sender = _title(query), text(query.get("data")), fields(query.get("from")).get("id", 0)
    message = query.get("message") or {"message_id": 0, "date": 0, "chat": {**NO_CHAT, "id": sender}}
    if data is not None:
        return VendorMessage(id=id, body={**body, "callback_query": {**query, "message": message}}, words=title)
    words = words_of([unknown(text(query.get("game_short_name")) or "a button")])
    rest = {key: value for key, value in body.items() if key != "callback_query"}
    return VendorMessage(id=id, body={**rest, "message": {**message, "text": words}}, words=words, for_person=True)


def _title(query: VendorFields) -> str | None:
    rows = fields(fields(query.get("message")).get("reply_markup")).get("inline_keyboard")
    buttons = (button for row in rows for button in listed(row)) if isinstance(rows, list) else iter(())
    return next((text(one.get("text")) for one in buttons if one.get("callback_data") == query.get("data")), None)


def _nothing(body: VendorFields) -> VendorFields:
    return {"update_id": body.get("update_id", 0), "message": {"message_id": 0, "date": 0, "chat": NO_CHAT}}


# What a message may have


def _file(kind: str, value: Any) -> AnyPart:
    found = fields(value)
    type = text(found.get("mime_type")) or TYPES.get(kind)
    address = f"{ADDRESS}{found['file_id']}" if found.get("file_id") else None
    name = found.get("file_name") or found.get("title")
    return file_part(type or kind, url=address, name=name, size=found.get("file_size"))


def _photo(_: str, sizes: Any) -> AnyPart:
    """Return the largest of a picture's sizes, which come smallest first."""
    return _file("photo", max(listed(sizes), key=lambda size: int(size.get("width") or 0)))


def _sticker(_: str, value: Any) -> AnyPart:
    sticker = fields(value)
    emoji = text(sticker.get("emoji")) or ""
    if sticker.get("is_animated"):  # in a format of Telegram's own
        return TextPart(text=f"[Sticker: {emoji}]")
    type = "video/webm" if sticker.get("is_video") else "image/webp"
    return _file("sticker", {**sticker, "mime_type": type, "file_name": f"sticker {emoji}".strip()})


def _location(_: str, value: Any) -> AnyPart:
    where = fields(value)
    name = "live location, as it was then" if where.get("live_period") else None
    return place(where.get("latitude"), where.get("longitude"), name) or unknown("location")


def _venue(_: str, value: Any) -> AnyPart:
    venue = fields(value)
    where = fields(venue.get("location"))
    found = place(where.get("latitude"), where.get("longitude"), venue.get("title"), venue.get("address"))
    return found or unknown("venue")


def _contact(_: str, value: Any) -> AnyPart:
    person = fields(value)
    names = (text(person.get(name)) for name in ("first_name", "last_name"))
    return contact(name=" ".join(name for name in names if name), phone=person.get("phone_number"))


def _poll(_: str, value: Any) -> AnyPart:
    poll = fields(value)
    options = ", ".join(str(option.get("text")) for option in listed(poll.get("options")))
    return TextPart(text=f"[Poll: {poll.get('question')} {options}]")


def _dice(_: str, value: Any) -> AnyPart:
    return TextPart(text=f"[{fields(value).get('emoji')} {fields(value).get('value')}]")


def _from_web_app(_: str, value: Any) -> AnyPart:
    sent = fields(value)
    return TextPart(text=f"[{sent.get('button_text')}: {sent.get('data')}]")


def _unknown(kind: str, _: Any) -> AnyPart:
    return unknown(kind)


TYPES: Final[Mapping[str, str]] = {"photo": "image/jpeg", "voice": "audio/ogg", "video_note": "video/mp4"}
"""The types of files for which Telegram names none."""
CONTENT: Final[Mapping[str, Callable[[str, Any], AnyPart]]] = {
    "photo": _photo,
    "document": _file,
    "audio": _file,
    "voice": _file,
    "video": _file,
    "video_note": _file,
    "animation": _file,
    "sticker": _sticker,
    "location": _location,
    "venue": _venue,
    "contact": _contact,
    "poll": _poll,
    "dice": _dice,
    "web_app_data": _from_web_app,
}
"""What a message may have beside words, by Telegram's names; #message of its document."""
