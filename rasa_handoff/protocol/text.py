"""Valid text and tolerant reading of incoming data.

A lone surrogate, which JSON may contain as ``\\ud83d``, can't be encoded as UTF-8, and Postgres stores no NUL. Either would be
accepted at first and then fail each time. So data is made valid where it enters: whoever reads a message, a request or a foreign
row calls :func:`valid` first. What it returns, every database, protocol and encoder here accepts.

- Surrogates that form a character are joined; any other becomes U+FFFD, the replacement character.
- NUL is removed; other control characters, bidi marks and combining characters stay.
- In JSON-like data this applies to keys too. A number that JSON doesn't have (NaN, infinity) becomes ``None``, and whatever is
  nested deeper than :data:`DEEPEST` is replaced by :data:`TOO_DEEP`, because JSON parsers have a maximum depth.

The other functions read what should be a text, a list or a mapping and may be anything, without raising. Rasa passes on what an
action or an NLG server returns, where ``buttons`` may be ``["Yes", "No"]``, a mapping, a number or null; and what a front end
sends, whose message may be a number or an object.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
RasaFields = Mapping[str, Any]
"""A message of Rasa's, or something in one: a button, a card."""

EMPTY_LINES: Final = re.compile(r"\n\s*\n")
DEEPEST: Final = 100
TOO_DEEP: Final = "[nested too deeply]"


def valid_text(text: str) -> str:
    """Return the text without NUL and without lone surrogates.

    >>> valid_text("hello \\ud83d\\ude00\\0!")
    'hello 😀!'
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def valid(value: T) -> T:
    """Return the value (a string, JSON-like data or a struct) with all its texts made valid; the same object if it was valid.

    Values that aren't JSON-like (a date, bytes) stay as they are; :func:`as_json` writes them as strings.
    """
    made: T = _valid(value, 0)
    return made


def as_json(value: Any) -> str:
    """Return the value, made valid, as JSON for a database column. What JSON can't express is written as a string."""
    made = _encoded_if_valid(value)
    return (msgspec.json.encode(valid(value), enc_hook=shown) if made is None else made).decode()


def _encoded_if_valid(value: Any) -> bytes | None:
    """Return the value as JSON; None if it may have something that must be made valid first.

    Encoding is far quicker than looking at each part, and nearly everything is valid. Encoding fails on a surrogate, and on a key
    that is neither a text nor a number. A NUL shows in the JSON as an escape. JSON with fewer opening brackets than
    :data:`DEEPEST` can't be nested too deeply.
    """
    try:
        made = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    is_valid = b"\\u0000" not in made and made.count(b"[") + made.count(b"{") < DEEPEST
    return made if is_valid else None


def shown(value: object) -> str:
    """Return a value that isn't JSON-like as valid text."""
    return valid_text(str(value))


def _valid(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list | tuple | set | frozenset | msgspec.Struct):
        return TOO_DEEP if depth >= DEEPEST else _valid_parts(value, depth + 1)
    return value


def _valid_parts(value: Any, depth: int) -> Any:
    if isinstance(value, msgspec.Struct):
        changed = {}
        for name in value.__struct_fields__:
            field = getattr(value, name)
            if field is not None and (made := _valid(field, depth)) is not field:
                changed[name] = made
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, dict):
        pairs = {_key(key): _valid(item, depth) for key, item in value.items()}
        same = len(pairs) == len(value) and all(
            key is old and item is value[old] for (key, item), old in zip(pairs.items(), value, strict=True)
        )
        return value if same else pairs
    items = [_valid(item, depth) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return tuple(items) if isinstance(value, tuple) else items


def _key(key: Any) -> str:
    """Return a key as JSON writes it."""
    if isinstance(key, str):
        return valid_text(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return shown(key)


def mappings(value: Any) -> list[RasaFields]:
    """Return the mappings in a list; a single mapping counts as a list of one."""
    if isinstance(value, Mapping):
        return [value]
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def buttons_in(value: Any) -> list[RasaFields]:
    """Return the buttons that have a title. A string or number in a button's place becomes a button with that title.

    >>> buttons_in(["Yes", {"title": "No", "payload": "/deny"}, None])
    [{'title': 'Yes'}, {'title': 'No', 'payload': '/deny'}]
    """
    if not isinstance(value, list | tuple | Mapping):
        return []
    listed = [value] if isinstance(value, Mapping) else value
    found = [{"title": str(one)} if _is_plain(one) else one for one in listed]
    return [one for one in found if isinstance(one, Mapping) and one.get("title")]


def own_buttons(message: RasaFields) -> list[RasaFields]:
    """Return the buttons and quick replies of a message, without those of its cards."""
    return [*buttons_in(message.get("buttons")), *buttons_in(message.get("quick_replies"))]


def payload_of(button: RasaFields) -> str:
    """Return what pressing a button sends: its payload, or its title if it has none."""
    payload = button.get("payload")
    return str(button["title"] if payload is None else payload)


def in_paragraphs(text: str) -> str:
    """Return a text with one empty line between its paragraphs, and none elsewhere; as it is if nothing in it can be seen.

    Rasa's channels send a text in parts, parted at each empty line: more of them would be messages without words.

    >>> in_paragraphs("\\n Hello. \\n \\n\\n\\n  One\\n  Two\\n")
    ' Hello.\\n\\n  One\\n  Two'
    """
    paragraphs = [part.rstrip() for part in EMPTY_LINES.split(f"\n{text}\n") if _can_be_seen(part)]
    return "\n\n".join(part.removeprefix("\n") for part in paragraphs) or text


def _can_be_seen(text: str) -> bool:
    return not all(character.isspace() or unicodedata.category(character) == "Cf" for character in text)


def in_text(value: Any) -> str:
    """Return any value as text: a string as it is, null, ``{}`` and ``[]`` as an empty string, anything else as JSON.

    >>> in_text(7), in_text(["red", 2]), in_text({"size": "XL"}), in_text(None), in_text({})
    ('7', '["red", 2]', '{"size": "XL"}', '', '')
    """
    if isinstance(value, str):
        return value
    if value is None or value == {} or value == []:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # bytes, a circular reference, too deep nesting
        return str(value)


def _is_plain(one: Any) -> bool:
    return isinstance(one, str | int | float) and not isinstance(one, bool)
