"""Rasa's types of events, found by their name without a search.

For each event that Rasa reads from a tracker store it lists all types of events anew, which is half the time of reading a
tracker. Here a type that was found is remembered.

Seen with ``rasa.shared.core.events`` of 3.6.21.
"""

from functools import wraps
from typing import Any, Final

from rasa.shared.core.events import Event

from rasa_handoff.channel.compat.patches import Patches


def _remembering(original: Any) -> Any:
    found: dict[str, type[Event]] = {}

    @wraps(original.__func__)
    def resolve_by_type(type_name: str, default: type[Event] | None = None) -> type[Event] | None:
        kind = found.get(type_name)
        if kind is None:
            kind = original.__func__(type_name, default)
            if kind is not None and kind.type_name == type_name:  # not the default: a type may be defined later
                found[type_name] = kind
        return kind

    return staticmethod(resolve_by_type)


PATCHES: Final = Patches(Event, {"resolve_by_type": _remembering})
"""Make Rasa remember the types of events."""
