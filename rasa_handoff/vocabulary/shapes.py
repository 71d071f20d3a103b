"""Reading what should be a text, a list or a mapping and may be anything: never an error.

Rasa passes on what an action or an NLG server gives it, where ``buttons`` may be ``["Yes", "No"]``, a mapping, a number or null;
and what a front end sends, whose message may be a number or an object.
"""

import json
from collections.abc import Mapping
from typing import Any

Part = Mapping[str, Any]


def mappings(value: Any) -> list[Part]:
    """The mappings of a list; a mapping by itself is a list of one."""
    if isinstance(value, Mapping):
        return [value]
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def buttons_in(value: Any) -> list[Part]:
    """Buttons that have a title. A text or a number in a button's place is a button with that title, which it sends.

    >>> buttons_in(["Yes", {"title": "No", "payload": "/deny"}, None])
    [{'title': 'Yes'}, {'title': 'No', 'payload': '/deny'}]
    """
    if not isinstance(value, list | tuple | Mapping):
        return []
    listed = [value] if isinstance(value, Mapping) else value
    found = [{"title": str(one)} if _is_plain(one) else one for one in listed]
    return [one for one in found if isinstance(one, Mapping) and one.get("title")]


def own_buttons(message: Part) -> list[Part]:
    """The buttons and quick replies of a message; those of its cards stand in these."""
    return [*buttons_in(message.get("buttons")), *buttons_in(message.get("quick_replies"))]


def payload_of(button: Part) -> str:
    """What pressing a button sends: its title, if it names nothing else."""
    payload = button.get("payload")
    return str(button["title"] if payload is None else payload)


def in_text(value: Any) -> str:
    """What somebody sends in a text's place, in words: a text as it is, null as nothing, anything else as JSON.

    >>> in_text(7), in_text(["red", 2]), in_text({"size": "XL"}), in_text(None)
    ('7', '["red", 2]', '{"size": "XL"}', '')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # bytes, a circle, a very deep one
        return str(value)


def _is_plain(one: Any) -> bool:
    return isinstance(one, str | int | float) and not isinstance(one, bool)
