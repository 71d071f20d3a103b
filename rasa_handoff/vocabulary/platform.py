"""What the settings of every platform channel share, and how they are checked."""

from collections.abc import Mapping
from typing import Any

from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.mistakes import check_keys
from rasa_handoff.vocabulary.names import UTTER_ASSIGNED
from rasa_handoff.vocabulary.settings import IntentSettings
from rasa_handoff.vocabulary.values import Department, Value
from rasa_handoff.vocabulary.variables import check_variables


class PlatformSettings(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is mapped to the bot's intents or payloads: ``welcome``, ``attachment``, ``location``. ``handoff_response``: said when
    a handoff's turn says nothing else; ``null``: nothing. ``answer_seconds``: until what was said so far is answered.
    ``crossing_seconds``: so long after a handoff a message still counts as written before it. ``body_limit``: bytes.
    """

    welcome: str | None = None
    attachment: str | None = None
    location: str | None = None
    handoff_response: str | None = UTTER_ASSIGNED
    intents: IntentSettings = IntentSettings()
    answer_seconds: float = 25.0
    crossing_seconds: float = 2.0
    body_limit: int = 1_000_000


def offered(departments: Mapping[str, Any]) -> tuple[Department, ...]:
    """The departments of the settings, each with a ``title``, as the options show them."""
    return tuple(Department(name=name, title=one.title) for name, one in departments.items())


def check_shape(
    channel: str,
    kind: type[PlatformSettings],
    data: Any,
    nested: Mapping[str, type[Value]],
    examples: Mapping[str, str],
) -> None:
    """Every key is one of ``kind``'s, and those of each mapping below a key of ``nested`` are its kind's; no variable is unset.

    Raises:
        SettingsError: one sentence with the key, its nearest neighbour and what to write.
    """
    check_variables(channel, data)
    check_keys(channel, kind, data, "", examples)
    if isinstance(data.get("intents"), Mapping):
        check_keys(channel, IntentSettings, data["intents"], "intents.", examples)
    for name, one_kind in nested.items():
        for key, one in mapping(data.get(name)).items():
            check_keys(channel, one_kind, mapping(one), f"{name}.{key}.", examples)


def mapping(data: Any) -> Mapping[Any, Any]:
    """Nothing in place of what is no mapping: ``convert`` says so better."""
    return data if isinstance(data, Mapping) else {}


def check_numbers(channel: str, settings: PlatformSettings, limit: float) -> None:
    """Times and sizes are some. ``limit``: seconds after which the platform gives a call up.

    Raises:
        SettingsError: one sentence with what to write.
    """
    if not 0 < settings.answer_seconds < limit:
        raise SettingsError(
            f"{channel}: answer_seconds is {settings.answer_seconds}: the platform waits {limit:g}, write less, such as 20."
        )
    if settings.crossing_seconds < 0:
        raise SettingsError(f"{channel}: crossing_seconds is {settings.crossing_seconds}: write seconds, such as 2.")
    if settings.body_limit <= 0:
        raise SettingsError(f"{channel}: body_limit is {settings.body_limit}: write bytes, such as 1000000.")
