"""One function for every text that comes in: what it returns, every database, protocol and encoder of ours takes.

Half a character (a lone surrogate, which JSON may carry as ``\\ud83d``) can't be encoded as UTF-8, and Postgres keeps no NUL:
either would be accepted here and fail further on, each time. So texts are made valid where they enter, before anything is done
with them; whoever reads a message, a request or a row of somebody else's calls :func:`valid` first.

- halves that form a character are joined; any other half becomes U+FFFD, the sign for an unreadable character;
- NUL is left out; other controls, bidi marks and combining characters are a text's own business, and stay;
- in JSON-like data this holds for keys too; a number that JSON hasn't got (NaN, infinity) is ``None``; what is nested deeper than
  :data:`DEEPEST` is replaced by :data:`TOO_DEEP`, since readers of JSON give up at some depth.
"""

import math
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

DEEPEST: Final = 100
TOO_DEEP: Final = "[nested too deeply]"


def valid_text(text: str) -> str:
    """The text without NUL and without halves of characters.

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
    """The same value with valid texts all through: a text, JSON-like data, or a struct. What was valid is returned itself.

    Values that aren't data (a date, bytes) stay as they are; :func:`as_json` knows what to write for them.
    """
    made: T = _valid(value, 0)
    return made


def as_json(value: Any) -> str:
    """The value, made valid, as JSON: for a column of a database. What JSON doesn't know is written as a text."""
    return msgspec.json.encode(valid(value), enc_hook=shown).decode()


def shown(value: object) -> str:
    """How a value that isn't data is written."""
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
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        made = {name: _valid(field, depth) for name, field in fields.items()}
        changed = {name: field for name, field in made.items() if field is not fields[name]}
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
    """As JSON writes a key."""
    if isinstance(key, str):
        return valid_text(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return shown(key)
