"""``${VARIABLES}`` in settings. Rasa fills in those in plain YAML texts and leaves those in quoted ones, where they must stand
if there are braces around: ``{token: "${HANDOFF_TOKEN}"}``."""

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.text import valid_text

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def expanded(settings: Any) -> Any:
    """The settings with every variable filled in. One that isn't set stays, for the settings to complain of."""
    if isinstance(settings, str):
        return valid_text(VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), settings))
    if isinstance(settings, dict):
        return {name: expanded(value) for name, value in settings.items()}
    return [expanded(value) for value in settings] if isinstance(settings, list) else settings


def check_variables(channel: str, settings: Any) -> None:
    """A variable that isn't set must not be taken for a secret.

    Raises:
        SettingsError: one sentence with the key.
    """
    for place, text in _texts(settings, ""):
        if unset := VARIABLE.search(text):
            raise SettingsError(
                f"{channel}: {place} is empty, for {unset[0]} isn't set: set the variable, or leave the setting out."
            )


def _texts(settings: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(settings, str):
        yield place, settings
    elif isinstance(settings, dict):
        for name, value in settings.items():
            yield from _texts(value, f"{place}.{name}" if place else str(name))
    elif isinstance(settings, list):
        for value in settings:
            yield from _texts(value, place)
