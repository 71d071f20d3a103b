"""Errors of a payload, each in one sentence: which field, what it must be, what is allowed.

msgspec says it in its own terms, such as ``Expected `str`, got `int` - at `$.desk.url```. The sentences here are for people who
haven't heard of msgspec: agents, and whoever runs a server. Mistakes in YAML have sentences of their own, in
``settings_errors.py``: there the types have other names (a mapping, a text), and the sentence begins with the channel.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import inspect

TYPES: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
"""The name of each JSON type in msgspec's errors, and the one that people use."""

_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_TYPE: Final = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`")
_LENGTH: Final = re.compile(r"Expected `(?P<kind>str|array|object)` of length (?P<sign><=|>=) (?P<bound>\d+)")
_RANGE: Final = re.compile(r"Expected `(?:int|float)` (?P<sign><=|>=|<|>) (?P<bound>[-+.\de]+)")
_PATTERN: Final = re.compile(r"Expected `str` matching regex")
_CHOICE: Final = re.compile(r"Invalid (?:enum )?value (?P<value>.+)", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")

SIGNS: Final = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


def sentence(kind: Any, problem: msgspec.ValidationError) -> str:
    """Return what is wrong with data that can't be read as ``kind``."""
    found = _PLACE.match(str(problem))
    what, path = (found["what"], (found["path"] or "").lstrip(".")) if found else (str(problem), "")
    if missing := _MISSING.search(what):
        return f"'{path}{'.' if path else ''}{missing['name']}' is missing."
    field = f"'{path}'" if path else "It"
    return f"{field} {_rule(kind, what, path)}."


def _rule(kind: Any, what: str, path: str) -> str:
    if length := _LENGTH.search(what):
        return _length(length["kind"], length["sign"], int(length["bound"]))
    if wrong := _TYPE.search(what):
        wanted = " or ".join(TYPES.get(each, each) for each in wrong["wanted"].split(" | "))
        return f"must be {wanted}, not {TYPES.get(wrong['given'], wrong['given'])}"
    if bound := _RANGE.search(what):
        return f"must be {SIGNS[bound['sign']]} {float(bound['bound']):,.15g}"
    if _PATTERN.search(what):
        return "has a blank or another character that isn't allowed there"
    if choice := _CHOICE.search(what):
        allowed = _choices(kind, path)
        return f"can't be {choice['value']}" + (f": it may be {_listed(allowed)}" if allowed else "")
    return f"is wrong: {what}"


def _length(kind: str, sign: str, bound: int) -> str:
    if (kind, sign, bound) == ("str", ">=", 1):
        return "mustn't be empty"
    unit = "characters" if kind == "str" else "entries"
    return f"may have {bound:,} {unit} at most" if sign == "<=" else f"must have {bound:,} {unit} at least"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _choices(kind: Any, path: str) -> list[str]:
    """Return the values that are allowed at this place, where there are a few."""
    types = [inspect.type_info(kind)]
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", path):
        types = [inner for each in types for inner in _inner(each, step)]
    found = [name for each in types for name in _names(each)]
    return list(dict.fromkeys(found))


def _inner(kind: inspect.Type, step: str) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _inner(kind.type, step)
    if isinstance(kind, inspect.UnionType):
        return [inner for each in kind.types for inner in _inner(each, step)]
    if isinstance(kind, inspect.CollectionType | inspect.VarTupleType):
        return [kind.item_type]
    if not isinstance(kind, inspect.StructType):
        return []
    if step == kind.tag_field:
        return [inspect.LiteralType((kind.tag,))]
    return [field.type for field in kind.fields if field.encode_name == step]


def _names(kind: inspect.Type) -> list[str]:
    if isinstance(kind, inspect.Metadata):
        return _names(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [name for each in kind.types for name in _names(each)]
    if isinstance(kind, inspect.EnumType):
        return [f"'{each.value}'" for each in kind.cls]
    return [f"'{value}'" for value in kind.values] if isinstance(kind, inspect.LiteralType) else []
