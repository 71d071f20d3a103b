"""Markers: how an action or a response of the project asks for a handoff.

Three forms are read, all of them in a message's ``custom``:

- ``{"handoff": {...}}`` with any field of :class:`HandoffRequest`;
- ``{"department": "billing"}``, Botlhale's preset (wire-formats, section 1), only when nothing stands beside it;
- ``{"handoff_options": {}}``, which the channel replaces by the options; with the fields of a handoff that is chosen from them.

:class:`ChannelNotice` goes the other way: what HandoffChannel tells the actions in each message's metadata.
"""

from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.names import BOTLHALE_MARKER, HANDOFF_MARKER, METADATA_KEY, OPTIONS_MARKER
from rasa_handoff.vocabulary.values import Availability, Contact, Priority, Value


class HandoffRequest(Value, frozen=True, forbid_unknown_fields=True):
    """What a project may say about a handoff it asks for. Everything is optional.

    ``department``: name of a department of the desk. ``agent``: e-mail or id of the agent it should go to.
    ``reason``: why, in a few words, for the agent. ``priority``: None is not said, and counts as normal. ``note``: anything
    else for the agent. ``contact``: name, email, phone. ``language``: an IETF tag such as ``"en"`` or ``"zu"``.
    """

    department: str | None = None
    agent: str | None = None
    reason: str | None = None
    priority: Priority | None = None
    note: str | None = None
    contact: Contact = Contact()
    language: str | None = None


class OptionsRequest(Value, frozen=True):
    """Asks the channel to offer the departments, in this message's place. ``request``: what the handoff says that the customer
    then chooses, where nothing else says it."""

    request: HandoffRequest = HandoffRequest()


class ChannelNotice(Value, frozen=True):
    """What HandoffChannel puts into each message's metadata under ``"handoff"``, for actions to read."""

    channel: str
    availability: Availability = Availability()


Marker = HandoffRequest | OptionsRequest
Said = TypeVar("Said", HandoffRequest, Contact)


def read_marker(custom: Any) -> Marker | None:
    """The marker in a message's ``custom``, or None where there is none.

    Raises:
        MarkerError: if it is one of ours and doesn't fit; names the field and its nearest neighbour.
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


def filled(request: HandoffRequest, behind: HandoffRequest) -> HandoffRequest:
    """The request; what it leaves open is said by the one behind it."""
    return msgspec.structs.replace(_over(request, behind), contact=_over(request.contact, behind.contact))


def _over(said: Said, behind: Said) -> Said:
    """Field by field."""
    own = {name: getattr(said, name) for name in said.__struct_fields__}
    return msgspec.structs.replace(behind, **{name: value for name, value in own.items() if value is not None})


def read_notice(metadata: Any) -> ChannelNotice | None:
    """What the channel said in a message's metadata; None where no HandoffChannel stands before the bot."""
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        return None
    try:
        return msgspec.convert(metadata[METADATA_KEY], ChannelNotice)
    except (msgspec.ValidationError, UnicodeError):
        return None  # a customer's own metadata may use the word; only a notice of ours fits


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
        return msgspec.convert(fields, HandoffRequest)
    except (msgspec.ValidationError, UnicodeError) as problem:  # half a character is no word of ours
        raise MarkerError(f"custom.{marker} doesn't fit: {problem}") from problem
