"""Directives: what an action or a response asks of the customer's channel without a handoff.

Read in a message's ``custom`` (docs/settings.md):

- ``{"handoff_close": true}`` or ``{"handoff_close": {"without_survey": true}}``: the conversation is over;
- ``{"handoff_priority": "urgent"}`` or ``{"handoff_priority": {"seconds": 120}}``: how soon it is to be answered;
- ``{"handoff_transfer": "returns"}`` or ``{"handoff_transfer": {"skill": "..."}}``: another bot takes it;
- ``{"handoff_assign": "thandi"}``: it is given to somebody of the platform, by name or id, for good.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.names import ASSIGN_MARKER, CLOSE_MARKER, PRIORITY_MARKER, TRANSFER_MARKER
from rasa_handoff.vocabulary.values import Priority, Value


class Close(Value, frozen=True, forbid_unknown_fields=True):
    """The conversation is to be closed; ``without_survey``: and the customer isn't asked how it was."""

    without_survey: bool = False


class SetPriority(Value, frozen=True, forbid_unknown_fields=True):
    """How soon the conversation is to be answered: a ``priority``, or ``seconds`` until it is overdue."""

    priority: Priority | None = None
    seconds: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Transfer(Value, frozen=True, forbid_unknown_fields=True):
    """Another bot is to have the conversation: ``bot``, a name of the settings, or ``skill``, the platform's own name."""

    bot: str | None = None
    skill: str | None = None


class Assign(Value, frozen=True, forbid_unknown_fields=True):
    """An agent or a bot of the platform is to have the conversation, now: ``to``, a name of the settings or the platform's id."""

    to: str


Directive = Close | SetPriority | Transfer | Assign

_READERS: Final[Mapping[str, tuple[type[Directive], Callable[[Any], Any]]]] = {
    CLOSE_MARKER: (Close, lambda body: {} if body is None or body is True else body),
    PRIORITY_MARKER: (SetPriority, lambda body: {"priority": body} if isinstance(body, str) else body),
    TRANSFER_MARKER: (Transfer, lambda body: {"bot": body} if isinstance(body, str) else body),
    ASSIGN_MARKER: (Assign, lambda body: {"to": str(body).strip()} if _is_name(body) else body),
}


def read_directives(custom: Any) -> tuple[Directive, ...]:
    """The directives in a message's ``custom``, of each kind one at most.

    Raises:
        MarkerError: if one is ours and doesn't fit; names the key.
    """
    if not isinstance(custom, Mapping):
        return ()
    return tuple(_read(key, *_READERS[key], custom[key]) for key in _READERS if key in custom)


def key_of(directive: Directive) -> str:
    """The key it stands under."""
    return next(key for key, (kind, _) in _READERS.items() if isinstance(directive, kind))


def directives_in(custom: Mapping[str, Any]) -> dict[str, Any]:
    """Those that stand in it, unread."""
    return {key: value for key, value in custom.items() if key in _READERS}


def without_directives(custom: Mapping[str, Any]) -> dict[str, Any]:
    """What else is there."""
    return {key: value for key, value in custom.items() if key not in _READERS}


def _is_name(body: Any) -> bool:
    return isinstance(body, str | int) and not isinstance(body, bool) and bool(str(body).strip())


def _read(key: str, kind: type[Directive], fields: Callable[[Any], Any], body: Any) -> Directive:
    try:
        directive = msgspec.convert(fields(body), kind)
    except (msgspec.ValidationError, UnicodeError) as problem:  # half a character is no word of ours
        raise MarkerError(f"custom.{key} doesn't fit: {problem}") from problem
    if directive == Transfer():
        raise MarkerError(f"custom.{key} names neither bot nor skill: write one.")
    if directive == SetPriority():
        raise MarkerError(f"custom.{key} says neither priority nor seconds: write one.")
    return directive
