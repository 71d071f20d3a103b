"""The settings of KommunicateChannel in ``credentials.yml`` (docs/adapters/kommunicate.md)."""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.platform_settings import (
    PlatformSettings,
    SecretHeader,
    check_database_url,
    check_headers,
    check_numbers,
    check_shape,
)
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.settings_errors import convert
from rasa_handoff.protocol.values import Value

CHANNEL_NAME: Final = "rasa_handoff.KommunicateChannel"
TIMEOUT: Final = 30.0
"""Seconds after which Kommunicate gives a webhook up."""


class KommunicateDepartment(Value, frozen=True, forbid_unknown_fields=True):
    """A department at Kommunicate: a team or an agent, by id; neither: the conversation rules. ``title``: its button's title."""

    team: str | int | None = None
    agent: str | int | None = None
    title: str | None = None


class KommunicateSettings(PlatformSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of KommunicateChannel.

    ``bots``: by botId. ``talk_to_human`` (default: ``intents.execute``) and ``events``, by name: the intent or payload that the
    bot gets for them. ``agents``: Kommunicate's ids by the names the bot uses. ``api_key``: with it, messages and actions
    outside a call go to the REST API at ``api_url``, in the name of ``api_user`` or else of the bot. ``user_details``: a
    handoff's contact, reason, priority and note are written to the customer's details there. ``handoff_context``: they are also
    put into the metadata of the message that hands over. ``account_token``: enables the account webhook, whose calls must have
    it.
    """

    bots: dict[str, SecretHeader]
    talk_to_human: str | None = None
    events: dict[str, str | None] = {}
    departments: dict[str, KommunicateDepartment] = {}
    agents: dict[str, str | int] = {}
    api_key: str | None = None
    api_url: str = "https://services.kommunicate.io"
    api_user: str | None = None
    user_details: bool = False
    handoff_context: bool = True
    account_token: str | None = None


EXAMPLES: Final = {
    "bots": 'bots: {my-bot-id: {header: X-Handoff-Key, secret: "${KOMMUNICATE_KEY}"}}',
    "header": "header: X-Handoff-Key",
    "secret": "secret: ${KOMMUNICATE_KEY}",
}

NESTED: Final[Mapping[str, type[Value]]] = {"bots": SecretHeader, "departments": KommunicateDepartment}


def read_settings(data: Any) -> KommunicateSettings:
    """Read the settings under ``rasa_handoff.KommunicateChannel``.

    Raises:
        SettingsError: one sentence with the key, the known key most like it, and what to write.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(f"{CHANNEL_NAME} needs settings: write at least bots below it.")
    check_shape(CHANNEL_NAME, KommunicateSettings, data, NESTED, EXAMPLES)
    settings = convert(CHANNEL_NAME, KommunicateSettings, data)
    _check_values(settings)
    return settings


def _check_values(settings: KommunicateSettings) -> None:
    if not settings.bots:
        raise SettingsError(f"{CHANNEL_NAME}: no bot stands under 'bots': write '{EXAMPLES['bots']}'.")
    _check_secrets(settings)
    check_numbers(CHANNEL_NAME, settings, TIMEOUT)
    check_database_url(CHANNEL_NAME, settings.database)
    if not settings.api_url.startswith(("https://", "http://")):
        raise SettingsError(f"{CHANNEL_NAME}: api_url is '{settings.api_url}': write one that begins with https://.")
    if settings.user_details and settings.api_key is None:
        raise SettingsError(f"{CHANNEL_NAME}: user_details needs api_key: write it too, or leave user_details out.")


def _check_secrets(settings: KommunicateSettings) -> None:
    """Check that no secret is empty, as one from an unset environment variable is."""
    check_headers(
        CHANNEL_NAME, "bots", settings.bots, "write what stands under 'request header' in Kommunicate's dashboard"
    )
    for key, place in (("api_key", "Install"), ("api_user", "Team"), ("account_token", "Webhooks & Security")):
        value = getattr(settings, key)
        if value is not None and not value.strip():
            raise SettingsError(
                f"{CHANNEL_NAME}: {key} is empty: write what stands under '{place}' in Kommunicate's dashboard, and set the "
                f"variable if it comes from one; or leave {key} out."
            )
