"""The settings of LivePersonChannel, as they stand in ``credentials.yml`` (docs/adapters/liveperson.md)."""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.mistakes import check_keys, convert
from rasa_handoff.vocabulary.platform import PlatformSettings, check_numbers, check_shape, mapping, offered
from rasa_handoff.vocabulary.values import Department, Priority, Value

CHANNEL_NAME: Final = "rasa_handoff.LivePersonChannel"
TIMEOUT: Final = 30.0
"""Seconds after which LivePerson kills a Function; a Custom Endpoint has 60."""


ANY_AUDIENCE: Final = "any"


class FunctionSettings(Value, frozen=True, forbid_unknown_fields=True):
    """The header a LivePerson Function sends: its name and its value."""

    header: str
    secret: str


class EndpointBot(Value, frozen=True, forbid_unknown_fields=True):
    """A bot of Custom Endpoint. ``audience``: the ``aud`` its tokens must have; LivePerson's is the account's id, and
    ``ANY_AUDIENCE`` takes the token of every account."""

    environments: tuple[str, ...] = ("draft",)
    audience: str | None = None

    @property
    def checked_audience(self) -> str | None:
        """What the tokens' ``aud`` is compared with; None: with nothing."""
        return None if self.audience == ANY_AUDIENCE else self.audience


class EndpointSettings(Value, frozen=True, forbid_unknown_fields=True):
    """Custom Endpoint: ``public_key``, PEM or a file's path, several if it is being changed; ``bots`` by botId."""

    public_key: str | tuple[str, ...]
    bots: dict[str, EndpointBot]
    issuer: str | None = None
    scope: str | None = None

    @property
    def public_keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.public_key,) if isinstance(self.public_key, str) else self.public_key


class DepartmentSettings(Value, frozen=True, forbid_unknown_fields=True):
    """A department at LivePerson: a skill, by name, and an agent of it, by id. ``priorities``: the skill in its place for a
    handoff of that priority. ``title``: a button's."""

    skill: str
    agent: str | None = None
    priorities: dict[Priority, str] = {}
    title: str | None = None


class LivePersonSettings(PlatformSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of LivePersonChannel.

    ``skill``: who gets a handoff without a department. ``functions``: by a name of your own, for the log and the actions.
    Also mapped to the bot's intents or payloads: ``welcome_back`` (people hand the conversation back) and ``rich_content``.
    ``agents``: LivePerson's ids by the names the bot uses; ``other_bots``: skills by name. ``quick_replies``: off for chat,
    which has none: a card of buttons then. ``transfer_note``: agents get a private note.
    """

    skill: str
    functions: dict[str, FunctionSettings] = {}
    endpoint: EndpointSettings | None = None
    welcome_back: str | None = None
    rich_content: str | None = None
    departments: dict[str, DepartmentSettings] = {}
    agents: dict[str, str] = {}
    other_bots: dict[str, str] = {}
    quick_replies: bool = True
    transfer_note: bool = True
    answer_seconds: float = 20.0

    @property
    def offered(self) -> tuple[Department, ...]:
        """The departments, as the options show them."""
        return offered(self.departments)


EXAMPLES: Final = {
    "skill": "skill: human_skill",
    "header": "header: X-Handoff-Key",
    "secret": "secret: ${LIVEPERSON_KEY}",
    "public_key": "public_key: liveperson.pem",
    "bots": "bots: {my-bot-id: {audience: my-account-id}}",
}

NESTED: Final[Mapping[str, type[Value]]] = {"functions": FunctionSettings, "departments": DepartmentSettings}


def read_settings(data: Any) -> LivePersonSettings:
    """Read what stands under ``rasa_handoff.LivePersonChannel``.

    Raises:
        SettingsError: one sentence with the key, its nearest neighbour and what to write.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(f"{CHANNEL_NAME} needs settings: write at least skill and functions or endpoint below it.")
    check_shape(CHANNEL_NAME, LivePersonSettings, data, NESTED, EXAMPLES)
    _check_endpoint(data.get("endpoint"))
    settings = convert(CHANNEL_NAME, LivePersonSettings, data)
    _check_doors(settings)
    check_numbers(CHANNEL_NAME, settings, TIMEOUT)
    return settings


def _check_endpoint(endpoint: Any) -> None:
    if isinstance(endpoint, Mapping):
        check_keys(CHANNEL_NAME, EndpointSettings, endpoint, "endpoint.", EXAMPLES)
        for key, one in mapping(endpoint.get("bots")).items():
            check_keys(CHANNEL_NAME, EndpointBot, mapping(one), f"endpoint.bots.{key}.", EXAMPLES)


def _check_doors(settings: LivePersonSettings) -> None:
    if not settings.functions and settings.endpoint is None:
        raise SettingsError(
            f"{CHANNEL_NAME} has no door: write 'functions: {{shop: {{{EXAMPLES['header']}, {EXAMPLES['secret']}}}}}', "
            f"or endpoint."
        )
    for name, function in settings.functions.items():
        for key in ("header", "secret"):
            if not getattr(function, key).strip():
                raise SettingsError(
                    f"{CHANNEL_NAME}: functions.{name}.{key} is empty: write what your Function sends, and set the variable "
                    f"if it comes from one."
                )
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
