"""Complete a handoff request: from its own marker, else from the customer's message, else from the options they saw."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.markers import (
    HandoffRequest,
    Marker,
    OptionsRequest,
    read_marker,
    shows_options,
    with_defaults,
)
from rasa_handoff.protocol.names import CARRY_ON_INTENT, CONTACT_FORM, DEPARTMENT_ENTITY

Happened = Sequence[Mapping[str, Any]]
"""A tracker's events, as dicts."""

OVER: Final = ("pause", "restart", "session_started")
"""Types of events after which earlier options no longer count."""


def complete_request(
    marker: HandoffRequest | None, parsed: Mapping[str, Any], happened: Happened, intents: IntentSettings
) -> HandoffRequest:
    """Return the complete request.

    ``parsed``: the NLU result of this turn's message; ``happened``: the tracker's events up to it; ``intents``: the project's
    names of the intents.
    """
    said = _with_department(marker or HandoffRequest(), parsed)
    return with_defaults(said, _last_options(_before_choice(happened, intents.execute), intents))


def up_to(message_id: str | None, happened: Happened) -> Happened:
    """Return the events up to this message.

    Later events aren't part of what was asked: the turn that answers the message may pause the conversation, for example, and so
    may the handoff to which an earlier copy of it led.
    """
    own = [
        index
        for index, event in enumerate(happened)
        if event.get("event") == "user" and event.get("message_id") == message_id
    ]
    return happened[: own[-1] + 1] if own else happened


def intent_of(parsed: Mapping[str, Any]) -> str | None:
    """Return the intent's name from an NLU result."""
    return (parsed.get("intent") or {}).get("name")


def options_marker_of(event: Mapping[str, Any]) -> OptionsRequest | None:
    """Return the options marker in a bot's event; None if there is none, or it can't be read."""
    marker = marker_of(event)
    return marker if isinstance(marker, OptionsRequest) else None


def marker_of(event: Mapping[str, Any]) -> Marker | None:
    """Return the marker in a bot's event; None if there is none, or it can't be read."""
    custom = (event.get("data") or {}).get("custom") if event.get("event") == "bot" else None
    try:
        return read_marker(custom)
    except MarkerError:
        return None  # logged when it was sent


def _before_choice(happened: Happened, execute: str) -> Happened:
    """Return the events before the customer asked for a person; none if they didn't.

    The request was the customer's last message, or the one that opened the contact form.
    """
    latest, before = _last_of("user", happened)
    if not _asks(latest, execute):
        loop, before = _last_of("active_loop", before)
        latest, before = _last_of("user", before if loop.get("name") == CONTACT_FORM else ())
    return before if _asks(latest, execute) else ()


def _asks(event: Mapping[str, Any], intent: str) -> bool:
    return intent_of(event.get("parse_data") or {}) == intent


def _last_of(kind: str, happened: Happened) -> tuple[Mapping[str, Any], Happened]:
    """Return the last event of this type, blank if there is none, and the events before it."""
    for index in reversed(range(len(happened))):
        if happened[index].get("event") == kind:
            return happened[index], happened[:index]
    return {}, ()


def _last_options(happened: Happened, intents: IntentSettings) -> HandoffRequest:
    """Return the request in the marker of the options that the customer saw last; blank if there is none."""
    for event in reversed(happened):
        if (marker := options_marker_of(event)) is not None:
            return marker.request
        if event.get("event") in OVER or _ends(event, intents):
            break
    return HandoffRequest()


def _ends(event: Mapping[str, Any], intents: IntentSettings) -> bool:
    """Return whether earlier options no longer count: others were asked for or shown, or the customer carried on."""
    if event.get("event") == "user":
        return any(_asks(event, intent) for intent in (intents.options, CARRY_ON_INTENT))
    return event.get("event") == "bot" and shows_options(event.get("data") or {}, f"/{intents.execute}")


def _with_department(request: HandoffRequest, parsed: Mapping[str, Any]) -> HandoffRequest:
    """Return the request, with the department that the customer named if the marker names none."""
    if request.department is not None:
        return request
    for entity in parsed.get("entities") or ():
        if entity.get("entity") == DEPARTMENT_ENTITY and entity.get("value"):
            return msgspec.structs.replace(request, department=str(entity["value"]))
    return request
