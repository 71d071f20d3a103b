"""Checks of settings and their ``${VARIABLES}``; a mistake is one sentence: the key, the nearest valid one, what to write.

Rasa fills in variables in plain YAML strings but not in quoted ones, and inside braces a variable must be quoted:
``{token: "${HANDOFF_TOKEN}"}``. :func:`expanded` fills in the rest.
"""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import msgspec

from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Value

S = TypeVar("S", bound=Value)

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")

WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
"""Names of types in error messages."""


def check_keys(
    channel: str, kind: type[msgspec.Struct], data: Mapping[Any, Any], path: str, examples: Mapping[str, str]
) -> None:
    """Check that every key is a field of ``kind`` and that none without a default is missing.

    ``examples``: what to write for a missing one.

    Raises:
        SettingsError: names the first unknown or missing key.
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
    """Return the settings as a value of ``kind``.

    Raises:
        SettingsError: a setting has the wrong type.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as problem:
        raise SettingsError(_sentence(channel, str(problem))) from problem


def _sentence(channel: str, problem: str) -> str:
    """Rephrase an error of msgspec in terms of a YAML file: ``Expected `str`, got `int` - at `$.desk.url```."""
    found = re.match(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `(?P<path>[^`]+)`)?", problem)
    if not found:
        return f"{channel}: {problem}"
    wanted = " or ".join(WORDS.get(word, word) for word in found["wanted"].split(" | ") if word != "null")
    key = (found["path"] or "$").removeprefix("$").lstrip(".") or "the settings"
    return f"{channel}: '{key}' must be {wanted}, not {WORDS.get(found['given'], found['given'])}."


def expanded(settings: Any) -> Any:
    """Return the settings with every variable filled in. One that isn't set stays, for :func:`check_variables`."""
    if isinstance(settings, str):
        return valid_text(VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), settings))
    if isinstance(settings, dict):
        return {name: expanded(value) for name, value in settings.items()}
    return [expanded(value) for value in settings] if isinstance(settings, list) else settings


def check_variables(channel: str, settings: Any) -> None:
    """Check that every variable is set. Otherwise the text ``${NAME}`` itself would be used, for example as a secret.

    Raises:
        SettingsError: a variable isn't set; the sentence names the key.
    """
    for path, text in _texts(settings, ""):
        if unset := VARIABLE.search(text):
            raise SettingsError(
                f"{channel}: {path} is empty, for {unset[0]} isn't set: set the variable, or leave the setting out."
            )


def _texts(settings: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each text in the settings."""
    if isinstance(settings, str):
        yield path, settings
    elif isinstance(settings, dict):
        for name, value in settings.items():
            yield from _texts(value, f"{path}.{name}" if path else str(name))
    elif isinstance(settings, list):
        for value in settings:
            yield from _texts(value, path)
