"""Mistakes in settings, each in one sentence: the key, its nearest neighbour, what to write."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import msgspec

from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.values import Value

S = TypeVar("S", bound=Value)

WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def check_keys(
    channel: str, kind: type[Value], data: Mapping[Any, Any], path: str, examples: Mapping[str, str]
) -> None:
    """Every key is one of ``kind``'s and those without a default are there. ``examples``: what to write for a missing one.

    Raises:
        SettingsError: the first key that doesn't fit.
    """
    known = kind.__struct_fields__
    for key in data:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean '{path}{near[0]}'?" if near else f"it may be one of: {', '.join(known)}."
            raise SettingsError(f"{channel} has no setting '{path}{key}': {hint}")
    for field in msgspec.structs.fields(kind):
        if field.required and data.get(field.name) is None:
            example = examples.get(field.name, f"{field.name}: ...")
            raise SettingsError(f"{channel} needs the setting '{path}{field.name}': write '{example}'.")


def convert(channel: str, kind: type[S], data: Mapping[Any, Any]) -> S:
    """The settings as a value.

    Raises:
        SettingsError: something is of the wrong type.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as problem:
        raise SettingsError(_sentence(channel, str(problem))) from problem


def _sentence(channel: str, problem: str) -> str:
    """Msgspec's complaint in the words of a YAML file: ``Expected `str`, got `int` - at `$.desk.url```."""
    found = re.match(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `(?P<path>[^`]+)`)?", problem)
    if not found:
        return f"{channel}: {problem}"
    wanted = " or ".join(WORDS.get(word, word) for word in found["wanted"].split(" | ") if word != "null")
    key = (found["path"] or "$").removeprefix("$").lstrip(".") or "the settings"
    return f"{channel}: '{key}' must be {wanted}, not {WORDS.get(found['given'], found['given'])}."
