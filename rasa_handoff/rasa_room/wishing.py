"""What a handoff says: first its own marker, then the customer's words, then the options it was chosen from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.marker import HandoffRequest, OptionsRequest, filled, read_marker
from rasa_handoff.vocabulary.names import DEPARTMENT_ENTITY

Happened = Sequence[Mapping[str, Any]]

OVER: Final = ("pause", "restart", "session_started")
"""Events behind which options are no longer what a handoff is chosen from."""


def wished(
    marker: HandoffRequest | None, parsed: Mapping[str, Any], happened: Happened, execute: str
) -> HandoffRequest:
    """The whole request. ``parsed``: the message of this turn; ``happened``: the tracker's events; ``execute``: the intent
    behind the options' buttons."""
    said = _with_department(marker or HandoffRequest(), parsed)
    return filled(said, _chosen_from(happened, execute))


def up_to(message_id: str | None, happened: Happened) -> Happened:
    """The events as this message found them. What has come since isn't what its handoff was chosen from: a pause of its own
    turn, or, when it comes again, of its own handoff."""
    own = [
        place
        for place, event in enumerate(happened)
        if event.get("event") == "user" and event.get("message_id") == message_id
    ]
    return happened[: own[-1] + 1] if own else happened


def intent_of(parsed: Mapping[str, Any]) -> str | None:
    """The name of the intent, by what the NLU made of a message."""
    return (parsed.get("intent") or {}).get("name")


def offers(event: Mapping[str, Any]) -> OptionsRequest | None:
    """The options' marker in an event of the bot's; one that can't be read was no offer."""
    custom = (event.get("data") or {}).get("custom") if event.get("event") == "bot" else None
    try:
        marker = read_marker(custom)
    except MarkerError:
        return None  # logged as it was said
    return marker if isinstance(marker, OptionsRequest) else None


def _chosen_from(happened: Happened, execute: str) -> HandoffRequest:
    """What the last options say, if the customer asked for a person after them."""
    chosen = False
    for event in reversed(happened):
        if event.get("event") in OVER:
            break
        chosen = chosen or (event.get("event") == "user" and intent_of(event.get("parse_data") or {}) == execute)
        if (offer := offers(event)) is not None:
            return offer.request if chosen else HandoffRequest()
    return HandoffRequest()


def _with_department(request: HandoffRequest, parsed: Mapping[str, Any]) -> HandoffRequest:
    """The request, with the department the customer named if the marker names none."""
    if request.department is not None:
        return request
    for entity in parsed.get("entities") or ():
        if entity.get("entity") == DEPARTMENT_ENTITY and entity.get("value"):
            return msgspec.structs.replace(request, department=str(entity["value"]))
    return request
