"""Slack's events and presses. Rasa drops what has no text: a file without words, and what was done to an earlier message.

Written after Slack's documents (https://docs.slack.dev/reference/events/message: ``file_share``, ``message_changed``,
``message_deleted``; https://docs.slack.dev/reference/objects/file-object;
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload); not tried at Slack. A file in a channel shared with
another company has only its id there (``file_access: check_file_info``): its address here is ``vendor:slack/<id>``.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.slack_markup import as_shown, message_of_change
from rasa_handoff.channel.vendors.vendor_message import (
    VendorFields,
    VendorMessage,
    fields,
    file_part,
    listed,
    text,
    words_of,
)
from rasa_handoff.protocol.message_parts import AT_VENDOR, AnyPart, TextPart

ADDRESS: Final = f"{AT_VENDOR}slack/"
"""How the addresses of files begin that are known by their id alone."""
RASA_TAKES: Final = frozenset(
    """
    button select static_select external_select conversations_select users_select channels_select overflow datepicker
    """.split()  # noqa: SIM905 - read as words
)
"""The types of elements whose answer Rasa gives the bot."""


def read_event(body: VendorFields, _: InputChannel) -> list[VendorMessage]:
    """Return the message in an event, or in the form by which Slack tells of a press."""
    if isinstance(body.get("payload"), str):
        return [_press(json.loads(body["payload"]))]
    id, event = body.get("event_id"), fields(body.get("event"))
    if (changed := message_of_change(event)) is not None:
        return [VendorMessage(id=id, body={**body, "event": changed}, for_person=True, is_change=True)]
    if _is_own(event, body):
        return [VendorMessage(id=id, body={**body, "event": {**event, "bot_id": "own"}})]
    if event.get("type") not in ("message", "app_mention") or event.get("bot_id"):
        return [VendorMessage(id=id)]
    parts = tuple(_parts(event))
    if not parts or text(event.get("text")) is not None:
        return [VendorMessage(id=id, parts=parts)]
    as_text = {**event, "text": words_of(parts)}
    return [VendorMessage(id=id, body={**body, "event": as_text}, words="", parts=parts, for_person=True)]


def _is_own(event: VendorFields, body: VendorFields) -> bool:
    """Return whether the app itself has said it: a file that it uploads comes back without the mark of a bot."""
    apps = [one.get("user_id") for one in listed(body.get("authorizations")) if one.get("is_bot")]
    return event.get("user") is not None and event.get("user") in apps


def _parts(event: VendorFields) -> Iterator[AnyPart]:
    for file in listed(event.get("files")):
        address = text(file.get("url_private_download")) or text(file.get("url_private"))
        if file.get("mode") == "external":
            address = text(file.get("external_url")) or address
        by_id = f"{ADDRESS}{file['id']}" if file.get("id") else None
        name = file.get("name") or file.get("title")
        yield file_part(text(file.get("mimetype")), url=address or by_id, name=name, size=file.get("size"))
    for shared in listed(event.get("attachments")):
        if shared.get("is_share") or shared.get("is_msg_unfurl"):
            said = as_shown(text(shared.get("text")) or text(shared.get("fallback")) or "")
            yield TextPart(text=f"[Shared: {' '.join(one for one in (text(shared.get('author_name')), said) if one)}]")


def _press(payload: VendorFields) -> VendorMessage:
    """Return a press, with the title of what was chosen. Rasa answers some kinds with an error, which the customer sees."""
    actions = listed(payload.get("actions"))
    if not actions:
        return VendorMessage()
    action = actions[0]
    title = ", ".join(_titles(action)) or None
    if action.get("type") in RASA_TAKES:
        return VendorMessage(words=title)
    words = title or text(action.get("value")) or "[a choice]"
    as_button = {**payload, "actions": [{"type": "button", "value": words}]}
    return VendorMessage(body={"payload": json.dumps(as_button)}, words=words, for_person=True)


def _titles(action: VendorFields) -> Iterator[str]:
    chosen: list[Any] = [*listed(action.get("selected_options")), action.get("selected_option")]
    buttons = [action] if action.get("type") == "button" else []
    for one in (*chosen, *buttons):
        shown = fields(one).get("text")
        title = text(shown) or text(fields(shown).get("text"))
        if title is not None:
            yield title
    for key in ("selected_time", "selected_date_time"):
        if action.get(key):
            yield str(action[key])
