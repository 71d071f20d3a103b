"""What a handoff says: first its own marker, then the customer's words, then the options it was chosen from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.marker import HandoffRequest, OptionsRequest, filled, read_marker
from rasa_handoff.vocabulary.names import CARRY_ON_INTENT, CONTACT_FORM, DEPARTMENT_ENTITY
from rasa_handoff.vocabulary.options import shows_options
from rasa_handoff.vocabulary.settings import IntentSettings

Happened = Sequence[Mapping[str, Any]]

OVER: Final = ("pause", "restart", "session_started")
"""Events behind which options are no longer what a handoff is chosen from."""


def wished(
    marker: HandoffRequest | None, parsed: Mapping[str, Any], happened: Happened, intents: IntentSettings
) -> HandoffRequest:
    """The whole request. ``parsed``: the message of this turn; ``happened``: the tracker's events up to it; ``intents``: the
    names the project gives them."""
    said = _with_department(marker or HandoffRequest(), parsed)
    return filled(said, _last_options(_before_choice(happened, intents.execute), intents))


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


def _before_choice(happened: Happened, execute: str) -> Happened:
    """What was before the customer asked for a person: with the last message, or with one after which they were asked who they
    are. Nothing if they didn't."""
    latest, before = _last_of("user", happened)
    if not _asks(latest, execute):
        loop, before = _last_of("active_loop", before)
        latest, before = _last_of("user", before if loop.get("name") == CONTACT_FORM else ())
    return before if _asks(latest, execute) else ()


def _asks(event: Mapping[str, Any], intent: str) -> bool:
    return intent_of(event.get("parse_data") or {}) == intent


def _last_of(kind: str, happened: Happened) -> tuple[Mapping[str, Any], Happened]:
    """The last event of this kind, blank if there is none, and what was before it."""
    for place in reversed(range(len(happened))):
        if happened[place].get("event") == kind:
            return happened[place], happened[:place]
    return {}, ()


def _last_options(happened: Happened, intents: IntentSettings) -> HandoffRequest:
    """What the options say that the customer saw last; blank if those said nothing."""
    for event in reversed(happened):
        if (offer := offers(event)) is not None:
            return offer.request
        if event.get("event") in OVER or _ends(event, intents):
            break
    return HandoffRequest()


def _ends(event: Mapping[str, Any], intents: IntentSettings) -> bool:
    """Whether options before this are no longer those: others were asked for or shown, or the customer wanted none."""
    if event.get("event") == "user":
        return any(_asks(event, intent) for intent in (intents.options, CARRY_ON_INTENT))
    return event.get("event") == "bot" and shows_options(event.get("data") or {}, f"/{intents.execute}")


def _with_department(request: HandoffRequest, parsed: Mapping[str, Any]) -> HandoffRequest:
    """The request, with the department the customer named if the marker names none."""
    if request.department is not None:
        return request
    for entity in parsed.get("entities") or ():
        if entity.get("entity") == DEPARTMENT_ENTITY and entity.get("value"):
            return msgspec.structs.replace(request, department=str(entity["value"]))
    return request
