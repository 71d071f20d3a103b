"""``${VARIABLES}`` in settings. Rasa fills in those in plain YAML texts and leaves those in quoted ones, where they must stand
if there are braces around: ``{token: "${HANDOFF_TOKEN}"}``."""

import os
import re
from typing import Any, Final

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def expanded(settings: Any) -> Any:
    """The settings with every variable filled in. One that isn't set stays, for the settings to complain of."""
    if isinstance(settings, str):
        return VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), settings)
    if isinstance(settings, dict):
        return {name: expanded(value) for name, value in settings.items()}
    return [expanded(value) for value in settings] if isinstance(settings, list) else settings
