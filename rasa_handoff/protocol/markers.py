"""Markers and directives in a message's ``custom``, and the buttons of the handoff options (docs/settings.md).

A marker is how an action or a response of the project requests a handoff:

- ``{"handoff": {...}}`` with any field of :class:`HandoffRequest`;
- ``{"department": "billing"}``, the form of Botlhale's preset, only if it is the only key;
- ``{"handoff_options": {}}``, which the channel replaces by the options. It may have any field of :class:`HandoffRequest`: these
  are the defaults of the handoff that the customer then chooses.

A directive asks something of the customer's channel without a handoff:

- ``{"handoff_close": true}`` or ``{"handoff_close": {"without_survey": true}}``: end the conversation;
- ``{"handoff_priority": "urgent"}`` or ``{"handoff_priority": {"seconds": 120}}``: how soon it should be answered;
- ``{"handoff_transfer": "returns"}`` or ``{"handoff_transfer": {"skill": "..."}}``: transfer it to another bot;
- ``{"handoff_assign": "thandi"}``: assign it to an agent or bot of the platform, by name or id, for good.

:class:`MetadataForActions` is the opposite direction: what HandoffChannel puts into each message's metadata for the actions.
"""

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, TypeVar

import msgspec

from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.names import (
    ASSIGN_DIRECTIVE,
    BOTLHALE_MARKER,
    CARRY_ON_INTENT,
    CLOSE_DIRECTIVE,
    DEPARTMENT_ENTITY,
    EXECUTE_INTENT,
    HANDOFF_MARKER,
    METADATA_KEY,
    OPTIONS_MARKER,
    PRIORITY_DIRECTIVE,
    TRANSFER_DIRECTIVE,
)
from rasa_handoff.protocol.text import own_buttons, payload_of
from rasa_handoff.protocol.values import Availability, Contact, Priority, Value

Button = dict[str, str]
"""One of Rasa's buttons: ``title`` and ``payload``."""


class HandoffRequest(Value, frozen=True, forbid_unknown_fields=True):
    """A project's request for a handoff. Every field is optional.

    ``department``: name of a department of the desk. ``agent``: e-mail or id of the agent it should go to. ``reason``: why, in a
    few words, for the agent. ``priority``: None means not given, and counts as normal. ``note``: anything else for the agent.
    ``contact``: name, email, phone. ``language``: an IETF tag such as ``"en"`` or ``"zu"``.
    """

    department: str | None = None
    agent: str | None = None
    reason: str | None = None
    priority: Priority | None = None
    note: str | None = None
    contact: Contact = Contact()
    language: str | None = None


class OptionsRequest(Value, frozen=True):
    """A request to replace this message by buttons for the departments.

    ``request``: defaults for the handoff that the customer then chooses.
    """

    request: HandoffRequest = HandoffRequest()


class MetadataForActions(Value, frozen=True):
    """The entry ``"handoff"`` that HandoffChannel puts into each message's metadata, for actions to read."""

    channel: str
    availability: Availability = Availability()


Marker = HandoffRequest | OptionsRequest
Fields = TypeVar("Fields", HandoffRequest, Contact)


def read_marker(custom: Any) -> Marker | None:
    """Return the marker in a message's ``custom``; None if there is none.

    Raises:
        MarkerError: the marker is invalid; the message names the field and the nearest valid one.
    """
    if not isinstance(custom, dict):
        return None
    if HANDOFF_MARKER in custom:
        return _read_request(custom[HANDOFF_MARKER], HANDOFF_MARKER)
    if OPTIONS_MARKER in custom:
        return OptionsRequest(request=_read_request(custom[OPTIONS_MARKER], OPTIONS_MARKER))
    if set(custom) == {BOTLHALE_MARKER}:
        return _read_request(custom, HANDOFF_MARKER)
    return None


def with_defaults(request: HandoffRequest, defaults: HandoffRequest) -> HandoffRequest:
    """Return the request; the fields that it leaves open are taken from ``defaults``."""
    return msgspec.structs.replace(_set_over(request, defaults), contact=_set_over(request.contact, defaults.contact))


def _set_over(said: Fields, defaults: Fields) -> Fields:
    """Return ``defaults`` with every field replaced that ``said`` sets."""
    own = {name: getattr(said, name) for name in said.__struct_fields__}
    return msgspec.structs.replace(defaults, **{name: value for name, value in own.items() if value is not None})


def read_metadata(metadata: Any) -> MetadataForActions | None:
    """Return what a message's metadata tells actions; None if the message didn't come through a HandoffChannel."""
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        return None
    try:
        return msgspec.convert(metadata[METADATA_KEY], MetadataForActions)
    except (msgspec.ValidationError, UnicodeError):
        return None  # a customer's own metadata may use the same key


