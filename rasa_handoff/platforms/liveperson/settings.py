"""The settings of LivePersonChannel in ``credentials.yml`` (docs/adapters/liveperson.md)."""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.platform_settings import (
    PlatformSettings,
    SecretHeader,
    check_database_url,
    check_headers,
    check_numbers,
    check_shape,
    mapping,
)
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.settings_errors import check_keys, convert
from rasa_handoff.protocol.values import Priority, Value

CHANNEL_NAME: Final = "rasa_handoff.LivePersonChannel"
TIMEOUT: Final = 30.0
"""Seconds after which LivePerson ends a Function; Custom Endpoint has 60."""
ANY_AUDIENCE: Final = "any"
"""An ``audience`` that takes the tokens of every account."""


class EndpointBot(Value, frozen=True, forbid_unknown_fields=True):
    """A bot of Custom Endpoint. ``audience``: the ``aud`` that its tokens must have. LivePerson sets it to the account's id."""

    environments: tuple[str, ...] = ("draft",)
    audience: str | None = None

    @property
    def checked_audience(self) -> str | None:
        """The ``aud`` that tokens must have; None: any."""
        return None if self.audience == ANY_AUDIENCE else self.audience


class EndpointSettings(Value, frozen=True, forbid_unknown_fields=True):
    """Custom Endpoint.

    ``public_key``: a PEM text or a file's path, or several while the key is being changed; ``bots``: by botId.
    """

    public_key: str | tuple[str, ...]
    bots: dict[str, EndpointBot]
    issuer: str | None = None
    scope: str | None = None

    @property
    def public_keys(self) -> tuple[str, ...]:
        """All public keys."""
        return (self.public_key,) if isinstance(self.public_key, str) else self.public_key


class LivePersonDepartment(Value, frozen=True, forbid_unknown_fields=True):
    """A department at LivePerson: a skill, by name, and perhaps an agent of it, by id. ``priorities``: another skill for handoffs
    of a priority. ``title``: its button's title."""

    skill: str
    agent: str | None = None
    priorities: dict[Priority, str] = {}
    title: str | None = None


class LivePersonSettings(PlatformSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of LivePersonChannel.

    ``skill``: gets handoffs without a department. ``functions``: the header of each, by a name of your own, for the log and the
    actions. ``welcome_back`` and ``rich_content``: the intent or payload that the bot gets when people return a conversation and
    for rich content. ``agents``: LivePerson's ids by the names the bot uses. ``other_bots``: skills by name. ``quick_replies``:
    turn it off for chat, which has none; buttons are on a card then. ``transfer_note``: agents get a private note.
    """

    skill: str
    functions: dict[str, SecretHeader] = {}
    endpoint: EndpointSettings | None = None
    welcome_back: str | None = None
    rich_content: str | None = None
    departments: dict[str, LivePersonDepartment] = {}
    agents: dict[str, str] = {}
    other_bots: dict[str, str] = {}
    quick_replies: bool = True
    transfer_note: bool = True
    answer_seconds: float = 20.0


EXAMPLES: Final = {
    "skill": "skill: human_skill",
    "header": "header: X-Handoff-Key",
    "secret": "secret: ${LIVEPERSON_KEY}",
    "public_key": "public_key: liveperson.pem",
    "bots": "bots: {my-bot-id: {audience: my-account-id}}",
}

NESTED: Final[Mapping[str, type[Value]]] = {"functions": SecretHeader, "departments": LivePersonDepartment}


def read_settings(data: Any) -> LivePersonSettings:
    """Read the settings under ``rasa_handoff.LivePersonChannel``.

    Raises:
        SettingsError: one sentence with the key, the known key most like it, and what to write.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(f"{CHANNEL_NAME} needs settings: write at least skill and functions or endpoint below it.")
    check_shape(CHANNEL_NAME, LivePersonSettings, data, NESTED, EXAMPLES)
    _check_endpoint(data.get("endpoint"))
    settings = convert(CHANNEL_NAME, LivePersonSettings, data)
    _check_callers(settings)
    check_numbers(CHANNEL_NAME, settings, TIMEOUT)
    check_database_url(CHANNEL_NAME, settings.database)
    return settings


def _check_endpoint(endpoint: Any) -> None:
    if isinstance(endpoint, Mapping):
        check_keys(CHANNEL_NAME, EndpointSettings, endpoint, "endpoint.", EXAMPLES)
        for key, one in mapping(endpoint.get("bots")).items():
            check_keys(CHANNEL_NAME, EndpointBot, mapping(one), f"endpoint.bots.{key}.", EXAMPLES)


def _check_callers(settings: LivePersonSettings) -> None:
    if not settings.functions and settings.endpoint is None:
        raise SettingsError(
            f"{CHANNEL_NAME} has neither functions nor endpoint: write 'functions: {{shop: {{{EXAMPLES['header']}, "
            f"{EXAMPLES['secret']}}}}}', or endpoint."
        )
    check_headers(CHANNEL_NAME, "functions", settings.functions, "write what your Function sends")
    if settings.endpoint is not None and not settings.endpoint.bots:
        raise SettingsError(f"{CHANNEL_NAME}: no bot stands under 'endpoint.bots': write '{EXAMPLES['bots']}'.")
    for name, bot in settings.endpoint.bots.items() if settings.endpoint is not None else ():
        if not (bot.audience or "").strip():
            raise SettingsError(
                f"{CHANNEL_NAME}: endpoint.bots.{name} has no audience, so any customer of LivePerson's could call it: write "
                f"your account's id, or 'audience: {ANY_AUDIENCE}' if that is meant."
            )
    if not settings.skill.strip():
        raise SettingsError(f"{CHANNEL_NAME}: skill is empty: write the name of the skill that people have.")