def _read_request(body: Any, marker: str) -> HandoffRequest:
    fields = {} if body is None or body is True else body
    if not isinstance(fields, dict):
        raise MarkerError(f"custom.{marker} must be a mapping such as {{department: billing}}, not {body!r}.")
    for key in fields:
        if key not in HandoffRequest.__struct_fields__:
            near = get_close_matches(str(key), HandoffRequest.__struct_fields__, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            known = ", ".join(HandoffRequest.__struct_fields__)
            raise MarkerError(f"custom.{marker} has no field '{key}'.{hint} It may have: {known}.")
    try:
        return msgspec.convert(_forgiving(fields), HandoffRequest)
    except (msgspec.ValidationError, UnicodeError) as problem:  # UnicodeError: a lone surrogate
        raise MarkerError(f"custom.{marker} doesn't fit: {problem}") from problem


def _forgiving(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a marker with numbers as texts, and without those that are null.

    Actions fill fields from slots: a slot that isn't set is null, and a slot's value may be a number.
    """
    found = {name: _forgiving(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    return {name: str(value) if _is_number(value) else value for name, value in found.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Close(Value, frozen=True, forbid_unknown_fields=True):
    """Close the conversation. ``without_survey``: don't ask the customer to rate it."""

    without_survey: bool = False


class SetPriority(Value, frozen=True, forbid_unknown_fields=True):
    """Set how soon the conversation should be answered: a ``priority``, or ``seconds`` until it is overdue."""

    priority: Priority | None = None
    seconds: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Transfer(Value, frozen=True, forbid_unknown_fields=True):
    """Transfer the conversation to another bot: ``bot``, a name of the settings, or ``skill``, the platform's name."""

    bot: str | None = None
    skill: str | None = None


class Assign(Value, frozen=True, forbid_unknown_fields=True):
    """Assign the conversation to an agent or bot of the platform. ``to``: a name of the settings or the platform's id."""

    to: str


Directive = Close | SetPriority | Transfer | Assign

_READERS: Final[Mapping[str, tuple[type[Directive], Callable[[Any], Any]]]] = {
    CLOSE_DIRECTIVE: (Close, lambda body: {} if body is None or body is True else body),
    PRIORITY_DIRECTIVE: (SetPriority, lambda body: {"priority": body} if isinstance(body, str) else body),
    TRANSFER_DIRECTIVE: (Transfer, lambda body: {"bot": body} if isinstance(body, str) else body),
    ASSIGN_DIRECTIVE: (Assign, lambda body: {"to": str(body).strip()} if _is_name(body) else body),
}


def read_directives(custom: Any) -> tuple[Directive, ...]:
    """Return the directives in a message's ``custom``, one of each kind at most.

    Raises:
        MarkerError: a directive is invalid; the message names its key.
    """
    if not isinstance(custom, Mapping):
        return ()
    return tuple(_read(key, *_READERS[key], custom[key]) for key in _READERS if key in custom)


def key_of(directive: Directive) -> str:
    """Return the key of a directive in ``custom``."""
    return next(key for key, (kind, _) in _READERS.items() if isinstance(directive, kind))


def directives_in(custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of ``custom`` that are directives, unparsed."""
    return {key: value for key, value in custom.items() if key in _READERS}


def without_directives(custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of ``custom`` that aren't directives."""
    return {key: value for key, value in custom.items() if key not in _READERS}


def _is_name(body: Any) -> bool:
    return isinstance(body, str | int) and not isinstance(body, bool) and bool(str(body).strip())


def _read(key: str, kind: type[Directive], fields: Callable[[Any], Any], body: Any) -> Directive:
    try:
        directive = msgspec.convert(fields(body), kind)
    except (msgspec.ValidationError, UnicodeError) as problem:  # UnicodeError: a lone surrogate
        raise MarkerError(f"custom.{key} doesn't fit: {problem}") from problem
    if directive == Transfer():
        raise MarkerError(f"custom.{key} names neither bot nor skill: write one.")
    if directive == SetPriority():
        raise MarkerError(f"custom.{key} says neither priority nor seconds: write one.")
    return directive


def somebody_there(availability: Availability) -> bool:
    """Return whether a handoff can be offered: to a department, or to anybody where there are no departments."""
    return bool(availability.offered) or (availability.staffed and not availability.departments)


def option_buttons(
    availability: Availability,
    *,
    anybody: str,
    carry_on: str,
    execute_intent: str = EXECUTE_INTENT,
) -> list[Button]:
    """Return one button per available department, and a last one to carry on with the bot.

    A desk without departments gets one button for whoever is free. ``anybody`` is its title, ``carry_on`` the last one's. The
    payload of a department is ``/execute_handoff{"department": "billing"}``.
    """
    buttons = [
        {"title": department.label, "payload": f"/{execute_intent}{_entity(department.name)}"}
        for department in availability.offered
    ]
    if not availability.departments:
        buttons = [{"title": anybody, "payload": f"/{execute_intent}"}]
    return [*buttons, {"title": carry_on, "payload": f"/{CARRY_ON_INTENT}"}]


def shows_options(message: Mapping[str, Any], prefix: str) -> bool:
    """Return whether a Rasa message has option buttons. ``prefix``: how their payloads begin, ``/execute_handoff``."""
    return any(payload_of(button).startswith(prefix) for button in own_buttons(message))


def title_of(domain: Any, response: str, otherwise: str) -> str:
    """Return the text of a response, for a button's title; ``otherwise`` if the domain has none."""
    responses = (domain or {}).get("responses") or {}
    for variation in responses.get(response) or ():
        if variation.get("text"):
            return str(variation["text"])
    return otherwise


def _entity(department: str) -> str:
    # Escaped, each character of most scripts would be six bytes long; Telegram takes 64 for all of it.
    return json.dumps({DEPARTMENT_ENTITY: department}, ensure_ascii=False)
